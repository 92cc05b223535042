// Package block writes and reads blocks of format tcb1: ordinary Parquet with an index of our own
// at its tail. Format: docs/format/tcb1.md.
//
// Write (write.go) merges tables into a block. It plans which rows come where (layout.go, order.go)
// and which attributes get columns (promote.go), brings the values of one column after the other
// into that order (gather.go; shapes.go for the order of attributes; derived.go, children.go),
// encodes them as pages (encode.go), writes the objects (file.go), and the index (index.go).
//
// Open (open.go, parse.go) reads the index. A Reader fetches pages (fetch.go) and serves each row
// group as a column.Table (table.go, vector.go, hints.go, fragments.go). Bytes that do not fit
// together are an error that says where; Verify (inspect.go) reads everything.
package block

import (
	"context"
	"io"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Meta describes a block; its JSON is the block's meta.json.
type Meta struct {
	Version   int     `json:"version"`
	ID        string  `json:"id"`
	Tenant    string  `json:"tenant"`
	Epoch     string  `json:"epoch"`
	Partition int32   `json:"partition"` // -1: merged over partitions
	Parts     []int32 `json:"parts"`     // every P its records were routed by
	From      int64   `json:"from"`      // offsets [From, To)
	To        int64   `json:"to"`
	Level     int     `json:"level"`
	Spans     int     `json:"spans"`
	Traces    int     `json:"traces"`
	MinStart  uint64  `json:"minStartUnixNano,string"`
	MaxEnd    uint64  `json:"maxEndUnixNano,string"`
	// ascending, disjoint, at most 16; together they hold the time of every span
	Intervals  []Interval       `json:"intervals"`
	MinArrival int64            `json:"minArrivalUnixNano,string"`
	MaxArrival int64            `json:"maxArrivalUnixNano,string"`
	Bytes      int64            `json:"bytes"`   // of all objects but meta.json
	Objects    map[string]int64 `json:"objects"` // size of each object by name
	Index      Extent           `json:"index"`   // of the index in spans.parquet
}

// Extent is a range of bytes of an object.
type Extent struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// Version of the format that is written; others are not read.
const Version = 1

// Interval is [Start, End] in unix ns, both inclusive.
type Interval struct {
	Start uint64 `json:"start,string"`
	End   uint64 `json:"end,string"`
}

// TraceExtent is a trace of a block with its time there.
type TraceExtent struct {
	ID         trace.ID
	Start, End uint64 // unix ns
}

// WriteOptions say what a block is called and what it covers.
type WriteOptions struct {
	ID, Tenant, Epoch      string
	Partition              int32
	Parts                  []int32
	From, To               int64
	MinArrival, MaxArrival int64 // unix ns
	Level                  int
	RowGroupRows           int      // 0: 128 k
	Scratch                *Scratch // nil: one of its own
}

// Sink takes the objects of a block; an object is durable when its Close has returned nil.
type Sink interface {
	Create(name string) (io.WriteCloser, error)
}

// Source reads the objects of a block. ReadRange fills buf or returns an error.
type Source interface {
	ReadRange(ctx context.Context, name string, off int64, buf []byte) error
}
