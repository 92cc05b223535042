package eval

import (
	"context"
	"math"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/series"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// shownField is a field that exemplars show.
type shownField struct {
	name string
	e    expr
}

// compileShownFields compiles the fields that exemplars show: those that the first stage mentions,
// each once. The trace id is shown in any case.
func (s *metricsScan) compileShownFields() error {
	s.shownFields = []shownField{}
	seen := map[string]bool{"trace:id": true}
	var err error
	add := func(f *traceql.Field) {
		if name := f.String(); !seen[name] && err == nil {
			seen[name] = true
			var e expr
			e, err = s.view.compileExpr(f)
			s.shownFields = append(s.shownFields, shownField{name, e})
		}
	}
	traceql.EachField(s.stage.Pipeline, add)
	for _, f := range s.stage.By {
		add(f)
	}
	if s.stage.Field != nil {
		add(s.stage.Field)
	}
	return err
}

// pickExemplars offers rows of the page (nil: all) to the tally as exemplars. Ids and fields are
// read only of rows that the tally may keep.
func (s *metricsScan) pickExemplars(ctx context.Context, rows, groups []uint32, t *series.Tally) error {
	base := uint32(s.view.spans.page * column.PageRows)
	var one values
	return t.PickExemplars(s.page.starts, rows, func(i int, p *series.ExemplarSpan) (bool, error) {
		if s.valueExpr != nil && !s.setExemplarValue(t, p, i) {
			return false, nil
		}
		p.Row = base + uint32(i)
		if rows != nil {
			p.Row = base + rows[i]
		}
		if groups != nil {
			p.Group = groups[i]
		}
		n, err := s.traceOf(ctx, p.Row-base)
		if err != nil {
			return false, err
		}
		p.Trace, err = s.view.table.TraceID(ctx, n)
		return true, err
	}, func(p *series.ExemplarSpan) error {
		p.Labels = make([]series.Label, 0, len(s.shownFields))
		rows := [1]uint32{p.Row - base}
		for _, f := range s.shownFields {
			if err := f.e.computeValues(ctx, rows[:], &one); err != nil {
				return err
			}
			if v := labelValue(one.at(0)); v.Type != trace.Empty {
				v.Text = strings.Clone(v.Text)
				p.Labels = append(p.Labels, series.Label{Name: f.name, Value: v})
			}
		}
		return nil
	})
}

// setExemplarValue sets the value of an exemplar to that of the page's i-th counted span. It
// reports whether a span with this value may be an exemplar.
func (s *metricsScan) setExemplarValue(t *series.Tally, p *series.ExemplarSpan, i int) bool {
	k, n := s.page.measured.kinds[i], s.page.measured.nums[i]
	switch {
	case !k.isNumeric():
		return false
	case k == floatValue:
		return t.SetExemplarFloat(p, math.Float64frombits(uint64(n)))
	}
	return t.SetExemplarInt(p, n)
}

// traceOf returns the ordinal of the trace of a row of the page.
func (s *metricsScan) traceOf(ctx context.Context, row uint32) (int, error) {
	if o, ok := s.view.table.(column.Ordered); ok {
		return o.TraceOf(s.view.spans.page*column.PageRows + int(row)), nil
	}
	v, err := s.view.traceRow.loadFull(ctx)
	if err != nil {
		return 0, err
	}
	return int(v.Ints[row]), nil
}
