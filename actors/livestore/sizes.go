package livestore

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Bounds of what is remembered of the sizes of traces, of one partition.
const (
	sizePeriod = 5 * time.Minute
	maxSizes   = 1 << 16 // traces counted in a period; then the next begins
	maxLarge   = 10_000  // traces over their limit at a time
)

// sizes counts the bytes of each trace of tenants that limit them. A trace is counted on as long as
// it has a span in each period, which lasts five minutes or until so many traces were seen; one
// that is over its limit is refused for two periods of five minutes and then begins anew.
type sizes struct {
	limit      func(tenant string) int64 // 0: none; nil: no tenant has one
	young, old map[jobs.LargeTrace]int64 // bytes, of this period and of those that had a span in the one before
	turned     time.Time
	large      map[jobs.LargeTrace]time.Time // since when
	changed    bool                          // large is not what list says
	list       []jobs.LargeTrace             // of large, in order, as of the last second; replaced, not changed
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
		s.old, s.young, s.turned = s.young, map[jobs.LargeTrace]int64{}, now
	}
	trace.SpanSizes(otlp, func(id trace.ID, bytes int) {
		k := jobs.LargeTrace{Tenant: tenant, ID: id}
		n, ok := s.young[k]
		if !ok {
			n = s.old[k]
		}
		n += int64(bytes)
		s.young[k] = n
		if _, known := s.large[k]; n > limit && !known && len(s.large) < maxLarge {
			if s.large == nil {
				s.large = map[jobs.LargeTrace]time.Time{}
			}
			s.large[k] = now
			s.changed = true
		}
	})
}

// second lets go of traces that have been refused long enough, and of those whose tenants are
// limited no more, and lists the others.
func (s *sizes) second(now time.Time) {
	for k, since := range s.large {
		if now.Sub(since) >= 2*sizePeriod || s.limit(k.Tenant) <= 0 {
			delete(s.large, k)
			delete(s.young, k)
			delete(s.old, k)
			s.changed = true
		}
	}
	if s.changed {
		s.changed = false
		s.list = slices.SortedFunc(maps.Keys(s.large), func(a, b jobs.LargeTrace) int {
			return cmp.Or(strings.Compare(a.Tenant, b.Tenant), bytes.Compare(a.ID[:], b.ID[:]))
		})
	}
}
