// Package block writes and reads blocks of format tcb1: ordinary Parquet with an index of our own at its tail. Format: docs/format/tcb1.md.
package block

import (
	"context"
	"errors"
	"io"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Meta describes a block; its JSON is the block's meta.json.
type Meta struct {
	Version    int              `json:"version"`
	ID         string           `json:"id"`
	Tenant     string           `json:"tenant"`
	Epoch      string           `json:"epoch"`
	Partition  int32            `json:"partition"` // -1: merged over partitions
	Parts      []int32          `json:"parts"`     // every P its records were routed by
	From       int64            `json:"from"`      // offsets [From, To)
	To         int64            `json:"to"`
	Level      int              `json:"level"`
	Spans      int              `json:"spans"`
	Traces     int              `json:"traces"`
	MinStart   uint64           `json:"minStartUnixNano,string"`
	MaxEnd     uint64           `json:"maxEndUnixNano,string"`
	Intervals  []Interval       `json:"intervals"` // ascending, disjoint, at most 16; together they hold the time of every span
	MinArrival int64            `json:"minArrivalUnixNano,string"`
	MaxArrival int64            `json:"maxArrivalUnixNano,string"`
	Bytes      int64            `json:"bytes"`   // of all objects but meta.json
	Objects    map[string]int64 `json:"objects"` // size of each object by name
}

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
	RowGroupRows           int // 0: 128 k
}

// Sink takes the objects of a block; an object is durable when its Close has returned nil.
type Sink interface {
	Create(name string) (io.WriteCloser, error)
}

// Source reads the objects of a block. ReadRange fills buf or returns an error.
type Source interface {
	ReadRange(ctx context.Context, name string, off int64, buf []byte) error
}

// ErrCorrupt: the bytes of a block are damaged. Errors that wrap it say in which object, column and offset.
var ErrCorrupt = errors.New("block is corrupt")

// Write merges tables (live segments, tables of other blocks) into one block: fragments of a trace are joined, duplicate spans removed, columns
// promoted anew. It returns the block's meta and its traces.
func Write(ctx context.Context, tables []column.Table, o WriteOptions, sink Sink) (*Meta, []TraceExtent, error) {
	panic("BUG: not built")
}

// Block is an opened block. It is immutable and safe for concurrent use.
type Block struct{}

// Open reads the index of a block.
func Open(ctx context.Context, src Source, m *Meta) (*Block, error) { panic("BUG: not built") }

// MayHold asks the trace-id filter: false is certain.
func (b *Block) MayHold(id trace.ID) bool { panic("BUG: not built") }

// Memory is what the opened block keeps in memory, in bytes.
func (b *Block) Memory() int64 { panic("BUG: not built") }

// Reader returns a reader of the block for one query.
func (b *Block) Reader() *Reader { panic("BUG: not built") }

// Reader reads a block for one query and counts what it reads. It belongs to one goroutine at a time.
type Reader struct{}

// Tables returns one table for each row group, in time order. A trace lies in exactly one of them.
func (r *Reader) Tables() []column.Table { panic("BUG: not built") }

// Find returns the table that holds a trace and the trace's ordinal there. A trace that the index does not hold costs no read.
func (r *Reader) Find(ctx context.Context, id trace.ID) (t column.Table, i int, ok bool, err error) {
	panic("BUG: not built")
}

// Stats is what was read from the objects so far.
func (r *Reader) Stats() Stats { panic("BUG: not built") }

// Stats counts reads of objects.
type Stats struct {
	Reads int
	Waves int // reads of one wave go out together
	Bytes int64
}
