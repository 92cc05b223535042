package block

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// An attribute gets a column if at least one row in a thousand has it, the most frequent first.
const (
	promoteOneIn = 1000
	maxPromoted  = 512
)

// keyCounts counts the rows that have an attribute.
type keyCounts map[column.Key]int

// promoted returns the attributes that get columns in a table of that many rows, in the order of Key.Compare.
func (c keyCounts) promoted(rows int) []column.Key {
	var keys []column.Key
	for k, n := range c {
		if n > 0 && n*promoteOneIn >= rows {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b column.Key) int { return cmp.Or(cmp.Compare(c[b], c[a]), a.Compare(b)) })
	keys = keys[:min(len(keys), maxPromoted)]
	slices.SortFunc(keys, column.Key.Compare)
	return keys
}

// shapes counts the attributes of a table's rows by their shapes and overflow.
func (c keyCounts) shapes(ctx context.Context, t column.Columns, scope column.Scope) error {
	keys := t.ShapeKeys()
	counts := make([]int, len(keys))
	add := func(shape string, n int) error {
		for shape != "" {
			entry, rest, ok := column.NextShape(shape)
			if !ok || entry > len(keys) {
				return fmt.Errorf("read shape: %w", column.ErrCorrupt)
			}
			if shape = rest; entry > 0 {
				counts[entry-1] += n
			}
		}
		return nil
	}
	var v column.Vector
	var dict []string
	var uses []int // of the dictionary's entries
	flush := func() error {
		for code, n := range uses {
			if n > 0 {
				if err := add(dict[code], n); err != nil {
					return err
				}
			}
		}
		return nil
	}
	overflow, spilled := false, spilled{c: t, scope: scope}
	var over []int // by number of the key in spilled
	for page := range column.Pages(t.Rows()) {
		if _, err := t.Vector(ctx, column.Shape, page, &v); err != nil {
			return err
		}
		if v.Dict == nil {
			for _, s := range v.Strings {
				if err := add(s, 1); err != nil {
					return err
				}
			}
		} else {
			if unsafe.SliceData(v.Dict) != unsafe.SliceData(dict) || len(v.Dict) != len(dict) {
				if err := flush(); err != nil {
					return err
				}
				dict, uses = v.Dict, make([]int, len(v.Dict))
			}
			for _, code := range v.Codes {
				uses[code]++
			}
		}
		if page == 0 || overflow {
			var err error
			if overflow, err = spilled.count(ctx, page, &over); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	for i, n := range counts {
		c[keys[i]] += n
	}
	for i, n := range over {
		c[spilled.keys[i]] += n
	}
	return nil
}

// textBytes returns the bytes of s, which must not be changed.
func textBytes(s string) []byte {
	if s == "" {
		return nil
	}
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

// contents are the distinct resources or scopes of a block, parsed.
type contents struct {
	scope         column.Scope
	list          []string
	rows          []int // that have each
	attributes    [][]trace.Attribute
	name, version []string // of scopes
	overflow      []string // attributes without column; set by promote
}

func parseContents(scope column.Scope, list []string) (*contents, error) {
	c := &contents{scope: scope, list: list, rows: make([]int, len(list)), attributes: make([][]trace.Attribute, len(list))}
	if scope == column.Instrumentation {
		c.name, c.version = make([]string, len(list)), make([]string, len(list))
	}
	for i, s := range list {
		var err error
		if scope == column.Resource {
			c.attributes[i], err = trace.ResourceAttributes(textBytes(s), nil)
		} else {
			var name, version []byte
			name, version, c.attributes[i], err = trace.ScopeFields(textBytes(s))
			c.name[i], c.version[i] = string(name), string(version)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s %d: %w", scope, i, err)
		}
	}
	return c, nil
}

// count adds the attributes of all rows to counts.
func (c *contents) count(counts keyCounts) {
	for i, list := range c.attributes {
		for j := range list {
			if k := c.key(&list[j]); !repeated(list[:j], &list[j]) {
				counts[k] += c.rows[i]
			}
		}
	}
}

func (c *contents) key(a *trace.Attribute) column.Key {
	return column.Key{Scope: c.scope, Name: string(a.Key), Type: column.TypeOf(a.Value.Type)}
}

// repeated says whether an attribute of the same key and type is in list: then a has no column there.
func repeated(list []trace.Attribute, a *trace.Attribute) bool {
	return slices.ContainsFunc(list, func(b trace.Attribute) bool {
		return string(b.Key) == string(a.Key) && column.TypeOf(b.Value.Type) == column.TypeOf(a.Value.Type)
	})
}

// promote puts what has no column into the overflow and returns what that is.
func (c *contents) promote(columns map[column.Key]int) []column.Key {
	var listed keyList
	c.overflow = make([]string, len(c.list))
	for i, list := range c.attributes {
		var b []byte
		for j := range list {
			k := c.key(&list[j])
			if _, ok := columns[k]; !ok || repeated(list[:j], &list[j]) {
				listed.number(k)
				b = column.AppendKeyValue(b, &list[j])
			}
		}
		c.overflow[i] = string(b)
	}
	return listed.keys
}

// value returns the value of content i in the column k.
func (c *contents) value(i int, k column.Key) (v trace.Value, ok bool) {
	for j := range c.attributes[i] {
		if a := &c.attributes[i][j]; string(a.Key) == k.Name && column.TypeOf(a.Value.Type) == k.Type {
			return a.Value, true
		}
	}
	return v, false
}
