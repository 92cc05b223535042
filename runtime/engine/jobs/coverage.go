package jobs

import (
	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
)

// CoveredJob asks the backend-scheduler where the live part of a partition begins. It is answered
// once the catalog is loaded and has been compared with the log. Check tells that the log has
// changed, so that the catalog is compared with it again before the answer. AtLeast is as in
// ViewJob. It may be repeated.
type CoveredJob struct {
	Partition int32
	AtLeast   uint64
	Check     bool
}

// CoveredResult answers CoveredJob.
type CoveredResult struct {
	Epoch   string
	Version uint64
	Covered int64 // the next offset to build
	// Log is the identity of the log that the epoch is of. A log with another one is another log,
	// whatever its offsets.
	Log string
	// Last is the fingerprint of the record below Covered; nil: not known.
	Last *blocks.Fingerprint
}

// CoverageChanged tells the live-stores, block-builders and queriers of a node that a newer version
// of the catalog is durable. It may be lost: whoever misses one learns the same from the next one,
// or from an answer that names a version.
type CoverageChanged struct {
	Version uint64
	Epoch   string          // of the log
	Covered map[int32]int64 // by partition; must not be changed
}

// ViewJob asks the backend-scheduler for the newest durable version of the catalog that it knows
// of. Where it knows none from AtLeast on, which another answer has named, it reads the journal
// first. The answer is a *catalog.View.
type ViewJob struct{ AtLeast uint64 }

// CatalogMeta returns what the catalog keeps of a block. raw is the block's meta.json.
func CatalogMeta(m *block.Meta, raw []byte) *blocks.BlockMeta {
	out := &blocks.BlockMeta{
		Id:                 m.ID,
		Tenant:             m.Tenant,
		Epoch:              m.Epoch,
		Partition:          m.Partition,
		Parts:              m.Parts,
		From:               m.From,
		To:                 m.To,
		MinStartUnixNano:   m.MinStart,
		MaxEndUnixNano:     m.MaxEnd,
		MinArrivalUnixNano: m.MinArrival,
		MaxArrivalUnixNano: m.MaxArrival,
		Spans:              int64(m.Spans),
		Traces:             int64(m.Traces),
		Bytes:              m.Bytes + int64(len(raw)),
		Level:              int32(m.Level),
		Lease:              m.Lease,
		MetaJson:           raw,
	}
	for _, r := range m.Ranges {
		at := &blocks.LogRange{Epoch: r.Epoch, Partition: r.Partition, From: r.From, To: r.To}
		out.Ranges = append(out.Ranges, at)
	}
	for _, i := range m.Intervals {
		out.Intervals = append(out.Intervals, &blocks.Interval{StartUnixNano: i.Start, EndUnixNano: i.End})
	}
	return out
}
