package block

import (
	"cmp"
	"context"
	"fmt"
	"math"
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

// choosePromoted returns the attributes that get columns in a table of that many rows, in the order
// of Key.Compare.
func (c keyCounts) choosePromoted(rows int) []column.Key {
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

// countShapes counts the attributes of a table's rows by their shapes and overflow.
func (c keyCounts) countShapes(ctx context.Context, t column.Columns, scope column.Scope) error {
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
	overflow, spilled := false, overflowReader{c: t, scope: scope}
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
			if overflow, err = spilled.countKeys(ctx, page, &over); err != nil {
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

	keys keyList
	// by content and attribute: the number of its key in keys; repeated where the content has that
	// key already
	numbers [][]uint32
	holders [][]valuePlace // by key: the contents that have it
}

// valuePlace says where the value of one content for a key lies: attributes[content][attribute].
type valuePlace struct{ content, attribute uint32 }

// repeated marks an attribute whose key and type an earlier one of the same content has: it has no
// column there.
const repeated = math.MaxUint32

// checkEvery is after how many attributes or rows a loop looks whether the work was cancelled.
const checkEvery = 1024

func parseContents(ctx context.Context, scope column.Scope, list []string) (*contents, error) {
	c := &contents{scope: scope, list: list, rows: make([]int, len(list)), attributes: make([][]trace.Attribute, len(list))}
	if scope == column.Instrumentation {
		c.name, c.version = make([]string, len(list)), make([]string, len(list))
	}
	for i, s := range list {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var err error
		if scope == column.Resource {
			c.attributes[i], err = trace.ResourceAttributes(textBytes(s), nil)
		} else {
			var content trace.ScopeContent
			content, err = trace.ReadScope(textBytes(s), nil)
			c.attributes[i] = content.Attributes
			c.name[i], c.version[i] = string(content.Name), string(content.Version)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s %d: %w", scope, i, err)
		}
	}
	return c, c.numberKeys(ctx)
}

// numberKeys numbers the keys of all contents and notes which contents have each. Work is linear in
// the attributes of all contents.
func (c *contents) numberKeys(ctx context.Context) error {
	c.numbers = make([][]uint32, len(c.list))
	total := 0
	for _, list := range c.attributes {
		total += len(list)
	}
	all := make([]uint32, total)
	var last []uint32 // by key: the last content that had it, + 1
	steps := 0
	for i, list := range c.attributes {
		numbers := all[:len(list):len(list)]
		all = all[len(list):]
		for j := range list {
			if steps++; steps%checkEvery == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			a := &list[j]
			n := c.keys.numberOf(keyOf(c.scope, a))
			if int(n) == len(last) {
				last, c.holders = append(last, 0), append(c.holders, nil)
			}
			if last[n] == uint32(i+1) {
				numbers[j] = repeated
				continue
			}
			last[n], numbers[j] = uint32(i+1), n
			c.holders[n] = append(c.holders[n], valuePlace{uint32(i), uint32(j)})
		}
		c.numbers[i] = numbers
	}
	return nil
}

// countKeys adds the attributes of all rows to counts.
func (c *contents) countKeys(counts keyCounts) {
	for n, places := range c.holders {
		for _, p := range places {
			counts[c.keys.keys[n]] += c.rows[p.content]
		}
	}
}

// collectOverflow puts what has no column into the overflow and returns what that is.
func (c *contents) collectOverflow(ctx context.Context, columns map[column.Key]*fileColumn) ([]column.Key, error) {
	own := make([]bool, len(c.keys.keys)) // by key: it has a column
	for n, k := range c.keys.keys {
		own[n] = columns[k] != nil
	}
	var listed keyList
	c.overflow = make([]string, len(c.list))
	steps := 0
	for i, list := range c.attributes {
		var b []byte
		for j := range list {
			if steps++; steps%checkEvery == 0 && ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if n := c.numbers[i][j]; n != repeated && own[n] {
				continue
			}
			a := &list[j]
			listed.numberOf(keyOf(c.scope, a))
			b = column.AppendKeyValue(b, a)
		}
		c.overflow[i] = string(b)
	}
	return listed.keys, nil
}

// eachValue calls f for every content that has a value in the column k.
func (c *contents) eachValue(k column.Key, f func(content int, v *trace.Value)) {
	n, ok := c.keys.index[k]
	if !ok {
		return
	}
	for _, p := range c.holders[n] {
		f(int(p.content), &c.attributes[p.content][p.attribute].Value)
	}
}
