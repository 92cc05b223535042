package eval

import (
	"context"
	"math/bits"
	"strconv"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/series"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// isExtrapolated reports whether spans also count for those that head sampling left out. The hint
// with(extrapolate=true) asks for it.
func isExtrapolated(q *traceql.Query) bool {
	h, ok := q.Hint("extrapolate")
	return ok && h.Type == traceql.TypeBool && h.Int != 0
}

// weighRows sets the weights of the page's rows. Neighbours often have the same trace state, so the
// last one is remembered.
func (s *metricsScan) weighRows(ctx context.Context) error {
	v, err := s.view.spans.column(column.TraceState).loadPage(ctx)
	if err != nil {
		return err
	}
	s.page.weights = s.page.weights[:0]
	last, weight := "", uint64(series.UnitWeight)
	ranks := column.Ranks(v.Present)
	for _, r := range s.page.rows {
		state := ""
		if d, ok := ranks.At(int(r)); ok {
			state = v.Text(d)
		}
		if state != last {
			last, weight = state, spanWeight(state)
		}
		s.page.weights = append(s.page.weights, weight)
	}
	return nil
}

// samplingDigits is the precision of thresholds and random values: 56 bits.
const samplingDigits = 14

// spanWeight returns for how many spans one stands, by its W3C trace state, in units of
// series.UnitWeight. It is the inverse of the probability with which the span was sampled, at most
// 2³²; the member ot tells the probability by its threshold th. If the span's random value rv is
// known, too, the weight is a whole number, rounded up for as many spans as keeps the mean. Without
// a valid th it is one.
//
//	ot=th:8    half of the spans are sampled: 2
//	ot=th:c    a quarter of them: 4
//	ot=th:6    10 of 16: 1.6; with rv it is 2 for the 6 of 10 spans with the least rv, else 1
func spanWeight(state string) uint64 {
	th, rv := "", ""
	for member := range strings.SplitSeq(state, ",") {
		value, ok := strings.CutPrefix(strings.TrimSpace(member), "ot=")
		if !ok {
			continue
		}
		for field := range strings.SplitSeq(value, ";") {
			if v, ok := strings.CutPrefix(field, "th:"); ok {
				th = v
			} else if v, ok := strings.CutPrefix(field, "rv:"); ok {
				rv = v
			}
		}
		break
	}
	if th == "" || len(th) > samplingDigits {
		return series.UnitWeight
	}
	threshold, err := strconv.ParseUint(th+strings.Repeat("0", samplingDigits-len(th)), 16, 64)
	if err != nil {
		return series.UnitWeight
	}
	const all = 1 << (4 * samplingDigits)
	kept := all - threshold // so many of all random values are sampled, at least one
	if kept <= all>>32 {
		return series.UnitWeight << 32
	}
	if random, err := strconv.ParseUint(rv, 16, 64); err == nil && len(rv) == samplingDigits && random >= threshold {
		n, rest := all/kept, all%kept
		if random-threshold < rest { // true for rest/kept of the sampled spans
			n++
		}
		return n * series.UnitWeight
	}
	hi, lo := bits.Mul64(all, series.UnitWeight)
	n, rest := bits.Div64(hi, lo, kept)
	if rest > kept/2 {
		n++
	}
	return n
}
