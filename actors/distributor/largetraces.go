package distributor

import (
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// largeTraces are the traces over their tenants' limits, as the live-stores named them last.
type largeTraces struct {
	named map[int32][]jobs.LargeTrace      // by partition
	of    map[string]map[trace.ID]struct{} // by tenant; replaced as a whole, because jobs read it
}

// replaceNamed takes the large traces of a partition in place of those that were named before.
func (l *largeTraces) replaceNamed(partition int32, named []jobs.LargeTrace) {
	old := l.named[partition]
	if len(old) == len(named) && (len(old) == 0 || &old[0] == &named[0] || slices.Equal(old, named)) {
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
