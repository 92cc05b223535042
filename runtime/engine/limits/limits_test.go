package limits

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func ptr[T any](v T) *T { return &v }

// An entry must replace the defaults as a whole, except for a rate that it does not set. A rate
// without a burst allows the bytes of one second at once.
func TestSet(t *testing.T) {
	s := &Set{Defaults: Tenant{Ingestion: Ingestion{Strategy: Global, RateLimit: ptr[int64](100),
		BurstSize: ptr[int64](300)}, Read: Read{MaxTagBytes: 7}},
		Entries: map[string]Tenant{
			"a":      {Ingestion: Ingestion{Strategy: Local, RateLimit: ptr[int64](10), RetryInfo: ptr(false)}},
			"burst":  {Ingestion: Ingestion{BurstSize: ptr[int64](5)}},
			"closed": {Ingestion: Ingestion{RateLimit: ptr[int64](0)}},
			"*":      {Read: Read{LeftPadTraceIDs: true}},
		}}
	for id, want := range map[string]struct {
		rate, burst int64
		retries     bool
		tags        int
	}{
		"a":      {10, 10, false, 0},
		"burst":  {100, 5, true, 0},
		"closed": {0, 0, true, 0},
		"other":  {100, 300, true, 0},
	} {
		l := s.Of(id)
		rate, burst, limited := l.Ingestion.Rate()
		require.True(t, limited, id)
		require.Equal(t, want.rate, rate, id)
		require.Equal(t, want.burst, burst, id)
		require.Equal(t, want.retries, l.Ingestion.Retries(), id)
		require.Equal(t, want.tags, l.Read.MaxTagBytes, id)
		require.Equal(t, Global, l.Ingestion.Strategy, "the strategy is the node's")
	}
	require.True(t, s.Of("other").Read.LeftPadTraceIDs)
	_, _, limited := (&Set{}).Of("a").Ingestion.Rate()
	require.False(t, limited, "no limit where none is set")
}

// The error for a value that cannot work must name its key.
func TestValidate(t *testing.T) {
	err := Ingestion{Strategy: "some", RateLimit: ptr[int64](-1), BurstSize: ptr[int64](-1)}.Validate()
	require.ErrorContains(t, err, "rate_strategy: unknown strategy some")
	require.ErrorContains(t, err, "rate_limit_bytes")
	require.ErrorContains(t, err, "burst_size_bytes")
	require.ErrorContains(t, Read{MaxTagBytes: -1}.Validate(), "max_bytes_per_tag_values_query")
	require.ErrorContains(t, Tenant{Generator: map[string]any{"procesors": []any{}}}.Validate(),
		`metrics_generator: json: unknown field "procesors"`)
	require.NoError(t, Tenant{Generator: map[string]any{"processors": []any{"a"},
		"collection_interval": "1s"}}.Validate(), "names and ranges are those of the API alone")
}
