package query

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// The step that is chosen is round and makes about 240 of the range.
func TestAutoStep(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{
		time.Second: 50 * time.Millisecond, 30 * time.Second: 100 * time.Millisecond, time.Minute: time.Second, 5 * time.Minute: time.Second,
		time.Hour: 15 * time.Second, 3 * time.Hour: 45 * time.Second, 6 * time.Hour: time.Minute, 24 * time.Hour: 6 * time.Minute * 5 / 6,
		7 * 24 * time.Hour: 40 * time.Minute, 60 * 24 * time.Hour: 6 * time.Hour,
	} {
		require.Equal(t, want, autoStep(d), d)
	}
}

// The query's word on exemplars goes before the parameter, and the limit before both.
func TestExemplars(t *testing.T) {
	for q, want := range map[string]int{"{} | rate()": 7, "{} | rate() with(exemplars=false)": 0, "{} | rate() with(exemplars=true)": 100,
		"{} | rate() with(exemplars=5)": 5, "{} | rate() with(exemplars=5000)": 100, `{} | rate() with(exemplars="x")`: 7} {
		parsed, err := traceql.Parse(q)
		require.NoError(t, err)
		require.Equal(t, want, exemplarCount(parsed, 7, 100), q)
	}
}

// Alternatives are counted as if || were taken to the top.
func TestGroups(t *testing.T) {
	for q, want := range map[string]float64{"{}": 1, "{ span.a = 1 }": 1, "{ span.a = 1 || span.b = 1 }": 2,
		"{ (span.a = 1 || span.b = 1) && (span.c = 1 || span.d = 1 || span.e = 1) }": 6, "{ span.a = 1 } | by(name)": 1} {
		parsed, err := traceql.Parse(q)
		require.NoError(t, err)
		require.Equal(t, want, conditionGroups(parsed), q)
	}
}
