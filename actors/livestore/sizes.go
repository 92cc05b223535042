package livestore

import (
	"maps"
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Bounds of what is remembered of the sizes of traces, of one partition.
const (
	sizePeriod = 5 * time.Minute
	maxSizes   = 1 << 16 // traces counted in a period; then the next begins
	maxLarge   = 10_000  // traces over their limit at a time
)

// sizes counts the bytes of each trace of tenants that limit them. A trace is counted on as long as it has a span in each period, which lasts five minutes or until
// so many traces were seen; one that is over its limit is refused for two periods of five minutes and then begins anew.
type sizes struct {
	limit      func(tenant string) int64 // 0: none; nil: no tenant has one
	young, old map[plan.LargeTrace]int64 // bytes, of this period and of those that had a span in the one before
	turned     time.Time
	large      map[plan.LargeTrace]time.Time // since when
	list       []plan.LargeTrace             // of large; replaced, not changed
}

// add counts the spans of a record.
func (s *sizes) add(now time.Time, tenant string, otlp []byte) {
	if s.limit == nil {
		return
	}
	limit := s.limit(tenant)
	if limit <= 0 {
		return
	}
	if s.young == nil || len(s.young) >= maxSizes || now.Sub(s.turned) >= sizePeriod {
		s.old, s.young, s.turned = s.young, map[plan.LargeTrace]int64{}, now
	}
	trace.SpanSizes(otlp, func(id trace.ID, bytes int) {
		k := plan.LargeTrace{Tenant: tenant, ID: id}
		n, ok := s.young[k]
		if !ok {
			n = s.old[k]
		}
		n += int64(bytes)
		s.young[k] = n
		if _, known := s.large[k]; n > limit && !known && len(s.large) < maxLarge {
			if s.large == nil {
				s.large = map[plan.LargeTrace]time.Time{}
			}
			s.large[k] = now
			s.list = append(slices.Clip(s.list), k)
		}
	})
}

// expire lets go of traces that have been refused long enough, and of those whose tenants are limited no more.
func (s *sizes) expire(now time.Time) {
	before := len(s.large)
	maps.DeleteFunc(s.large, func(k plan.LargeTrace, since time.Time) bool {
		if now.Sub(since) < 2*sizePeriod && s.limit(k.Tenant) > 0 {
			return false
		}
		delete(s.young, k)
		delete(s.old, k)
		return true
	})
	if len(s.large) < before {
		s.list = slices.DeleteFunc(slices.Clone(s.list), func(k plan.LargeTrace) bool { _, ok := s.large[k]; return !ok })
	}
}
