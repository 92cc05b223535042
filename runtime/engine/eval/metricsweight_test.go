package eval

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/series"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// A span must stand for as many as the threshold in its trace state tells, and for one without a
// valid threshold.
func TestSpanWeight(t *testing.T) {
	for state, want := range map[string]float64{
		"": 1, "ot=th:0": 1, "ot=th:8": 2, "ot=th:c": 4, "vendor=1, ot=th:c": 4, "ot=rv:12345678901234": 1,
		"ot=th:f": 16, "ot=th:fd70a3d70a3d71": 100,
		"ot=th:c;rv:d0000000000000":              4,
		"ot=th:55555555555555;x:1":               1.5,
		"ot=th:55555555555555;rv:56000000000000": 2, // the sampled are [0x55…, 2⁵⁶): the lower half counts two
		"ot=th:55555555555555;rv:fe000000000000": 1,
		"ot=th:zz":                               1, "ot=th:": 1, "ot=th:123456789012345": 1, "xot=th:8": 1,
		"ot=th:-8":             1,
		"ot=th:ffffffffffffff": 1 << 32,
	} {
		require.InEpsilon(t, want, float64(spanWeight(state))/series.UnitWeight, 1e-6, state)
	}
}

// With the hint, sampled spans must also count for those left out, in every function except min and
// max. Without it they must not.
func TestExtrapolate(t *testing.T) {
	var e trace.Encoder
	require.NoError(t, e.Resource(nil))
	require.NoError(t, e.Scope(nil))
	for i, state := range []string{"ot=th:c", "", "ot=th:8"} {
		s := trace.Span{TraceID: trace.ID{1, byte(i)}, SpanID: trace.SpanID{byte(i + 1)}, StartUnixNano: 5e9,
			EndUnixNano: uint64(5e9 + (i+1)*1e9), TraceState: []byte(state),
			Attributes: []trace.Attribute{{Key: []byte("x"), Value: trace.Value{Type: trace.Int, Num: uint64(i + 1)}}}}
		require.NoError(t, e.Span(&s))
	}
	table := segment(t, [][]byte{e.Bytes()})
	for text, want := range map[string]float64{
		`{ } | count_over_time()`:                                                3,
		`{ } | count_over_time() with (extrapolate = false)`:                     3,
		`{ } | count_over_time() with (extrapolate = true)`:                      7,
		`{ } | rate() with (extrapolate = true)`:                                 .7,
		`{ } | sum_over_time(span.x) with (extrapolate = true)`:                  4*1 + 1*2 + 2*3,
		`{ } | avg_over_time(duration) with (extrapolate = true)`:                12. / 7,
		`{ } | max_over_time(duration) with (extrapolate = true)`:                3,
		`{ span.x = 3 } | histogram_over_time(span.x) with (extrapolate = true)`: 2,
		`{ } | quantile_over_time(span.x, 1) with (extrapolate = true)`:          4,
	} {
		r := &MetricsRequest{Query: parse(t, text), End: 10e9, Step: 10e9}
		p, err := QueryRange(context.Background(), table, r, nil)
		require.NoError(t, err)
		res := result(t, r, p)
		require.Len(t, res.Series, 1, text)
		require.InEpsilon(t, want, res.Series[0].Samples[0].Value, 1e-12, text)
	}
	r := &MetricsRequest{Query: parse(t, `{ } | compare({ span.x = 1 }) with (extrapolate = true)`), End: 10e9,
		Step: 10e9}
	p, err := QueryRange(context.Background(), table, r, nil)
	require.NoError(t, err)
	found := 0
	for _, s := range result(t, r, p).Series {
		switch string(s.Labels[0].Value.Bytes) + s.Labels[1].Key {
		case "selectionkind", "selection_totalkind":
			require.Equal(t, 4., s.Samples[0].Value)
			found++
		case "baselinekind", "baseline_totalkind":
			require.Equal(t, 3., s.Samples[0].Value)
			found++
		}
	}
	require.Equal(t, 4, found)
}
