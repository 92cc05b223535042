package adopt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
)

const (
	// segmentSpans is the number of spans after which a segment is sealed.
	segmentSpans = 64 << 10

	// DefaultBlockSpans is the number of spans after which a block is written.
	DefaultBlockSpans = 512 << 10
)

// Writer writes the traces of one source into blocks and publishes each of them, so that an import
// that was cut short goes on where it ended. It belongs to one goroutine.
type Writer struct {
	to         *Adopter
	tenant     string
	epoch      string
	blockSpans int
	now        time.Time
	next       int64 // the trace after those that were added
	segments   []*live.Segment
	piece      piece
	Blocks     int   // that were published
	Spans      int64 // in them
	Bytes      int64 // of them
}

// piece is what the next block holds.
type piece struct {
	from     int64 // its first trace
	records  int64
	min, max uint64 // times of its spans, unix ns
}

// NewWriter returns the Writer of a source, from a trace on: the traces before it were imported.
// now bounds the arrival of spans whose times lie in the future.
func (a *Adopter) NewWriter(tenant, source string, from int64, now time.Time) *Writer {
	w := &Writer{
		to:         a,
		tenant:     tenant,
		epoch:      catalog.ImportEpoch(source),
		blockSpans: DefaultBlockSpans,
		now:        now,
		next:       from,
	}
	w.beginPiece()
	return w
}

// SetBlockSpans sets the number of spans after which a block is written.
func (w *Writer) SetBlockSpans(n int) { w.blockSpans = n }

// Next returns the number of the trace that is added next.
func (w *Writer) Next() int64 { return w.next }

func (w *Writer) beginPiece() {
	w.segments = nil
	w.piece = piece{from: w.next, min: math.MaxUint64}
}

// AddTrace adds the next trace: TracesData messages, together all of it, and the times of its
// spans. A trace without spans counts as one.
func (w *Writer) AddTrace(ctx context.Context, minStart, maxEnd uint64, otlp ...[]byte) error {
	for _, record := range otlp {
		if err := w.appendRecord(record); err != nil {
			return err
		}
	}
	if len(otlp) > 0 {
		w.piece.min, w.piece.max = min(w.piece.min, minStart), max(w.piece.max, maxEnd)
	}
	w.next++
	if w.rows() < w.blockSpans {
		return nil
	}
	return w.Flush(ctx)
}

func (w *Writer) rows() (n int) {
	for _, s := range w.segments {
		n += s.Rows()
	}
	return n
}

func (w *Writer) appendRecord(otlp []byte) error {
	for {
		n := len(w.segments) - 1
		if n < 0 || w.segments[n].Sealed() {
			w.segments, n = append(w.segments, live.New(live.Limits{})), n+1
		}
		s := w.segments[n]
		_, err := s.Append(w.piece.records, w.arrival(), otlp)
		if errors.Is(err, live.ErrFull) && s.Rows() > 0 {
			s.Seal()
			continue
		}
		if err != nil {
			return fmt.Errorf("trace %d: %w", w.next, err)
		}
		w.piece.records++
		if s.Rows() >= segmentSpans {
			s.Seal()
		}
		return nil
	}
}

// arrival is when the spans count as arrived: with the newest of them, so that retention keeps them
// as if they had been sent here; not in the future, where a wrong clock would keep them for ever.
func (w *Writer) arrival() int64 {
	return int64(min(w.piece.max, uint64(w.now.UnixNano())))
}

// Flush writes and publishes what was added since the last block.
func (w *Writer) Flush(ctx context.Context) error {
	if w.rows() == 0 {
		return nil // the next block's range begins where this one would have
	}
	var tables []column.Table
	for _, s := range w.segments {
		s.Seal()
		tables = append(tables, s.Snapshot(0, math.MaxInt64))
	}
	last := w.arrival()
	o := block.WriteOptions{
		ID:         blockstore.NewID(w.tenant, w.epoch, 0, w.piece.from, w.next, 1),
		Tenant:     w.tenant,
		Epoch:      w.epoch,
		Parts:      []int32{1}, // as if all had been routed to the one partition there is
		From:       w.piece.from,
		To:         w.next,
		MinArrival: min(int64(min(w.piece.min, math.MaxInt64)), last),
		MaxArrival: last,
	}
	m, traces, err := w.to.writeBlock(ctx, tables, o)
	if err != nil {
		return err
	}
	if err := w.to.Publish(ctx, m, traces); err != nil {
		if errors.Is(err, ErrImported) { // by another process, meanwhile
			return errors.Join(err, w.to.removeBlock(ctx, m))
		}
		return err
	}
	w.Blocks, w.Spans, w.Bytes = w.Blocks+1, w.Spans+m.GetSpans(), w.Bytes+m.GetBytes()
	w.beginPiece()
	return nil
}

// writeBlock makes the objects of a block durable, the meta last.
func (a *Adopter) writeBlock(
	ctx context.Context, tables []column.Table, o block.WriteOptions,
) (*blocks.BlockMeta, []block.TraceExtent, error) {
	sink := blockstore.NewSink(ctx, a.bucket, o.Tenant, o.ID)
	meta, traces, err := block.Write(ctx, tables, o, sink)
	if err != nil {
		sink.Abandon(err)
		return nil, nil, fmt.Errorf("write block: %w", err)
	}
	raw, err := json.Marshal(meta)
	if err != nil {
		return nil, nil, fmt.Errorf("encode block meta: %w", err)
	}
	name := blockstore.Folder(o.Tenant, o.ID) + block.MetaObject
	if _, err := a.bucket.Create(ctx, name, bytes.NewReader(raw)); err != nil {
		return nil, nil, err
	}
	return jobs.CatalogMeta(meta, raw), traces, nil
}
