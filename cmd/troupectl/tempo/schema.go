package tempo

import (
	"fmt"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// node is a column of a Parquet file, or a group of columns, as the file's footer describes it.
// What Parquet spells as three nested columns, a list with its entries and their content, is one
// node.
type node struct {
	name     string
	path     string // names from the root, with dots
	kind     parquet.Kind
	leaf     bool
	children []*node // of a group
	elem     *node   // of a list: its element

	optional bool
	def      int // the definition level at which an optional node is there
	listDef  int // the definition level at which a list has an element
	listRep  int // the repetition level of the second element and the ones after it
	from, to int // the leaf columns below

	role  role
	name0 []byte // of an attribute
}

// maxDepth bounds how deep columns nest.
const maxDepth = 64

// newTree returns the columns of a file.
func newTree(f *parquet.File) (*node, error) {
	b := treeBuilder{}
	root, err := b.addGroup(f.Root(), "", levels{})
	if err != nil {
		return nil, err
	}
	return root, nil
}

type treeBuilder struct{ leaves int }

// levels are the definition and repetition levels above a column.
type levels struct{ def, rep, depth int }

// addColumn adds a column of whatever kind.
func (b *treeBuilder) addColumn(c *parquet.Column, path string, at levels) (*node, error) {
	if at.depth > maxDepth {
		return nil, fmt.Errorf("its columns nest deeper than %d", maxDepth)
	}
	at.depth++
	path = joinPath(path, c.Name())
	if c.Repeated() {
		return b.addList(c, c, path, at)
	}
	n := node{optional: c.Optional()}
	if n.optional {
		at.def++
		n.def = at.def
	}
	var out *node
	var err error
	switch inner := wrapped(c); {
	case inner != nil:
		out, err = b.addList(c, inner, path, at)
	default:
		out, err = b.addGroup(c, path, at)
	}
	if err != nil {
		return nil, err
	}
	out.name, out.optional, out.def = c.Name(), n.optional, n.def
	return out, nil
}

// wrapped returns the repeated column that a list consists of, nil for a column that is no list.
func wrapped(c *parquet.Column) *parquet.Column {
	if c.Leaf() || len(c.Columns()) != 1 || !c.Columns()[0].Repeated() {
		return nil
	}
	if t := c.Type().String(); t != "LIST" && t != "MAP" {
		return nil
	}
	return c.Columns()[0]
}

// addList adds a list: column c, whose entries are the repeated column.
func (b *treeBuilder) addList(c, repeated *parquet.Column, path string, at levels) (*node, error) {
	at.def++
	at.rep++
	n := &node{name: c.Name(), path: path, from: b.leaves, listDef: at.def, listRep: at.rep}
	var err error
	if inner := repeated.Columns(); c != repeated && len(inner) == 1 && !inner[0].Repeated() {
		at.depth++
		if inner[0].Optional() {
			at.def++
		}
		if n.elem, err = b.addEntry(inner[0], path, at); err == nil && inner[0].Optional() {
			n.elem.optional, n.elem.def = true, at.def
		}
	} else {
		n.elem, err = b.addGroup(repeated, path, at)
	}
	n.to = b.leaves
	return n, err
}

// addEntry adds the content of an entry of a list, which may be a list itself.
func (b *treeBuilder) addEntry(c *parquet.Column, path string, at levels) (*node, error) {
	if inner := wrapped(c); inner != nil {
		return b.addList(c, inner, path, at)
	}
	return b.addGroup(c, path, at)
}

// addGroup adds a group or a leaf, which is there once where its parent is.
func (b *treeBuilder) addGroup(c *parquet.Column, path string, at levels) (*node, error) {
	n := &node{name: c.Name(), path: path, from: b.leaves, leaf: c.Leaf()}
	if n.leaf {
		n.kind = c.Type().Kind()
		b.leaves++
	}
	for _, child := range c.Columns() {
		m, err := b.addColumn(child, path, at)
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, m)
	}
	n.to = b.leaves
	return n, nil
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// isGroup reports whether the node is there at most once in its parent and has columns below it.
func (n *node) isGroup() bool { return n.elem == nil && !n.leaf }

// plain is a name without what writers spell differently: case and separators.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		}
		return -1
	}, name)
}
