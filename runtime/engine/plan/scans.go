package plan

import (
	"cmp"
	"math"
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
)

// Scan is one scan, of a live part or of a part of a block: one of Live and Block is set.
type Scan struct {
	Live      *jobs.LiveScanJob
	Partition int32 // of Live
	Block     *jobs.BlockScanJob
	Spans     int64 // expected to be looked at
}

// Scans is the plan of the scans of a query.
type Scans struct {
	Jobs  []Scan // those of a search in the order in which they are to begin
	Folds []Fold // the scans of a metrics query that are not in Jobs
	// Shared are the traces with several homes, which the scans leave out; nil for names and
	// values.
	Shared *jobs.Shared
	// Straddling are the candidates that there are whatever the scans find; nil: none.
	Straddling jobs.StartBounds
	Blocks     int   // of the tenant in the range
	OutOfRange int   // blocks of the tenant that the range rules out
	BlockBytes int64 // of all blocks that are scanned
}

// Count returns the number of all scans.
func (s *Scans) Count() int {
	n := len(s.Jobs)
	for _, f := range s.Folds {
		n += len(f.Scans)
	}
	return n
}

// ScanOptions are the choices of the caller of PlanScans.
type ScanOptions struct {
	Key         string // of the query's scan, for caches
	SpansPerJob int64  // larger blocks are read in parts
	// Skip reports that a block must not be scanned, because a live-store could not look into it.
	Skip func(*blocks.BlockMeta) bool
}

// PlanScans scans every home in the query's range. Traces with several homes take no part: scans
// name them as candidates.
func (b *Basis) PlanScans(o ScanOptions) Scans {
	var out Scans
	if b.Query.Scan.JudgesTraces() {
		out.Shared = b.sharedTraces()
		if b.Query.Scan.NeedsStraddling() {
			out.Straddling = jobs.StartBounds{}
			out.Shared.EachStraddling(b.Query.Range, b.Query.Scan.Window(), b.reachesBeyond(), out.Straddling.Add)
		}
	}
	for _, p := range b.Partitions() {
		h := b.Live[p]
		if h == nil || h.UpTo <= b.View.Covered[p] {
			continue
		}
		out.Jobs = append(out.Jobs, Scan{Partition: p, Spans: h.Spans, Live: &jobs.LiveScanJob{
			Snapshot: b.JobSnapshot(),
			Tenant:   b.Query.Tenant,
			From:     b.View.Covered[p],
			UpTo:     h.UpTo,
			Scan:     b.Query.Scan,
			Shared:   out.Shared,
		}})
	}
	metas := b.View.Blocks(b.Query.Tenant, b.Query.Range.Start, b.Query.Range.End) // newest first
	for _, m := range metas {
		if o.Skip(m) {
			continue
		}
		out.BlockBytes += m.GetBytes()
		out.Jobs = b.appendParts(out.Jobs, m, out.Shared, o)
	}
	if b.Query.Scan.Search != nil {
		slices.SortStableFunc(out.Jobs, func(x, y Scan) int { return cmp.Compare(y.newestSpan(), x.newestSpan()) })
	}
	if b.Query.Scan.Metrics != nil && !b.Query.Explain {
		out.Folds, out.Jobs = foldScans(out.Jobs)
	}
	out.Blocks = len(metas)
	if b.Query.Explain {
		out.OutOfRange = len(b.View.All(b.Query.Tenant)) - len(metas)
	}
	return out
}

// reachesBeyond reports whether a block of the tenant has spans beyond the query's range.
func (b *Basis) reachesBeyond() bool {
	return slices.ContainsFunc(b.View.All(b.Query.Tenant), func(m *blocks.BlockMeta) bool {
		return m.GetMinStartUnixNano() < b.Query.Range.Start || m.GetMaxEndUnixNano() >= b.Query.Range.End
	})
}

// sharedTraces joins the published traces with several homes and those that live-stores have named.
func (b *Basis) sharedTraces() *jobs.Shared {
	var live [][]catalog.Extent
	for _, p := range b.Partitions() {
		if h := b.Live[p]; h != nil {
			live = append(live, h.Shared)
		}
	}
	return jobs.NewShared(jobs.SharedOptions{
		Tenant:     b.Query.Tenant,
		Partitions: len(b.View.Covered),
		Spanwise:   b.Query.Scan.IsSpanwise(),
	}, b.View.Shared(b.Query.Tenant), live...)
}

// printOf returns the print of the published traces that scans of the block leave out.
func (b *Basis) printOf(m *blocks.BlockMeta) uint64 {
	p := b.View.PrintsOf(b.Query.Tenant, m.GetId())
	if b.Query.Scan.IsSpanwise() {
		return p.Repeating
	}
	return p.Shared
}

// appendParts appends the scans of a block's parts, the newest part first.
func (b *Basis) appendParts(to []Scan, m *blocks.BlockMeta, shared *jobs.Shared, o ScanOptions) []Scan {
	parts := max(int((m.GetSpans()+o.SpansPerJob-1)/o.SpansPerJob), 1)
	sharedPrint := uint64(0)
	if b.Query.Scan.JudgesTraces() {
		sharedPrint = b.printOf(m) + shared.PrintFor(m)
	}
	if sharedPrint == 0 {
		shared = nil
	}
	for part := parts - 1; part >= 0; part-- {
		to = append(to, Scan{Spans: m.GetSpans() / int64(parts), Block: &jobs.BlockScanJob{
			Block:   m,
			Part:    part,
			Parts:   parts,
			Scan:    b.Query.Scan,
			Key:     o.Key,
			Shared:  shared,
			Print:   sharedPrint,
			Explain: b.Query.Explain,
		}})
	}
	return to
}

// newestSpan is about where the newest span of the scan is, as if a block's spans lay evenly in its
// time. A search begins with the newest parts of all blocks: where these hold enough, it does not
// read the others. Live-stores hold newer spans than blocks.
func (s Scan) newestSpan() uint64 {
	if s.Block == nil {
		return math.MaxUint64
	}
	start, end := s.Block.Block.GetMinStartUnixNano(), s.Block.Block.GetMaxEndUnixNano()
	older := uint64(s.Block.Parts - 1 - s.Block.Part)
	return end - (max(end, start)-start)/uint64(s.Block.Parts)*older
}

// Since returns the scan of a search that leaves out the traces that start before newer.
func (s Scan) Since(newer uint64) Scan {
	if s.Block != nil {
		j := *s.Block
		j.Scan = j.Scan.Since(newer)
		s.Block = &j
		return s
	}
	j := *s.Live
	j.Scan = j.Scan.Since(newer)
	s.Live = &j
	return s
}
