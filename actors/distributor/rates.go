package distributor

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/troupe-tracing/troupe/runtime/engine/limits"
)

// rates holds a token bucket for each tenant whose rate is limited and that has sent lately.
type rates struct {
	of      func(tenant string) limits.Ingestion
	buckets map[string]*rate.Limiter
	sweepAt int // so many buckets: those that are full again, as a new one is, are let go
}

const leastSweep = 1024

func newRates(of func(string) limits.Ingestion) *rates {
	return &rates{of: of, buckets: map[string]*rate.Limiter{}, sweepAt: leastSweep}
}

// take takes the bytes of a request out of its tenant's bucket, or says why it is refused and
// whether its client is told when to come back. What holds is asked for each time: limits change
// while the node runs.
func (r *rates) take(now time.Time, tenant string, bytes int64) (refused error, retries bool) {
	if r.of == nil {
		return nil, false
	}
	l := r.of(tenant)
	perSecond, burst, limited := l.Rate()
	if !limited {
		delete(r.buckets, tenant)
		return nil, false
	}
	b := r.bucket(now, tenant, perSecond, burst)
	if perSecond > 0 && b.AllowN(now, int(bytes)) {
		return nil, false
	}
	global := int64(0)
	if l.Strategy == limits.Global {
		global = perSecond
	}
	size := fmt.Sprintf("(local: %d bytes/s, global: %d bytes/s, burst: %d bytes)", perSecond, global, burst)
	if bytes > perSecond && bytes > burst {
		//lint:ignore ST1005 the text is the API's
		return fmt.Errorf("RATE_LIMITED: batch size (%d bytes) exceeds ingestion limit %s while adding %d bytes for user %s. consider reducing batch size or increasing rate limit.",
			bytes, size, bytes, tenant), l.Retries()
	}
	return fmt.Errorf("RATE_LIMITED: ingestion rate limit %s is used up while adding %d bytes for user %s. consider sending less, or increasing the limit", size, bytes, tenant), l.Retries()
}

func (r *rates) bucket(now time.Time, tenant string, perSecond, burst int64) *rate.Limiter {
	b := r.buckets[tenant]
	if b == nil {
		if len(r.buckets) >= r.sweepAt {
			r.sweep(now)
		}
		b = rate.NewLimiter(rate.Limit(perSecond), int(burst))
		r.buckets[tenant] = b
	}
	if b.Limit() != rate.Limit(perSecond) {
		b.SetLimitAt(now, rate.Limit(perSecond))
	}
	if b.Burst() != int(burst) {
		b.SetBurstAt(now, int(burst))
	}
	return b
}

func (r *rates) sweep(now time.Time) {
	for tenant, b := range r.buckets {
		if b.TokensAt(now) >= float64(b.Burst()) {
			delete(r.buckets, tenant)
		}
	}
	r.sweepAt = max(leastSweep, 2*len(r.buckets))
}
