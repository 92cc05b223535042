package jobs

import (
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Snapshot is the version of the catalog that a query is planned on, and the epoch of the log that
// its offsets belong to.
type Snapshot struct {
	Version uint64
	Epoch   string
}

// Retained is what a live-store still holds: its records from Floor on, as of a version of the
// catalog. Where Floor is above the From of a job, the records that the job asks for are in blocks
// by now, or they are of a log that is no more: the query must be planned again, on Version or a
// newer one.
type Retained struct {
	Floor   int64
	Version uint64
	// Aside names the records that were asked for and are not held, because they could not be read.
	// It must not be changed.
	Aside []*blocks.SetAside
}

// HomesJob asks a live-store which of a tenant's traces in [From, head) have another home: a second
// live segment, or a block.
type HomesJob struct {
	Snapshot
	Tenant string
	From   int64               // the covered offset of the partition in the query's version of the catalog
	Blocks []*blocks.BlockMeta // the tenant's blocks of that version
	// Repeating reports that only those traces are asked for that are not known to be disjoint.
	Repeating bool
	// Parts are the numbers of partitions that live records were routed by, if there are several.
	// Traces that any of these numbers maps to another partition are reported, too.
	Parts []int32
}

// HomesResult answers HomesJob. UpTo fixes the end of the query in this partition: later jobs name
// it.
type HomesResult struct {
	Retained
	Partition int32
	UpTo      int64
	// Behind is why the live-store has not read the log to its end; empty: it has. Records that
	// were acknowledged meanwhile are not in the answer.
	Behind string
	// Watermark is in unix ns: everything that arrived in this partition before it is below UpTo.
	// 0: not known.
	Watermark int64
	// Unread are the blocks that were to be searched for traces that are held here, too, and could
	// not be. Shared lacks their part.
	Unread []BlockFailure
	Spans  int64   // of the tenant in [From, UpTo)
	Parts  []int32 // the numbers of partitions that the records from From on were routed by
	// Shared are the traces with rows in [From, UpTo) that have another home. It may name too many
	// traces, but never too few.
	Shared []catalog.Extent
}

// LiveScanJob asks a live-store to evaluate a scan over a tenant's records in [From, UpTo).
type LiveScanJob struct {
	Snapshot
	Tenant     string
	From, UpTo int64
	Scan       Scan
	Shared     *Shared
}

// BlockScanJob asks a querier to evaluate a scan over a block, or over one part of it: of the
// block's row groups in their order, the Part-th of Parts runs of equal length. Parts 0 and 1 mean
// all.
type BlockScanJob struct {
	Block       *blocks.BlockMeta
	Part, Parts int
	Scan        Scan
	Key         string  // of Scan, for caches
	Shared      *Shared // nil: the block holds none of these traces
	// Print stands for the traces of Shared that the block may hold: scans with equal prints leave
	// out the same traces of it. 0: none.
	Print   uint64
	Explain bool // fill Read, and use no known results
}

// RowGroups returns which of the block's n row groups are the job's: [from, to).
func (j *BlockScanJob) RowGroups(n int) (from, to int) {
	if j.Parts <= 1 {
		return 0, n
	}
	return n * j.Part / j.Parts, n * (j.Part + 1) / j.Parts
}

// ScanResult answers LiveScanJob and BlockScanJob. Partial may be shared with other queries, so it
// must not be changed.
type ScanResult struct {
	Partial   Partial
	Bytes     int64       // read for this job
	Spans     int64       // looked at for this job
	CacheHits int         // row groups whose result was known
	Read      *BlockReads // where the job asks for it
	// Oldest is where the job's row groups begin, for a block's searches only: no trace in the row
	// groups before them starts later. 0: not known.
	Oldest   uint64
	Retained // of a live-store only
}

// BlockFailure is a block that could not be read, and why. It is an error of its Class.
type BlockFailure struct {
	Block  *blocks.BlockMeta
	Class  string // the name of a class of runtime/kernel/status
	Reason string
}

// Error returns the reason.
func (f BlockFailure) Error() string { return f.Reason }

// StatusClass returns the name of the failure's class.
func (f BlockFailure) StatusClass() string { return f.Class }

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

// Appended tells the distributors that a live-store has made the records of its partition below
// Next searchable. It comes again now and then, so that a lost one does no harm.
type Appended struct {
	Partition int32
	Epoch     string // of the log; in another epoch the offsets begin anew
	Next      int64
	// Large are all traces of the partition whose spans are to be refused, because they are over
	// their tenant's limit. It must not be changed.
	Large []LargeTrace
}

// LargeTrace names a trace that is over its tenant's limit.
type LargeTrace struct {
	Tenant string
	ID     trace.ID
}
