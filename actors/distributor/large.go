package distributor

import (
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// large are the traces that are over their tenants' limits, as the live stores have named them
// last.
type large struct {
	named map[int32][]jobs.LargeTrace      // by partition
	of    map[string]map[trace.ID]struct{} // by tenant; replaced as a whole, because jobs read it
}

// set takes what a partition's live-store names now: all of its large traces.
func (l *large) set(partition int32, named []jobs.LargeTrace) {
	if had := l.named[partition]; len(had) == len(named) && (len(had) == 0 || &had[0] == &named[0] || slices.Equal(had, named)) {
		return // the same list comes after every batch
	}
	if l.named == nil {
		l.named = map[int32][]jobs.LargeTrace{}
	}
	l.named[partition] = named
	l.of = map[string]map[trace.ID]struct{}{}
	for _, list := range l.named {
		for _, t := range list {
			if l.of[t.Tenant] == nil {
				l.of[t.Tenant] = map[trace.ID]struct{}{}
			}
			l.of[t.Tenant][t.ID] = struct{}{}
		}
	}
}
