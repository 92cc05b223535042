package eval

import (
	"context"
	"math"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/series"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// numberGroups returns the groups of the page's rows; nil: there are no labels, and all rows are of
// group 0. A value goes through two numbers on its way: the grouper's, which is the same for the
// whole table, and the code of the tally, which is the same for all tables.
func (s *metricsScan) numberGroups(ctx context.Context, t *series.Tally) ([]uint32, error) {
	if len(s.groupers) == 0 {
		return nil, nil
	}
	p := &s.page
	for i, g := range s.groupers {
		var err error
		if p.columns[i], err = g.appendNumbers(ctx, p.rows, p.columns[i][:0]); err != nil {
			return nil, err
		}
		for n := len(s.labelCodes[i]); n < len(g.values); n++ {
			s.labelCodes[i] = append(s.labelCodes[i], t.Groups.EncodeValue(i, labelValue(g.values[n])))
		}
		codes := s.labelCodes[i]
		for k, n := range p.columns[i] {
			p.columns[i][k] = codes[n]
		}
	}
	p.groups = slices.Grow(p.groups[:0], len(p.rows))[:len(p.rows)]
	t.Groups.NumberRows(p.columns, p.groups)
	return p.groups, nil
}

// labelValue returns a value as the value of a label. Durations, status and kind become their
// texts; a value that is nil or opaque becomes none. The text may alias a page.
func labelValue(v value) series.Value {
	switch v.kind {
	case nothing, opaqueValue:
		return series.Value{}
	case stringValue:
		return series.String(v.str)
	case intValue:
		return series.Int(v.num)
	case floatValue:
		return series.Float(math.Float64frombits(uint64(v.num)))
	case boolValue:
		return series.Bool(v.num != 0)
	case arrayValue:
		return series.Value{Type: trace.Array, Text: v.str}
	}
	return series.String(viewString(v.toAnswer().Bytes))
}

// typedSpans is the part of a page's spans whose values have one type, as arguments of a tally.
type typedSpans struct {
	groups, intervals []uint32
	weights           []uint64
	ints              []int64
	floats            []float64
}

// addValues adds the values of the page's rows to the tally. If all are integers or durations, as
// mostly, it takes the arrays as they are; otherwise integers and floats are separated, and spans
// without a number left out.
func (s *metricsScan) addValues(groups []uint32, t *series.Tally) {
	onlyInts := true
	for _, k := range s.page.measured.kinds {
		onlyInts = onlyInts && (k == intValue || k == durationValue)
	}
	if onlyInts {
		t.AddInts(groups, s.page.intervals, s.page.measured.nums, s.page.weights)
		return
	}
	for _, float := range []bool{false, true} {
		part := s.separateValues(groups, float)
		switch {
		case len(part.intervals) == 0:
		case float:
			t.AddFloats(part.groups, part.intervals, part.floats, part.weights)
		default:
			t.AddInts(part.groups, part.intervals, part.ints, part.weights)
		}
	}
}

// separateValues returns the page's rows whose values are floats, or those whose values are other
// numbers. Without groups or weights the part has none either (nil). It is valid until the next
// call.
func (s *metricsScan) separateValues(groups []uint32, float bool) typedSpans {
	m, p := &s.page.measured, &s.page.part
	p.groups, p.intervals, p.weights = p.groups[:0], p.intervals[:0], p.weights[:0]
	p.ints, p.floats = p.ints[:0], p.floats[:0]
	for i, k := range m.kinds {
		if !k.isNumeric() || (k == floatValue) != float {
			continue
		}
		if groups != nil {
			p.groups = append(p.groups, groups[i])
		}
		p.intervals = append(p.intervals, s.page.intervals[i])
		if s.weighted {
			p.weights = append(p.weights, s.page.weights[i])
		}
		if float {
			p.floats = append(p.floats, math.Float64frombits(uint64(m.nums[i])))
		} else {
			p.ints = append(p.ints, m.nums[i])
		}
	}
	out := *p
	if groups == nil {
		out.groups = nil
	}
	if !s.weighted {
		out.weights = nil
	}
	return out
}
