package tempo

import (
	"fmt"

	"github.com/parquet-go/parquet-go"
)

// cells walks over the values of one row of a file, by the schema: the row holds for each leaf
// column its values in order, with the levels that tell where lists and absent groups lie.
type cells struct {
	columns [][]parquet.Value
	ignore  map[string]bool // paths of columns that may be left out
}

// setRow begins a row.
func (c *cells) setRow(row parquet.Row, leaves int) {
	if cap(c.columns) < leaves {
		c.columns = make([][]parquet.Value, leaves)
	}
	c.columns = c.columns[:leaves]
	clear(c.columns)
	row.Range(func(i int, values []parquet.Value) bool {
		if i < leaves {
			c.columns[i] = values
		}
		return true
	})
}

// peek returns the next value of a leaf column.
func (c *cells) peek(leaf int) (parquet.Value, error) {
	if len(c.columns[leaf]) == 0 {
		return parquet.Value{}, fmt.Errorf("%w: column %d ends within a row", errDamaged, leaf)
	}
	return c.columns[leaf][0], nil
}

// isThere reports whether an optional node has a value, and passes over it if not.
func (c *cells) isThere(n *node) (bool, error) {
	if !n.optional {
		return true, nil
	}
	first, err := c.peek(n.from)
	if err != nil {
		return false, err
	}
	if first.DefinitionLevel() >= n.def {
		return true, nil
	}
	return false, c.passAbsent(n)
}

// passAbsent passes over a node that is not there: each leaf below it has one value, which says so.
func (c *cells) passAbsent(n *node) error {
	for i := n.from; i < n.to; i++ {
		if _, err := c.peek(i); err != nil {
			return err
		}
		c.columns[i] = c.columns[i][1:]
	}
	return nil
}

// takeLeaf returns the next value of a leaf; ok is false if it has none.
func (c *cells) takeLeaf(n *node) (v parquet.Value, ok bool, err error) {
	if v, err = c.peek(n.from); err != nil {
		return v, false, err
	}
	c.columns[n.from] = c.columns[n.from][1:]
	return v, !v.IsNull(), nil
}

// each calls f for each element of a list, and once for a node that is none. f takes the values of
// the node that it is called with.
func (c *cells) each(n *node, f func(*node) error) error {
	if there, err := c.isThere(n); err != nil || !there {
		return err
	}
	if n.elem == nil {
		return f(n)
	}
	first, err := c.peek(n.from)
	if err != nil {
		return err
	}
	if first.DefinitionLevel() < n.listDef {
		return c.passAbsent(n)
	}
	for {
		before := len(c.columns[n.from])
		if there, err := c.isThere(n.elem); err != nil {
			return err
		} else if there {
			if err := c.eachInner(n.elem, f); err != nil {
				return err
			}
		}
		rest := c.columns[n.from]
		if len(rest) == 0 || rest[0].RepetitionLevel() < n.listRep {
			return nil
		}
		if len(rest) == before {
			return fmt.Errorf("%w: list %s does not end", errDamaged, n.path)
		}
	}
}

// eachInner calls f for an element; of a list of lists, for those of the inner one.
func (c *cells) eachInner(n *node, f func(*node) error) error {
	if n.elem != nil {
		inner := *n
		inner.optional = false
		return c.each(&inner, f)
	}
	return f(n)
}

// drop passes over all values of a node. Where check is set, a value that is neither absent nor
// zero is an error: it would be lost.
func (c *cells) drop(n *node, check bool) error {
	return c.each(n, func(n *node) error {
		if !n.leaf {
			for _, child := range n.children {
				if err := c.drop(child, check); err != nil {
					return err
				}
			}
			return nil
		}
		v, ok, err := c.takeLeaf(n)
		if err == nil && ok && check && !isZero(v) && !c.ignore[n.path] {
			err = &UnknownColumn{Path: n.path}
		}
		return err
	})
}

// UnknownColumn is the error of a column whose meaning is not known and which holds values.
type UnknownColumn struct{ Path string }

func (u *UnknownColumn) Error() string {
	return fmt.Sprintf("column %s holds values that the import does not understand: "+
		"--ignore-column %s leaves them out", u.Path, u.Path)
}

func isZero(v parquet.Value) bool {
	switch v.Kind() {
	case parquet.Boolean:
		return !v.Boolean()
	case parquet.Int32:
		return v.Int32() == 0
	case parquet.Int64:
		return v.Int64() == 0
	case parquet.Float:
		return v.Float() == 0
	case parquet.Double:
		return v.Double() == 0
	}
	return len(v.ByteArray()) == 0
}
