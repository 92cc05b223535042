// Package export reads whole traces from the blocks of a bucket, without a node.
package export

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
)

// Request says which traces are read: those of a tenant that overlap [Start, End), in unix ns, and
// that a query finds, if there is one.
type Request struct {
	Tenant     string
	Start, End uint64
	Query      *traceql.Query // nil: all
}

// Unread is a block that could not be read. Traces of it may be missing, or a part of them.
type Unread struct {
	Block string
	Err   error
}

// partSpans is the number of spans of a trace that are visited at a time, where they lie in one
// block.
const partSpans = 16 << 10

// Each calls visit with the OTLP of each trace, in about the order of their blocks, oldest first. A
// long trace comes in several messages. Blocks that cannot be read are passed over and returned.
func Each(
	ctx context.Context, v *catalog.View, open blockstore.Opener, r Request, visit func(otlp []byte) error,
) ([]Unread, error) {
	w := &walker{
		opener:  open,
		request: r,
		shared:  v.Shared(r.Tenant),
		live:    map[string]*blocks.BlockMeta{},
		seen:    map[trace.ID]bool{},
		unread:  map[string]error{},
	}
	w.visit = visit
	if r.Query != nil {
		w.filter = &filter{request: r, visit: visit}
		w.visit = func([]byte) error { panic("BUG: filtered traces are visited by the filter") }
	}
	for _, m := range v.Blocks(r.Tenant, 0, math.MaxUint64) {
		w.live[m.GetId()] = m
	}
	list := v.Blocks(r.Tenant, r.Start, r.End)
	slices.Reverse(list)
	for _, m := range list {
		if err := w.readBlock(ctx, m); err != nil {
			return nil, err
		}
	}
	if w.filter != nil {
		if err := w.filter.evaluate(ctx); err != nil {
			return nil, err
		}
	}
	var unread []Unread
	for id, err := range w.unread {
		unread = append(unread, Unread{id, err})
	}
	return unread, nil
}

// walker goes through the blocks of a version.
type walker struct {
	opener  blockstore.Opener
	request Request
	visit   func([]byte) error
	filter  *filter // nil: all traces are visited
	shared  *catalog.SharedTraces
	live    map[string]*blocks.BlockMeta
	seen    map[trace.ID]bool // shared traces that were read
	unread  map[string]error  // by block
}

// stop is an error that ends the walk, as opposed to one of a block.
type stop struct{ error }

func (s stop) Unwrap() error { return s.error }

// readBlock visits the traces of a block that were not visited in another one.
func (w *walker) readBlock(ctx context.Context, m *blocks.BlockMeta) error {
	err := w.eachTrace(ctx, m)
	var end stop
	if errors.As(err, &end) {
		return end.error
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		w.unread[m.GetId()] = err
	}
	return nil
}

func (w *walker) eachTrace(ctx context.Context, m *blocks.BlockMeta) error {
	b, err := w.opener.Open(ctx, m)
	if err != nil {
		return err
	}
	for _, t := range b.Reader().Tables() {
		for i := range t.Traces() {
			info, err := t.Trace(ctx, i)
			if err != nil {
				return err
			}
			if _, ok := w.shared.Find(info.ID); ok {
				err = w.readShared(ctx, info.ID)
			} else if info.Start < w.request.End && info.End >= w.request.Start {
				err = w.readSole(ctx, t, i, info.ID)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// readSole visits a trace that lies in one block.
func (w *walker) readSole(ctx context.Context, t column.Table, i int, id trace.ID) error {
	rows := t.TraceRows(i, nil)
	var parts [][]byte
	for part := range slices.Chunk(rows, partSpans) {
		fs, err := column.Fragments(ctx, t, part, nil)
		if err != nil {
			return err
		}
		otlp := trace.Assemble(fs)
		if w.filter != nil { // which judges whole traces
			parts = append(parts, otlp)
		} else if err := w.visit(otlp); err != nil {
			return stop{err}
		}
	}
	return w.judge(ctx, id, parts)
}

// judge gives a trace to the filter, if there is one.
func (w *walker) judge(ctx context.Context, id trace.ID, parts [][]byte) error {
	if w.filter == nil {
		return nil
	}
	if err := w.filter.add(ctx, id, parts); err != nil {
		return stop{err}
	}
	return nil
}

// readShared visits a trace that lies in several blocks, once.
func (w *walker) readShared(ctx context.Context, id trace.ID) error {
	if w.seen[id] {
		return nil
	}
	w.seen[id] = true
	var homes [][]trace.Fragment
	start, end := uint64(math.MaxUint64), uint64(0)
	for _, home := range w.shared.HomesOf(id) {
		m := w.live[home]
		if m == nil { // retired: another home has its spans
			continue
		}
		fs, x, err := w.readHome(ctx, m, id)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			w.unread[home] = err
			continue
		}
		homes = append(homes, fs)
		if len(fs) > 0 {
			start, end = min(start, x.Start), max(end, x.End)
		}
	}
	if start >= w.request.End || end < w.request.Start {
		return nil
	}
	otlp := trace.Assemble(homes...)
	if w.filter != nil {
		return w.judge(ctx, id, [][]byte{otlp})
	}
	if err := w.visit(otlp); err != nil {
		return stop{err}
	}
	return nil
}

// readHome reads what one block holds of a trace.
func (w *walker) readHome(
	ctx context.Context, m *blocks.BlockMeta, id trace.ID,
) (fs []trace.Fragment, x catalog.Extent, err error) {
	found, err := blockstore.FindTraces(ctx, w.opener, m, []trace.ID{id})
	if err != nil || len(found.List) == 0 {
		return nil, x, err
	}
	f := found.List[0]
	if x, err = f.Extent(ctx); err != nil {
		return nil, x, err
	}
	fs, err = column.Fragments(ctx, f.Table, f.Table.TraceRows(f.Ordinal, nil), nil)
	if err != nil {
		err = fmt.Errorf("read trace %s: %w", id, err)
	}
	return fs, x, err
}
