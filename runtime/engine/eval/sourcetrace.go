package eval

import (
	"context"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// traceSource is a field that all spans of a trace share.
type traceSource struct {
	view     *tableView
	traceRow *pageColumn
	valueOf  func(ctx context.Context, trace int) (value, error)
}

func (s *traceSource) newCond(p *pred) cond {
	return &traceCond{src: s, decide: func(ctx context.Context, i int) (bool, error) {
		v, err := s.valueOf(ctx, i)
		return err == nil && p.holdsFor(v), err
	}, share: p.guessShare()}
}

func (s *traceSource) markPresent(_ context.Context, mask, out column.Bitmap) error {
	out.Or(mask)
	return nil
}

func (s *traceSource) readValues(ctx context.Context, rows []uint32, out *values) error {
	v, err := s.traceRow.loadFull(ctx)
	if err != nil {
		return err
	}
	last, lastTrace := value{}, int64(-1)
	for i, r := range rows {
		if out.kinds[i] != nothing {
			continue
		}
		if t := v.Ints[r]; t != lastTrace {
			if last, err = s.valueOf(ctx, int(t)); err != nil {
				return err
			}
			lastTrace = t
		}
		out.set(i, last)
	}
	return nil
}

func (s *traceSource) eachValue(ctx context.Context, row int, f func(value)) error {
	v, err := s.traceRow.loadFull(ctx)
	if err != nil {
		return err
	}
	x, err := s.valueOf(ctx, int(v.Ints[row]))
	f(x)
	return err
}

func (s *traceSource) isAbsent() bool                 { return false }
func (s *traceSource) eachColumn(f func(*pageColumn)) { f(s.traceRow) }

// traceCond holds for all spans of a trace or for none. It decides on each trace once.
type traceCond struct {
	definite
	src     *traceSource
	decide  func(ctx context.Context, trace int) (bool, error)
	decided []uint8 // by trace: 0 not yet, 1 no, 2 yes
	share   float64 // a guess of the share of rows that pass
}

func (c *traceCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	v, err := c.src.traceRow.loadFull(ctx)
	if err != nil {
		return err
	}
	if c.decided == nil {
		c.decided = make([]uint8, c.src.view.table.Traces())
	}
	for r := mask.Next(0); r >= 0; r = mask.Next(r + 1) {
		t := v.Ints[r]
		if c.decided[t] == 0 {
			yes, err := c.decide(ctx, int(t))
			if err != nil {
				return err
			}
			c.decided[t] = 1
			if yes {
				c.decided[t] = 2
			}
		}
		if c.decided[t] == 2 {
			out.Set(r)
		}
	}
	return nil
}

func (c *traceCond) matchesNothing() bool               { return false }
func (c *traceCond) eachColumn(f func(*pageColumn))     { f(c.src.traceRow) }
func (c *traceCond) estimateCost() (pass, work float64) { return c.share, 6 }

// traceIDSource is trace:id, without leading zeros.
type traceIDSource struct{ traceSource }

// newCond looks a single id up in the table's index.
func (s *traceIDSource) newCond(p *pred) cond {
	if !p.comparesText() {
		return p.differentType()
	}
	if p.matcher != nil || p.op != "=" {
		return s.traceSource.newCond(p)
	}
	id, err := trace.ParseID(p.literal.str)
	if err != nil || p.literal.str != strings.ToLower(p.literal.str) {
		return constCond{boolean: true}
	}
	asked, found, only := false, false, 0
	return &traceCond{src: &s.traceSource, share: 1e-6, decide: func(ctx context.Context, i int) (bool, error) {
		if !asked {
			var err error
			if only, found, err = s.view.table.Lookup(ctx, id); err != nil {
				return false, err
			}
			asked = true
		}
		return found && only == i, nil
	}}
}
