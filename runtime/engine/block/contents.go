package block

import (
	"context"
	"fmt"
	"math"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// textBytes returns the bytes of s, which must not be changed.
func textBytes(s string) []byte {
	if s == "" {
		return nil
	}
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

// contents are the distinct resources or scopes of a block, parsed. Their attributes become columns
// of the span table, as if each row had those of its resource and scope.
type contents struct {
	scope         column.Scope
	list          []string
	rows          []int               // by content: how many rows have it
	attributes    [][]trace.Attribute // by content
	name, version []string            // by content, of scopes; nil of resources
	overflow      []string            // by content: the attributes without a column

	keys    keyList
	numbers [][]uint32     // by content and attribute: number of its key in keys, or repeated
	holders [][]valuePlace // by number of a key: the contents that have it
}

// valuePlace says where the value of one content for a key lies: attributes[content][attribute].
type valuePlace struct{ content, attribute uint32 }

// repeated marks an attribute whose key and type an earlier one of the same content has: it has no
// column there.
const repeated = math.MaxUint32

// checkEvery is after how many attributes or rows a loop looks whether it was cancelled.
const checkEvery = 1024

// parseContents parses resources or scopes.
func parseContents(ctx context.Context, scope column.Scope, list []string) (*contents, error) {
	c := &contents{
		scope:      scope,
		list:       list,
		rows:       make([]int, len(list)),
		attributes: make([][]trace.Attribute, len(list)),
	}
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

// numberKeys numbers the keys of all contents, and notes which contents have each. The work is
// linear in the number of all attributes.
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

// countKeys adds the rows that have each attribute to counts.
func (c *contents) countKeys(counts keyCounts) {
	for n, places := range c.holders {
		for _, p := range places {
			counts[c.keys.keys[n]] += c.rows[p.content]
		}
	}
}

// collectOverflow makes the overflow of each content: its attributes that have no column. It
// returns which attributes those are.
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

// eachValue calls f for every content that has a value for a key.
func (c *contents) eachValue(k column.Key, f func(content int, v *trace.Value)) {
	n, ok := c.keys.index[k]
	if !ok {
		return
	}
	for _, p := range c.holders[n] {
		f(int(p.content), &c.attributes[p.content][p.attribute].Value)
	}
}
