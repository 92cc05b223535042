package live

import (
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// content writes what spans were sent under, resources or scopes: the distinct contents, and
// columns of their attributes whose "rows" are the contents' codes.
type content struct {
	index    index
	attrs    attrs
	overflow sparseWriter
	name     sparseWriter // scopes only
	version  sparseWriter
}

func (c *content) init(scope column.Scope, limits Limits) {
	c.attrs = newAttrs(scope, limits)
	c.overflow, c.name, c.version = newSparse(column.Bytes), newSparse(column.String), newSparse(column.String)
}

// code returns the number of a content, a new one if need be, in dict.
func (c *content) code(dict *[]string, m *memory, content []byte, x *Scratch) (uint32, error) {
	if n := len(*dict); n > 0 && (*dict)[n-1] == string(content) {
		return uint32(n - 1), nil
	}
	h := m.hash.bytes(content)
	for i, at := c.index.find(h, 0); at != 0; i, at = c.index.find(h, at) {
		if (*dict)[i] == string(content) {
			return i, nil
		}
	}
	var name, version []byte
	var err error
	if c.attrs.scope == column.Resource {
		x.list, err = trace.ResourceAttributes(content, x.list[:0])
	} else {
		name, version, x.list, err = trace.ScopeFields(content)
	}
	if err != nil {
		return 0, err
	}
	n := len(*dict)
	_, s := m.arena.add(content, &m.bytes)
	before := cap(*dict)
	*dict = append(*dict, s)
	m.bytes += int64(cap(*dict)-before) * 16
	c.index.add(h, uint32(n), &m.bytes)
	c.attrs.add(n, x.list, m, x)
	if len(x.over) > 0 {
		c.overflow.addText(n, m, x.over)
	}
	if len(name) > 0 {
		c.name.addText(n, m, name)
	}
	if len(version) > 0 {
		c.version.addText(n, m, version)
	}
	return uint32(n), nil
}
