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

// Bounds of what is kept of the sizes of traces, for each partition.
const (
	sizePeriod = 5 * time.Minute
	maxSizes   = 1 << 16 // traces counted in a period; then the next one begins
	maxLarge   = 10_000  // traces over their limit at a time
)

// traceSizes counts the bytes of each trace of tenants that limit them. A period lasts five minutes
// or until so many traces were seen. Counting of a trace goes on as long as it has a span in each
// period. A trace over its limit is refused for ten minutes, and then its count begins anew.
type traceSizes struct {
	limit      func(tenant string) int64 // 0: none; nil: no tenant has one
	young, old map[jobs.LargeTrace]int64 // bytes, of this period and of the one before
	turned     time.Time                 // when this period began
	since      map[jobs.LargeTrace]time.Time
	changed    bool // large does not list the keys of since
	// large are the traces over their limit as of the last second, in order. The slice is replaced,
	// never changed.
	large []jobs.LargeTrace
}

// countSpans counts the spans of a record.
func (s *traceSizes) countSpans(now time.Time, tenant string, otlp []byte) {
	if s.limit == nil {
		return
	}
	limit := s.limit(tenant)
	if limit <= 0 {
		return
	}
	if s.young == nil || len(s.young) >= maxSizes || now.Sub(s.turned) >= sizePeriod {
		s.old, s.young = s.young, map[jobs.LargeTrace]int64{}
		s.turned = now
	}
	trace.SpanSizes(otlp, func(id trace.ID, bytes int) {
		k := jobs.LargeTrace{Tenant: tenant, ID: id}
		n, ok := s.young[k]
		if !ok {
			n = s.old[k]
		}
		n += int64(bytes)
		s.young[k] = n
		if _, known := s.since[k]; n > limit && !known && len(s.since) < maxLarge {
			if s.since == nil {
				s.since = map[jobs.LargeTrace]time.Time{}
			}
			s.since[k] = now
			s.changed = true
		}
	})
}

// listLarge drops traces that have been refused long enough and those whose tenants are no longer
// limited, and lists the others in large.
func (s *traceSizes) listLarge(now time.Time) {
	for k, since := range s.since {
		if now.Sub(since) >= 2*sizePeriod || s.limit(k.Tenant) <= 0 {
			delete(s.since, k)
			delete(s.young, k)
			delete(s.old, k)
			s.changed = true
		}
	}
	if s.changed {
		s.changed = false
		s.large = slices.SortedFunc(maps.Keys(s.since), func(a, b jobs.LargeTrace) int {
			return cmp.Or(strings.Compare(a.Tenant, b.Tenant), bytes.Compare(a.ID[:], b.ID[:]))
		})
	}
}
