// Package jobs is the vocabulary of questions: a query and its answer, the jobs that a query falls
// into, and their results. It runs a job over tables and merges partial results. It is pure; actors
// carry the jobs out.
//
// The types named …Job are the requests that travel from the query-frontend to queriers and live
// stores, the types named …Result their answers. They are passed by pointer and frozen once sent.
// Those that travel between nodes are data alone, without functions, errors or tables;
// crossing_test.go lists them and holds them to it.
package jobs

import (
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Snapshot is the version of the catalog that a query is planned on, and the epoch of the log that
// its offsets belong to.
type Snapshot struct {
	Version uint64
	Epoch   string
}

// Retained says what a live-store holds: [Floor, …) as of a version of the catalog. Where Floor is
// above the From of the job, what the job asks for is in blocks by now or of a log that is no more:
// the query must be planned again, on Version or a newer one.
type Retained struct {
	Floor   int64
	Version uint64
	// records that were asked for and are not held, because they could not be read; not to be
	// changed
	Aside []*blocks.SetAside
}

// HomesJob asks a live-store which of a tenant's traces in [From, head) have another home: a second
// live segment or a block.
type HomesJob struct {
	Snapshot
	Tenant string
	From   int64               // covered offset of the partition in the query's catalog version
	Blocks []*blocks.BlockMeta // the tenant's blocks of that version
	// Parts are the partition counts that live records were routed by, if there are several. Traces
	// that any of these counts maps to another partition are reported, too.
	Parts []int32
}

// HomesResult answers HomesJob. UpTo fixes the end of the query in this partition: later jobs name
// it.
type HomesResult struct {
	Retained
	Partition int32
	UpTo      int64
	// why the live-store cannot read on at present; empty: it can. What was acknowledged meanwhile
	// is not in the answer
	Behind    string
	Watermark int64 // unix ns: what arrived in this partition before is below UpTo; 0: not known
	// blocks that were to be looked at for traces held here, too, and could not be: their part of
	// Shared is not known
	Unread []BlockFailure
	Spans  int64   // of the tenant in [From, UpTo)
	Parts  []int32 // every number of partitions that records from From on were routed by
	// traces with rows in [From, UpTo) that have another home; may name too many, never too few
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

// LiveTracesJob asks a live-store for all spans of traces in [From, UpTo). UpTo < 0 means all that
// it has read.
type LiveTracesJob struct {
	Snapshot
	Tenant     string
	From, UpTo int64
	IDs        []trace.ID
}

// BlockScanJob asks a querier to evaluate a scan over one block, or over one part of it: of the
// block's row groups in their order, the Part-th of Parts runs of equal length. Parts 0 and 1 mean
// all.
type BlockScanJob struct {
	Block       *blocks.BlockMeta
	Part, Parts int
	Scan        Scan
	Key         string // of Scan, for caches
	Shared      *Shared
	Print       uint64 // of the traces of Shared that the block may hold: equal prints leave out the same traces of it
	Explain     bool   // fill Read, and use nothing that is known from before
}

// RowGroups returns which of the block's n row groups are the job's: [from, to).
func (j *BlockScanJob) RowGroups(n int) (from, to int) {
	if j.Parts <= 1 {
		return 0, n
	}
	return n * j.Part / j.Parts, n * (j.Part + 1) / j.Parts
}

// BlockTracesJob asks a querier for all spans of traces in some blocks. The trace-id filter answers
// most ids without a read.
type BlockTracesJob struct {
	Blocks []*blocks.BlockMeta
	IDs    []trace.ID
}

// ScanResult answers LiveScanJob and BlockScanJob. Its partial may be another query's, too: it must
// not be changed.
type ScanResult struct {
	Partial   Partial
	Bytes     int64       // read for this job
	Spans     int64       // looked at for this job
	CacheHits int         // row groups whose result was known
	Read      *BlockReads // where the job asks for it
	// Oldest is where the job's row groups begin, a block's searches only: no trace in the row
	// groups before them starts later. 0: not known.
	Oldest   uint64
	Retained // live-store only
}

// TracesResult answers LiveTracesJob and BlockTracesJob: per id in the order of the job, for each
// table that holds a part of the trace its fragments.
type TracesResult struct {
	Fragments [][][]trace.Fragment
	Bytes     int64
	Failed    []BlockFailure // blocks of the job that could not be read
	Retained                 // live-store only, as the rest
	UpTo      int64
	Watermark int64  // as in HomesResult
	Behind    string // as in HomesResult
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

// MayHold reports whether a block can hold the trace by the partitions it was routed with:
// hash(tenant, id) mod one of its P is its partition. Blocks merged over partitions carry partition
// -1 and may hold any.
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

// MayShare reports whether a block can hold traces of what lies in a partition and was routed by
// one of parts. Of records that were routed by one and the same number of partitions, each
// partition has traces of its own.
func MayShare(m *blocks.BlockMeta, partition int32, parts []int32) bool {
	if m.GetPartition() < 0 || partition < 0 || m.GetPartition() == partition {
		return true
	}
	return len(parts) != 1 || len(m.GetParts()) != 1 || parts[0] != m.GetParts()[0]
}

// CutJob asks a live-store for the records from the covered offset on, sealed and ready to be
// written as blocks, if they are due: at least Bytes of them, or the oldest at least Age old by the
// live-store's clock, or the node holds too much and this partition most of it, or Force. Otherwise
// the answer is an empty range. A cut is at most twice Bytes, or one record. One that is asked for
// again is the same again, or a part of it.
type CutJob struct {
	Partition int32
	// of the log, by the catalog; a live-store that is in another answers with its own and an empty
	// range
	Epoch string
	From  int64
	Bytes int64
	Age   time.Duration
	Force bool
	Most  int64 // offsets that the cut may span, but for those of its first record; 0: any number
}

// CutResult answers CutJob with the records [From, To) as tables by tenant. The tables stay valid
// after the live-store drops them.
type CutResult struct {
	Epoch    string
	Version  uint64 // of the catalog that Floor rests on
	From, To int64
	Last     *blocks.Fingerprint // of the record below To, as it was read; nil: not known
	// where Last is not known: the next offset whose record's fingerprint is; that says that all
	// below is as it was read, too
	Later                     int64
	LaterPrint                *blocks.Fingerprint
	Records                   int
	Floor                     int64   // lowest offset the live-store holds
	Bytes                     int64   // of the log, uncovered from From on
	FirstArrival, LastArrival int64   // unix nanoseconds
	Parts                     []int32 // every P the records were routed by
	// by tenant; they are the live-store's own, so a cut never leaves the node: a block-builder
	// that runs without a live-store beside it reads the log instead
	Tables map[string][]column.Table
	Aside  []AsideRecord // of the records, those that are in no table
}

// AsideRecord is a record that was set aside, and why.
type AsideRecord struct {
	Offset  int64
	Tenant  string // empty: not known
	Arrival int64  // unix ns
	Reason  string
	Foreign bool // written by another program: nobody was told that its spans are kept
}

// SummarizeSetAside says of records what answers and the catalog name: one entry for each tenant,
// in order of the first of its records. Offsets ascend. Foreign ones are not named.
func SummarizeSetAside(epoch string, partition int32, list []AsideRecord) (out []*blocks.SetAside) {
	of := map[string]*blocks.SetAside{}
	for _, r := range list {
		if r.Foreign {
			continue
		}
		m := of[r.Tenant]
		if m == nil {
			m = &blocks.SetAside{Epoch: epoch, Partition: partition, Tenant: r.Tenant, From: r.Offset, MinArrivalUnixNano: r.Arrival, MaxArrivalUnixNano: r.Arrival, Reason: r.Reason}
			of[r.Tenant] = m
			out = append(out, m)
		}
		m.To = r.Offset + 1
		m.Records++
		m.MinArrivalUnixNano, m.MaxArrivalUnixNano = min(m.MinArrivalUnixNano, r.Arrival), max(m.MaxArrivalUnixNano, r.Arrival)
	}
	return out
}

// Appended tells the distributors that a live-store has made the records below Next of its
// partition searchable. It comes again now and then, so that one that is lost does no harm.
type Appended struct {
	Partition int32
	Epoch     string // of the log; in another one the offsets begin anew
	Next      int64
	// all of the partition that are to be refused, because they are over their tenant's limit; not
	// to be changed
	Large []LargeTrace
}

// LargeTrace names a trace that is over its tenant's limit.
type LargeTrace struct {
	Tenant string
	ID     trace.ID
}
