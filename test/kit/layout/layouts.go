package layout

import (
	"fmt"
	"math/rand/v2"

	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// Layout is a way to hold spans.
type Layout struct {
	Name  string
	Build func(spans []*otlp.Span) (*Store, error)
}

// All are the layouts that every case must give the same answer over.
var All = []Layout{
	{"live", func(spans []*otlp.Span) (*Store, error) {
		s := &Store{}
		return s, s.Live(spans)
	}},
	{"segments", func(spans []*otlp.Span) (*Store, error) {
		s := &Store{}
		for _, part := range deal(spans, 3) {
			if err := s.Live(deal(part, 2)...); err != nil {
				return s, err
			}
		}
		return s, nil
	}},
	Block(0),
	{"row-groups", func(spans []*otlp.Span) (*Store, error) {
		s := &Store{}
		return s, s.Block(3, deal(spans, 2)...)
	}},
	{"blocks", func(spans []*otlp.Span) (*Store, error) {
		s := &Store{}
		for _, part := range deal(spans, 3) {
			if err := s.Block(4, part); err != nil {
				return s, err
			}
		}
		return s, nil
	}},
	{"mixed", func(spans []*otlp.Span) (*Store, error) {
		s := &Store{Confirm: 1}
		parts := deal(spans, 4)
		for i, part := range parts {
			add := s.Live
			if i%2 > 0 {
				add = func(parts ...[]*otlp.Span) error { return s.Block(5, parts...) }
			}
			if err := add(part); err != nil {
				return s, err
			}
		}
		return s, nil
	}},
	{"cut", func(spans []*otlp.Span) (*Store, error) {
		s := &Store{}
		for _, part := range deal(spans, 2) {
			if err := s.Live(deal(part, 3)...); err != nil {
				return s, err
			}
		}
		if err := s.Cut(0, 2); err != nil {
			return s, err
		}
		return s, s.Cut(3, 4)
	}},
	{"twice", func(spans []*otlp.Span) (*Store, error) {
		s := &Store{}
		if err := s.Live(spans); err != nil {
			return s, err
		}
		return s, s.Block(0, spans)
	}},
	{"merged", func(spans []*otlp.Span) (*Store, error) {
		s := &Store{}
		for _, part := range append(deal(spans, 2), spans) {
			if err := s.Block(0, part); err != nil {
				return s, err
			}
		}
		return s, s.Merge(4)
	}},
}

// Block is one block with row groups of that many rows.
func Block(rowGroupRows int) Layout {
	return Layout{fmt.Sprintf("block of %d", rowGroupRows), func(spans []*otlp.Span) (*Store, error) {
		s := &Store{}
		return s, s.Block(rowGroupRows, spans)
	}}
}

// deal deals spans out in turn. No part is empty.
func deal(spans []*otlp.Span, parts int) [][]*otlp.Span {
	out := make([][]*otlp.Span, min(parts, len(spans)))
	for i, s := range spans {
		out[i%len(out)] = append(out[i%len(out)], s)
	}
	return out
}

// Random holds spans in any way: in some order, cut into homes at any place, some of them twice.
func Random(r *rand.Rand) Layout {
	seed := r.Uint64()
	return Layout{Name: fmt.Sprintf("random %d", seed), Build: func(spans []*otlp.Span) (*Store, error) {
		r := rand.New(rand.NewPCG(seed, 0))
		s := &Store{Confirm: 1 + r.IntN(4), Limits: live.Limits{MaxColumns: []int{0, 0, 1, 3}[r.IntN(4)],
			FirstColumns: []int{0, 1, 2}[r.IntN(3)]}}
		homes := make([][]*otlp.Span, 1+r.IntN(4))
		for _, i := range r.Perm(len(spans)) {
			for n := 1 + r.IntN(20)/18; n > 0; n-- {
				h := r.IntN(len(homes))
				homes[h] = append(homes[h], spans[i])
			}
		}
		live := r.IntN(len(homes) + 1)
		for i, h := range homes {
			if len(h) == 0 {
				continue
			}
			parts := deal(h, 1+r.IntN(3))
			add := s.Live
			if i >= live {
				add = func(parts ...[]*otlp.Span) error { return s.Block([]int{0, 1, 3, 8}[r.IntN(4)], parts...) }
			}
			if err := add(parts...); err != nil {
				return s, err
			}
		}
		for r.IntN(3) == 0 {
			if err := s.Cut([]int{0, 1, 8}[r.IntN(3)], s.covered+int64(r.IntN(4))); err != nil {
				return s, err
			}
		}
		if r.IntN(4) == 0 {
			return s, s.Merge([]int{0, 5}[r.IntN(2)])
		}
		return s, nil
	}}
}
