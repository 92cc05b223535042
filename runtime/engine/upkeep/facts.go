package upkeep

import (
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/compact"
)

// Facts are what Describe makes a Status of: the catalog, and what the scheduler knows beside it.
type Facts struct {
	Catalog *catalog.State
	Policy  Policy
	Due     map[string][]compact.Job // merges, by tenant
	Off     bool                     // nothing is merged, of no tenant
	Trouble string                   // why the catalog cannot be read or written; empty: it can
	Tended  func(lease string) (began, heard time.Time)
	Workers []*Worker // their states are of Describe
	Rate    Rate
	Failed  []Failure // the newest ones last
	// Resting are blocks that are due, and of which a merge has failed a short time ago.
	Resting   map[string]bool
	Retention Retaining // without what Describe finds in the catalog
	NotBefore time.Time // when the next day may go at the earliest
	Sweep     SweepStatus
}

// Rate is what merges have taken, of which the newest ones count.
type Rate struct{ merges []mergeTime }

type mergeTime struct {
	bytes int64
	took  time.Duration // with the rest after it
}

// mostMeasured is how many merges the rate is measured over.
const mostMeasured = 32

// Note counts a merge of some bytes, which took so long with the rest of the worker after it.
func (r *Rate) Note(bytes int64, took time.Duration) {
	if took <= 0 {
		return
	}
	if len(r.merges) == mostMeasured {
		r.merges = append(r.merges[:0], r.merges[1:]...)
	}
	r.merges = append(r.merges, mergeTime{bytes, took})
}

// Count returns how many merges the rate is measured over.
func (r *Rate) Count() int { return len(r.merges) }

// BytesPerSecond returns what one worker merges in a second; 0 if that is not known.
func (r *Rate) BytesPerSecond() float64 {
	bytes, took := int64(0), time.Duration(0)
	for _, m := range r.merges {
		bytes, took = bytes+m.bytes, took+m.took
	}
	if took == 0 {
		return 0
	}
	return float64(bytes) / took.Seconds()
}
