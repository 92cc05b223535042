package blockbuilder

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
)

// compareSpans finds out which of the shared traces may have a span in the new block and in another
// one. It reads the ids and kinds of their spans, which equal spans have in common.
func (b *cutBuild) compareSpans(ctx context.Context, s *sharing, tables []column.Table) error {
	own, err := s.spansOf(ctx, tables)
	if err != nil {
		return err
	}
	repeating := make([][]int, len(s.others)) // traces, by the other block
	err = work.Each(ctx, b.deps.Writers, len(s.others), func(ctx context.Context, _, i int) error {
		o := &s.others[i]
		last := -1
		err := o.found.EachSpan(ctx, func(n int, id trace.SpanID, kind int32) {
			t := o.found.List[n].Asked
			if t != last && own.has(t, spanKey{id, kind}) {
				repeating[i] = append(repeating[i], t)
				last = t
			}
		})
		if err == nil {
			return nil
		}
		for _, f := range o.found.List {
			repeating[i] = append(repeating[i], f.Asked)
		}
		return b.passOver(ctx, o.meta, err)
	})
	for _, list := range repeating {
		for _, t := range list {
			s.traces[t].Disjoint = false
		}
	}
	return err
}

// spanKey is what equal spans of a trace have in common.
type spanKey struct {
	id   trace.SpanID
	kind int32
}

func (k spanKey) compare(o spanKey) int {
	return cmp.Or(bytes.Compare(k.id[:], o.id[:]), cmp.Compare(k.kind, o.kind))
}

// ownSpans are the spans of the shared traces in the new block.
type ownSpans struct {
	first []uint32  // by trace of the block: where its spans begin in list, and the end
	list  []spanKey // by trace, then in order
}

func (o *ownSpans) has(t int, k spanKey) bool {
	_, ok := slices.BinarySearchFunc(o.list[o.first[t]:o.first[t+1]], k, spanKey.compare)
	return ok
}

// spansOf returns the spans of the shared traces in the tables of the new block.
func (s *sharing) spansOf(ctx context.Context, tables []column.Table) (*ownSpans, error) {
	own := &ownSpans{first: make([]uint32, len(s.traces)+1)}
	if len(s.others) == 0 {
		return own, nil
	}
	count := 0
	for _, o := range s.others {
		count = max(count, len(o.found.List))
	}
	numbers := make(map[trace.ID]uint32, count) // of the shared traces
	for i, set := range s.homes {
		if set > 0 {
			numbers[s.asked[i]] = uint32(i)
		}
	}
	var keys []spanKey
	var traces []uint32 // by key
	for _, t := range tables {
		var ordinals []int
		var of []uint32
		for i := range t.Traces() {
			id, err := t.TraceID(ctx, i)
			if err != nil {
				return nil, err
			}
			if n, ok := numbers[id]; ok {
				ordinals, of = append(ordinals, i), append(of, n)
			}
		}
		err := column.EachSpan(ctx, t, ordinals, func(n int, id trace.SpanID, kind int32) {
			keys, traces = append(keys, spanKey{id, kind}), append(traces, of[n])
		})
		if err != nil {
			return nil, fmt.Errorf("read the spans of the new block: %w", err)
		}
	}
	own.sortByTrace(keys, traces)
	return own, nil
}

// sortByTrace fills list with keys, whose traces are given by their numbers.
func (o *ownSpans) sortByTrace(keys []spanKey, traces []uint32) {
	for _, t := range traces {
		o.first[t+1]++
	}
	for t := range o.first[1:] {
		o.first[t+1] += o.first[t]
	}
	o.list = make([]spanKey, len(keys))
	next := slices.Clone(o.first)
	for i, t := range traces {
		o.list[next[t]] = keys[i]
		next[t]++
	}
	for t, from := range o.first[:len(o.first)-1] {
		slices.SortFunc(o.list[from:o.first[t+1]], spanKey.compare)
	}
}
