package jobs

import (
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// CutJob asks a live-store for the records from the covered offset on, sealed and ready to be
// written as blocks, if they are due. They are due when there are at least Bytes of them, when the
// oldest is at least Age old by the live-store's clock, when the node holds too much and this
// partition most of it, or with Force. Otherwise the answer is an empty range.
//
// A cut is at most twice Bytes, or one record. A cut that is asked for again is the same, or a part
// of it.
type CutJob struct {
	Partition int32
	// Epoch is the log's, by the catalog. A live-store that is in another epoch answers with its
	// own and an empty range.
	Epoch string
	From  int64
	Bytes int64
	Age   time.Duration
	Force bool
	Most  int64 // offsets that the cut may span, beside those of its first record; 0: any number
}

// CutResult answers CutJob with the records [From, To) as tables by tenant. The tables stay valid
// after the live-store has dropped them.
type CutResult struct {
	Epoch    string
	Version  uint64 // of the catalog that Floor rests on
	From, To int64
	Last     *blocks.Fingerprint // of the record below To, as it was read; nil: not known
	// Where Last is not known, Later is the next offset whose record has a known fingerprint, and
	// LaterPrint is that fingerprint. It proves that everything below is as it was read.
	Later        int64
	LaterPrint   *blocks.Fingerprint
	Records      int
	Floor        int64   // the lowest offset that the live-store holds
	Bytes        int64   // of the log, uncovered from From on
	FirstArrival int64   // unix ns
	LastArrival  int64   // unix ns
	Parts        []int32 // the numbers of partitions that the records were routed by
	// Tables are by tenant. They are the live-store's own, so a cut never leaves the node: a
	// block-builder that has no live-store beside it reads the log instead.
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
			m = &blocks.SetAside{
				Epoch:              epoch,
				Partition:          partition,
				Tenant:             r.Tenant,
				From:               r.Offset,
				MinArrivalUnixNano: r.Arrival,
				MaxArrivalUnixNano: r.Arrival,
				Reason:             r.Reason,
			}
			of[r.Tenant] = m
			out = append(out, m)
		}
		m.To = r.Offset + 1
		m.Records++
		m.MinArrivalUnixNano = min(m.MinArrivalUnixNano, r.Arrival)
		m.MaxArrivalUnixNano = max(m.MaxArrivalUnixNano, r.Arrival)
	}
	return out
}
