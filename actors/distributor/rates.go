package distributor

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/troupe-tracing/troupe/runtime/engine/limits"
)

// rates has a token bucket for each tenant whose rate is limited and that has sent lately.
type rates struct {
	limitsOf func(tenant string) limits.Ingestion // at present; nil: no tenant has any
	buckets  map[string]*rate.Limiter
	// sweepAt is the number of buckets at which those that are full again are dropped: a new bucket
	// is full as well.
	sweepAt int
}

const leastSweep = 1024

func newRates(limitsOf func(string) limits.Ingestion) *rates {
	return &rates{limitsOf: limitsOf, buckets: map[string]*rate.Limiter{}, sweepAt: leastSweep}
}

// takeTokens takes the bytes of a request out of its tenant's bucket. If there are too few it takes
// none and returns why the request is refused, and whether its client is told when to come back.
// The limits are looked up each time, because they change while the node runs.
func (r *rates) takeTokens(now time.Time, tenant string, bytes int64) (refused error, retries bool) {
	if r.limitsOf == nil {
		return nil, false
	}
	l := r.limitsOf(tenant)
	perSecond, burst, limited := l.Rate()
	if !limited {
		delete(r.buckets, tenant)
		return nil, false
	}
	b := r.bucketOf(now, tenant, rate.Limit(perSecond), int(burst))
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
		return fmt.Errorf("RATE_LIMITED: batch size (%d bytes) exceeds ingestion limit %s while adding %d bytes "+
			"for user %s. consider reducing batch size or increasing rate limit.",
			bytes, size, bytes, tenant), l.Retries()
	}
	return fmt.Errorf("RATE_LIMITED: ingestion rate limit %s is used up while adding %d bytes for user %s. "+
		"consider sending less, or increasing the limit", size, bytes, tenant), l.Retries()
}

// bucketOf returns the tenant's bucket, with the rate and burst that are in force now.
func (r *rates) bucketOf(now time.Time, tenant string, perSecond rate.Limit, burst int) *rate.Limiter {
	b := r.buckets[tenant]
	if b == nil {
		if len(r.buckets) >= r.sweepAt {
			r.dropFull(now)
		}
		b = rate.NewLimiter(perSecond, burst)
		r.buckets[tenant] = b
	}
	if b.Limit() != perSecond {
		b.SetLimitAt(now, perSecond)
	}
	if b.Burst() != burst {
		b.SetBurstAt(now, burst)
	}
	return b
}

func (r *rates) dropFull(now time.Time) {
	for tenant, b := range r.buckets {
		if b.TokensAt(now) >= float64(b.Burst()) {
			delete(r.buckets, tenant)
		}
	}
	r.sweepAt = max(leastSweep, 2*len(r.buckets))
}
