package distributor

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/limits"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func limited(perSecond, burst int64) limits.Ingestion {
	return limits.Ingestion{RateLimit: &perSecond, BurstSize: &burst}
}

// A tenant may send its burst at once and then its rate. A refused request takes nothing out of the
// bucket, and tenants do not take from each other.
func TestRates(t *testing.T) {
	of := map[string]limits.Ingestion{"a": limited(100, 300), "b": limited(100, 300), "closed": limited(0, 300)}
	r := newRates(func(id string) limits.Ingestion { return of[id] })
	take := func(after time.Duration, id string, n int64) bool {
		refused, _ := r.takeTokens(noon.Add(after), id, n)
		return refused == nil
	}
	require.True(t, take(0, "a", 300))
	require.False(t, take(0, "a", 1))
	require.True(t, take(0, "b", 300))
	require.False(t, take(999*time.Millisecond, "a", 100))
	require.True(t, take(time.Second, "a", 100), "the refused request took nothing")
	require.False(t, take(time.Second, "a", 1))
	require.False(t, take(time.Hour, "a", 301), "larger than the burst: never")
	require.False(t, take(time.Hour, "closed", 1), "a rate of 0 takes nothing")
	require.True(t, take(0, "free", 1<<40))
}

// Changed limits hold from the next request on, and tokens stay in the bucket.
func TestRatesChange(t *testing.T) {
	l := limited(100, 100)
	r := newRates(func(string) limits.Ingestion { return l })
	refused, _ := r.takeTokens(noon, "a", 200)
	require.Error(t, refused)
	l = limited(100, 1000)
	refused, _ = r.takeTokens(noon.Add(time.Second), "a", 200)
	require.Error(t, refused, "the bucket holds what the old burst allowed")
	refused, _ = r.takeTokens(noon.Add(2*time.Second), "a", 200)
	require.NoError(t, refused)
	l = limits.Ingestion{}
	refused, _ = r.takeTokens(noon.Add(2*time.Second), "a", 1<<40)
	require.NoError(t, refused)
	require.Empty(t, r.buckets)
}

// The text distinguishes a request that never fits from a rate that is used up, and names the
// limits, the size and the tenant.
func TestRatesText(t *testing.T) {
	l := limited(1000, 1000)
	r := newRates(func(string) limits.Ingestion { return l })
	refused, retries := r.takeTokens(noon, "limited", 1977)
	require.EqualError(t, refused, "RATE_LIMITED: batch size (1977 bytes) exceeds ingestion limit "+
		"(local: 1000 bytes/s, global: 0 bytes/s, burst: 1000 bytes) "+
		"while adding 1977 bytes for user limited. consider reducing batch size or increasing rate limit.")
	require.True(t, retries)
	no := false
	l.Strategy, l.RetryInfo = limits.Global, &no
	_, _ = r.takeTokens(noon, "limited", 1000)
	refused, retries = r.takeTokens(noon, "limited", 1000)
	require.ErrorContains(t, refused,
		"RATE_LIMITED: ingestion rate limit (local: 1000 bytes/s, global: 1000 bytes/s, burst: 1000 bytes)")
	require.ErrorContains(t, refused, "adding 1000 bytes for user limited")
	require.False(t, retries)
}

// However many tenants send, only the buckets that are not full again are kept.
func TestRatesForget(t *testing.T) {
	r := newRates(func(string) limits.Ingestion { return limited(10, 10) })
	for i := range 10 * leastSweep {
		refused, _ := r.takeTokens(noon.Add(time.Duration(i)*time.Second), fmt.Sprint(i), 10)
		require.NoError(t, refused)
		require.LessOrEqual(t, len(r.buckets), leastSweep)
	}
}

// The cost of a push when the rate of its tenant is limited, with many tenants.
func BenchmarkTakeTokens(b *testing.B) {
	l := limited(1<<40, 1<<40)
	r := newRates(func(string) limits.Ingestion { return l })
	tenants := make([]string, 1000)
	for i := range tenants {
		tenants[i] = fmt.Sprint(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_, _ = r.takeTokens(noon, tenants[i%len(tenants)], 1000)
	}
}
