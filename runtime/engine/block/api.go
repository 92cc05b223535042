// Package block writes and reads blocks of format tcb1: ordinary Parquet with an index of our own
// at its tail. The format is described in docs/format/tcb1.md.
//
// # Writing
//
// Write (write.go) merges tables into a block:
//
//   - layout.go, layoutread.go and order.go decide which row comes where in the block,
//   - promote.go decides which attributes have columns of their own,
//   - gather.go and gathertext.go bring the values of one column after the other into the order of
//     the block; so do shapes.go and overflowwrite.go with what keeps the order of attributes,
//     derived.go with resources and scopes, and children.go with events and links,
//   - tablewriter.go has each column encoded (encode.go, encodetext.go and encodenum.go; Parquet's
//     encodings are in levels.go, hybrid.go and delta.go, its page headers in page.go) and written
//     (file.go, footer.go),
//   - index.go writes the index, with the filters of filter.go; meta.go makes the Meta.
//
// # Reading
//
// Open (open.go) reads the index (parse.go) and checks that it fits together (check.go). A Reader
// serves each row group as a column.Table (table.go): it fetches pages (fetch.go), decodes them
// (vector.go, plain.go, madecolumns.go), answers what the index alone tells (hints.go), looks for
// numbers without decoding them (sift.go), and puts spans together again (fragments.go).
//
// Bytes that do not fit together are an error that says where they lie. Block.Verify (verify.go)
// reads everything that the block holds; inspect.go describes it.
package block

import (
	"context"
	"io"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Meta describes a block; its JSON is the block's meta.json. It is a plain record, a field for each
// of that page.
type Meta struct {
	Version   int     `json:"version"`
	ID        string  `json:"id"`
	Tenant    string  `json:"tenant"`
	Epoch     string  `json:"epoch"`
	Partition int32   `json:"partition"` // -1: merged over partitions
	Parts     []int32 `json:"parts"`     // every number of partitions that its records were routed by
	From      int64   `json:"from"`      // offsets [From, To)
	To        int64   `json:"to"`
	Level     int     `json:"level"`
	// Ranges say where the records of a block that was merged over partitions or epochs come from.
	// Epoch, Partition, From and To say it of all others.
	Ranges   []LogRange `json:"ranges,omitempty"`
	Lease    string     `json:"lease,omitempty"` // of a merged block: the lease under which it was made
	Spans    int        `json:"spans"`
	Traces   int        `json:"traces"`
	MinStart uint64     `json:"minStartUnixNano,string"`
	MaxEnd   uint64     `json:"maxEndUnixNano,string"`
	// Intervals are ascending, disjoint, and at most 16. Together they hold the time of every span.
	Intervals  []Interval       `json:"intervals"`
	MinArrival int64            `json:"minArrivalUnixNano,string"`
	MaxArrival int64            `json:"maxArrivalUnixNano,string"`
	Bytes      int64            `json:"bytes"`   // of all objects but meta.json
	Objects    map[string]int64 `json:"objects"` // size of each object by name
	Index      Extent           `json:"index"`   // of the index in spans.parquet
}

// LogRange is offsets [From, To) of one partition of an epoch of the log.
type LogRange struct {
	Epoch     string `json:"epoch"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
}

// Extent is a range of bytes of an object.
type Extent struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// Version is the version of the format that is written. Those from OldestVersion on are read.
const (
	Version       = 2
	OldestVersion = 1
)

// Interval is [Start, End] in unix ns, both inclusive.
type Interval struct {
	Start uint64 `json:"start,string"`
	End   uint64 `json:"end,string"`
}

// TraceExtent is a trace of a block, and when its spans there begin and end.
type TraceExtent struct {
	ID         trace.ID
	Start, End uint64 // unix ns
}

// WriteOptions say what a block is called and which records it is made of.
type WriteOptions struct {
	ID, Tenant, Epoch      string
	Partition              int32
	Parts                  []int32
	From, To               int64
	MinArrival, MaxArrival int64 // unix ns
	Level                  int
	Ranges                 []LogRange // as in Meta
	Lease                  string     // as in Meta
	RowGroupRows           int        // rows of a row group, unless one trace has more; 0: 131,072
	Scratch                *Scratch   // memory for the writing; nil: new memory
}

// Sink takes the objects of a block. An object is durable when its Close has returned nil.
type Sink interface {
	Create(name string) (io.WriteCloser, error)
}

// Source reads the objects of a block. ReadRange fills buf or returns an error.
type Source interface {
	ReadRange(ctx context.Context, name string, off int64, buf []byte) error
}
