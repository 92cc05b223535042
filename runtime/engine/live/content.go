package live

import (
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// contentWriter numbers the distinct resources, or the distinct scopes, of a segment. It writes the
// columns of their attributes; the "rows" of these columns are the numbers.
type contentWriter struct {
	index      hashIndex // numbers, by content
	attributes attributeWriter
	overflow   sparseWriter
	name       sparseWriter // of scopes
	version    sparseWriter // of scopes
}

func (c *contentWriter) initColumns(scope column.Scope, limits Limits) {
	c.attributes = newAttributeWriter(scope, limits)
	c.overflow = newSparse(column.Bytes)
	c.name = newSparse(column.String)
	c.version = newSparse(column.String)
}

// numberOf returns the number of a canonical content in contents, to which it appends a new one.
// It returns trace.ErrMalformed.
func (c *contentWriter) numberOf(contents *[]string, m *memory, content []byte, x *Scratch) (uint32, error) {
	if n := len(*contents); n > 0 && (*contents)[n-1] == string(content) {
		return uint32(n - 1), nil
	}
	h := m.hash.hashBytes(content)
	for i, at := c.index.findNext(h, 0); at != 0; i, at = c.index.findNext(h, at) {
		if (*contents)[i] == string(content) {
			return i, nil
		}
	}
	var scope trace.ScopeContent // empty for a resource
	var err error
	if c.attributes.scope == column.Resource {
		x.list, err = trace.ResourceAttributes(content, x.list[:0])
	} else {
		scope, err = trace.ReadScope(content, x.list[:0])
		x.list = scope.Attributes
	}
	if err != nil {
		return 0, err
	}
	n := len(*contents)
	_, s := m.arena.addString(content, &m.bytes)
	before := cap(*contents)
	*contents = append(*contents, s)
	m.bytes += int64(cap(*contents)-before) * 16
	c.index.addNumber(h, uint32(n), &m.bytes)
	c.attributes.addRow(n, x.list, m, x)
	if len(x.overflow) > 0 {
		c.overflow.addText(n, m, x.overflow)
	}
	if len(scope.Name) > 0 {
		c.name.addText(n, m, scope.Name)
	}
	if len(scope.Version) > 0 {
		c.version.addText(n, m, scope.Version)
	}
	return uint32(n), nil
}

// contentView is a reader's view of the resources or the scopes.
type contentView struct {
	attributes              attributeView
	overflow, name, version *sparseColumn
}

func (c *contentWriter) takeView() contentView {
	return contentView{
		attributes: c.attributes.takeView(),
		overflow:   c.overflow.takeView(),
		name:       c.name.takeView(),
		version:    c.version.takeView(),
	}
}
