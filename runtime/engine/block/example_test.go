package block_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"

	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// memory keeps the objects of one block. It is a block.Sink and a block.Source.
type memory map[string][]byte

func (m memory) Create(name string) (io.WriteCloser, error) { return &object{m: m, name: name}, nil }

func (m memory) ReadRange(_ context.Context, name string, off int64, buf []byte) error {
	if n := copy(buf, m[name][off:]); n < len(buf) {
		return io.ErrUnexpectedEOF
	}
	return nil
}

type object struct {
	bytes.Buffer
	m    memory
	name string
}

func (o *object) Close() error {
	o.m[o.name] = o.Bytes()
	return nil
}

// Spans that were received go into a segment, a segment into a block, and a column of the block is
// read back.
func Example() {
	ctx := context.Background()
	segment := live.New(live.Limits{})
	record := otlp.Encode(
		&otlp.Span{Trace: otlp.TraceID(1), ID: otlp.SpanID(1), Name: "GET /cart", Start: 1000, End: 5000},
		&otlp.Span{Trace: otlp.TraceID(1), ID: otlp.SpanID(2), Parent: otlp.SpanID(1), Name: "SELECT", Start: 2000, End: 3000},
	)
	if _, err := segment.Append(0, 0, record); err != nil {
		panic(err)
	}

	objects := memory{}
	tables := []column.Table{segment.Snapshot(0, math.MaxInt64)}
	meta, traces, err := block.Write(ctx, tables, block.WriteOptions{ID: "example", Tenant: "shop"}, objects)
	if err != nil {
		panic(err)
	}
	fmt.Println(meta.Spans, "spans of", len(traces), "trace")

	b, err := block.Open(ctx, objects, meta)
	if err != nil {
		panic(err)
	}
	var names column.Vector
	for _, table := range b.Reader().Tables() { // one for each row group
		for page := range column.Pages(table.Rows()) {
			if _, err := table.Vector(ctx, column.Name, page, &names); err != nil {
				panic(err)
			}
			for i := range names.N {
				fmt.Println(names.Text(i))
			}
		}
	}
	// Output:
	// 2 spans of 1 trace
	// GET /cart
	// SELECT
}
