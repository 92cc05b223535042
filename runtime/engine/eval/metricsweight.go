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

// isExtrapolated says whether spans count for those that head sampling left out:
// with(extrapolate=true).
func isExtrapolated(q *traceql.Query) bool {
	h, ok := q.Hint("extrapolate")
	return ok && h.Type == traceql.TypeBool && h.Int != 0
}

// weighRows sets the weights of the page's spans.
func (s *metricsScan) weighRows(ctx context.Context) error {
	v, err := s.view.spans.column(column.TraceState).load(ctx)
	if err != nil {
		return err
	}
	s.weights = s.weights[:0]
	last, weight := "", uint64(series.UnitWeight)
	ranks := column.Ranks(v.Present)
	for _, r := range s.rows {
		state := ""
		if d, ok := ranks.At(int(r)); ok {
			state = v.Text(d)
		}
		if state != last {
			last, weight = state, spanWeight(state)
		}
		s.weights = append(s.weights, weight)
	}
	return nil
}

// samplingDigits is the precision of thresholds and random values: 56 bits.
const samplingDigits = 14

// spanWeight returns how many spans one stands for by its W3C trace state, in units of series.One:
// the inverse of the probability that the ot member's th gives, at most 2³². With rv it is a whole
// number, rounded up as often as keeps the mean. Without th, or a bad one, it is one.
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
	kept := all - threshold // of all, so many are sampled: at least one
	if kept <= all>>32 {
		return series.UnitWeight << 32
	}
	if random, err := strconv.ParseUint(rv, 16, 64); err == nil && len(rv) == samplingDigits && random >= threshold {
		n, rest := all/kept, all%kept
		if random-threshold < rest { // of the sampled, the part rest/kept
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
