package jobs

import (
	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
)

// CoveredJob asks the backend-scheduler where a partition's live part begins. It is answered once
// the catalog is loaded and has been compared with the log. Check says that the log has changed:
// then the catalog is compared with it again before the answer. AtLeast is as in ViewJob. May be
// repeated.
type CoveredJob struct {
	Partition int32
	AtLeast   uint64
	Check     bool
}

// CoveredResult answers CoveredJob.
type CoveredResult struct {
	Epoch   string
	Version uint64
	Covered int64 // next offset to build
}

// CoverageChanged tells live stores, block-builders and queriers that a newer version of the
// catalog is durable. It may be lost: whoever misses one learns the same from the next, or from an
// answer that names a version.
type CoverageChanged struct {
	Version uint64
	Epoch   string // of the log
	Covered map[int32]int64
}

// ViewJob asks the backend-scheduler for the newest durable version of the catalog that it knows
// of; below AtLeast, which another answer has named, it reads the journal first. It is answered
// with a *catalog.View.
type ViewJob struct{ AtLeast uint64 }

// CatalogMeta is what the catalog keeps of a block. raw is the block's meta.json.
func CatalogMeta(m *block.Meta, raw []byte) *blocks.BlockMeta {
	out := &blocks.BlockMeta{Id: m.ID, Tenant: m.Tenant, Epoch: m.Epoch, Partition: m.Partition, Parts: m.Parts, From: m.From, To: m.To,
		MinStartUnixNano: m.MinStart, MaxEndUnixNano: m.MaxEnd, MinArrivalUnixNano: m.MinArrival, MaxArrivalUnixNano: m.MaxArrival,
		Spans: int64(m.Spans), Traces: int64(m.Traces), Bytes: m.Bytes + int64(len(raw)), Level: int32(m.Level), MetaJson: raw}
	for _, i := range m.Intervals {
		out.Intervals = append(out.Intervals, &blocks.Interval{StartUnixNano: i.Start, EndUnixNano: i.End})
	}
	return out
}
