package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	kernel "github.com/troupe-tracing/troupe/runtime/kernel/sim"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
)

// history is the log, and a copy of all that is in its present history, trimmed or not.
type history struct {
	*kafkalog.Memory
	records [][]kafkalog.Record // by partition; the index is the offset
}

func newHistory(partitions int) *history {
	return &history{Memory: kafkalog.NewMemory(partitions), records: make([][]kafkalog.Record, partitions)}
}

func (h *history) Append(ctx context.Context, partition int32, recs []kafkalog.Record) (int64, error) {
	next, err := h.Memory.Append(ctx, partition, recs)
	if err == nil {
		h.records[partition] = append(h.records[partition], recs...)
	}
	return next, err
}

// Trim keeps one record more than it must, so that there is one to lose.
func (h *history) Trim(ctx context.Context, partition int32, to int64) error {
	if to == 0 {
		return nil
	}
	return h.Memory.Trim(ctx, partition, to-1)
}

// durable reads the catalog as whoever starts now would.
func (w *world) durable() *catalog.State {
	l, err := journal.New(w.bucket, "catalog/").Load(context.Background())
	if err != nil {
		w.t.Fatalf("load the journal: %v", err)
	}
	s, err := catalog.Load(l.Snapshot, l.Entries)
	if err != nil {
		w.t.Fatalf("load the catalog: %v", err)
	}
	return s
}

// excuse notes that records may be found or not from now on: no block need have them.
func (w *world) excuse(recs []kafkalog.Record) {
	for _, r := range recs {
		each(w.t.Errorf, r.Value, func(s *trace.Span) {
			if known := w.client.spans[s.SpanID]; known != nil {
				known.excused = true
			}
		})
	}
}

// note says what happens, where the nodes' lines are shown.
func (w *world) note(format string, args ...any) {
	if *verbose {
		w.t.Logf("%s ---- %s", w.Now().Sub(kernel.Epoch), fmt.Sprintf(format, args...))
	}
}

// uncovered returns a partition's offset from which on no block holds the records of the present
// history for certain.
func (w *world) uncovered(p int32) int64 {
	c := w.durable()
	if c.Epoch().GetLog() != w.log.Epoch() {
		return 0
	}
	covered, _ := c.Covered(p)
	return min(covered, int64(len(w.log.records[p])))
}

// reset loses the log as a deleted folder or topic does.
func (w *world) reset() {
	for p := range w.log.records {
		w.excuse(w.log.records[p][w.uncovered(int32(p)):])
		w.log.records[p] = nil
	}
	w.log.Reset()
	w.note("the log is reset")
	w.client.upset = w.Now()
}

// truncate loses the end of a partition, whose offsets are then given to other records, as an
// unclean election does.
func (w *world) truncate(p int32, to int64) {
	start, end, err := w.log.Bounds(context.Background(), p)
	if err != nil || to < start || to >= end {
		return
	}
	w.excuse(w.log.records[p][to:])
	w.log.records[p] = w.log.records[p][:to:to]
	w.log.Truncate(p, to)
	w.note("partition %d is cut off at %d", p, to)
	w.client.upset = w.Now()
}

// retain loses the beginning of a partition, as retention does that passes the covered offset.
func (w *world) retain(p int32, to int64) {
	end := int64(len(w.log.records[p]))
	from := w.uncovered(p)
	if to > end || to <= from {
		return
	}
	w.passed = true
	w.excuse(w.log.records[p][from:to])
	w.note("partition %d is trimmed to %d, covered to %d", p, to, from)
	if err := w.log.Memory.Trim(context.Background(), p, to); err != nil {
		w.t.Errorf("trim: %v", err)
	}
}

// grow raises the number of partitions, which every process learns when it starts.
func (w *world) grow(n int) {
	for _, node := range w.nodes {
		node.crash()
	}
	w.log.Grow(n)
	for len(w.log.records) < n {
		w.log.records = append(w.log.records, nil)
	}
	for _, node := range w.nodes {
		node.boot()
	}
	w.rest(2 * time.Second)
}
