// Package plan turns a query into jobs: which blocks are read, what is asked of the live stores, and which traces must be
// looked at whole because spans of theirs lie in more than one place. It is pure; the query-frontend carries the jobs out.
//
// The types named …Job are the requests that travel from the query-frontend to queriers and live stores, the types named
// …Result their answers. Locally they are passed by pointer and frozen once sent.
package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// TraceWindow bounds a trace in time: a query over a range sees of a trace the spans within this distance of the range.
const TraceWindow = 24 * time.Hour

// Scan is what a job evaluates over one home; exactly one field is set.
type Scan struct {
	Search  *traceql.SearchRequest
	Metrics *traceql.MetricsRequest
}

// Partial is the result of a Scan over one home or several; the field of the Scan's kind is set.
type Partial struct {
	Search  *traceql.SearchPartial
	Metrics *traceql.MetricsPartial
}

// HomesJob asks a live-store which of a tenant's traces in [From, head) have another home: a second live segment or a block.
type HomesJob struct {
	Tenant  string
	Version uint64               // catalog version of the query; the live-store answers from this or a newer one
	From    int64                // covered offset of the partition in that version
	Blocks  []*blocks.BlockMeta  // the tenant's blocks of that version that may hold traces of the partition
}

// HomesResult answers HomesJob. UpTo fixes the end of the query in this partition: later jobs name it.
type HomesResult struct {
	Partition int32
	Floor     int64 // lowest offset still held; above From the query must be planned again on a newer catalog
	UpTo      int64
	Watermark int64 // unix nanoseconds: arrival time of the newest record below UpTo, 0 when there is none
	Shared    []Extent
}

// Extent is the time from the earliest start to the latest end of a trace's spans, as far as the sender knows.
type Extent struct {
	ID         trace.ID
	Start, End uint64 // unix nanoseconds
	Inside     bool   // every fragment known overlaps the query's range on its own; set by Shared
}

// LiveScanJob asks a live-store to evaluate a scan over a tenant's records in [From, UpTo).
type LiveScanJob struct {
	Tenant     string
	From, UpTo int64
	Scan       Scan
	Shared     *Shared
}

// LiveTracesJob asks a live-store for all spans of traces in [From, UpTo). UpTo < 0 means all that it has read.
type LiveTracesJob struct {
	Tenant     string
	From, UpTo int64
	IDs        []trace.ID
}

// BlockScanJob asks a querier to evaluate a scan over one block.
type BlockScanJob struct {
	Block  *blocks.BlockMeta
	Scan   Scan
	Shared *Shared
}

// BlockTracesJob asks a querier for all spans of traces in one block. The trace-id filter answers most ids without a read.
type BlockTracesJob struct {
	Block *blocks.BlockMeta
	IDs   []trace.ID
}

// ScanResult answers LiveScanJob and BlockScanJob.
type ScanResult struct {
	Partial Partial
	Bytes   int64 // read for this job
}

// TracesResult answers LiveTracesJob and BlockTracesJob: per id in the order of the job, the fragments held (none: nil).
type TracesResult struct {
	Fragments [][]trace.Fragment
	Bytes     int64
	Floor     int64 // live-store only, as in HomesResult
	UpTo      int64
}

// Shared is the set of traces that have several homes, fixed for one query. Scans leave them out and name them as candidates.
// The zero value and nil are the empty set. It is immutable once the scans are sent.
type Shared struct {
	base  Set // published sets, may be nil
	extra map[trace.ID]struct{}
}

// Set is a fixed set of trace ids.
type Set interface{ Has(id trace.ID) bool }

// NewShared joins a published set with the live stores' lists.
func NewShared(base Set, live ...[]Extent) *Shared {
	s := &Shared{base: base, extra: map[trace.ID]struct{}{}}
	for _, l := range live {
		for _, e := range l {
			s.extra[e.ID] = struct{}{}
		}
	}
	return s
}

// Has reports whether the trace has several homes.
func (s *Shared) Has(id trace.ID) bool {
	if s == nil {
		return false
	}
	if _, ok := s.extra[id]; ok {
		return true
	}
	return s.base != nil && s.base.Has(id)
}

// Range is a half-open time range in unix nanoseconds.
type Range struct{ Start, End uint64 }

// Widen adds d on both sides, stopping at the ends of time.
func (r Range) Widen(d time.Duration) Range {
	w := Range{Start: r.Start - min(r.Start, uint64(d)), End: r.End + uint64(d)}
	if w.End < r.End {
		w.End = ^uint64(0)
	}
	return w
}

// Overlaps reports whether [start, end], both inclusive as spans are, meets the range.
func (r Range) Overlaps(start, end uint64) bool { return start < r.End && end >= r.Start }

// NewestFirst sorts blocks by the newest span they hold, so that a limited search can stop early. Ties go by id.
func NewestFirst(metas []*blocks.BlockMeta) {
	slices.SortFunc(metas, func(a, b *blocks.BlockMeta) int {
		return cmp.Or(cmp.Compare(b.GetMaxEndUnixNano(), a.GetMaxEndUnixNano()), cmp.Compare(a.GetId(), b.GetId()))
	})
}

// MayHold reports whether a block can hold the trace by the partitions it was routed with: hash(tenant, id) mod one of its
// P is its partition. Blocks merged over partitions carry partition -1 and may hold any.
func MayHold(m *blocks.BlockMeta, id trace.ID) bool {
	if m.GetPartition() < 0 || len(m.GetParts()) == 0 {
		return true
	}
	for _, p := range m.GetParts() {
		if p > 0 && trace.Partition(m.GetTenant(), id, int(p)) == m.GetPartition() {
			return true
		}
	}
	return false
}
