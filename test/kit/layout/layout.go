// Package layout holds spans in live segments and blocks in any way and answers queries over them
// as a node does: each home by itself, traces with several homes put together.
package layout

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/extract"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
	"github.com/troupe-tracing/troupe/test/kit/views"
)

// Store is spans in their homes: the live segments of one live-store, and blocks. The zero Store is
// empty.
type Store struct {
	Confirm int         // candidates that are put together at a time; 0: 3
	Limits  live.Limits // of segments

	segments []*live.Segment
	blocks   []*stored
	offset   int64 // of the next record
	covered  int64 // offset up to which records of segments are in blocks

	shared *sharedTraces // nil: not looked for since something was added
}

const tenant = "single-tenant"

// stored is a block in memory.
type stored struct {
	meta    *block.Meta
	objects map[string][]byte
	opened  *block.Block
	traces  []block.TraceExtent
}

// Live adds a segment with these spans, one record for each part.
func (s *Store) Live(parts ...[]*otlp.Span) error {
	seg, err := s.segment(parts)
	if err != nil {
		return err
	}
	s.segments, s.shared = append(s.segments, seg), nil
	return nil
}

func (s *Store) segment(parts [][]*otlp.Span) (*live.Segment, error) {
	seg := live.New(s.Limits)
	for _, p := range parts {
		if _, err := seg.Append(s.offset, int64(p[0].Start), otlp.Encode(p...)); err != nil {
			return nil, fmt.Errorf("append record %d: %w", s.offset, err)
		}
		s.offset++
	}
	return seg, nil
}

// Block adds a block with these spans, written from one segment for each part.
func (s *Store) Block(rowGroupRows int, parts ...[]*otlp.Span) error {
	var tables []column.Table
	for _, p := range parts {
		seg, err := s.segment([][]*otlp.Span{p})
		if err != nil {
			return err
		}
		seg.Seal()
		tables = append(tables, seg.Snapshot(0, math.MaxInt64))
	}
	return s.write(rowGroupRows, tables)
}

// Cut writes a block of the live records up to an offset; from then on they are asked for there.
// Offsets are 0 to the number of all parts.
func (s *Store) Cut(rowGroupRows int, upTo int64) error {
	var tables []column.Table
	for _, seg := range s.segments {
		if t := seg.Snapshot(s.covered, upTo); t.Rows() > 0 {
			tables = append(tables, t)
		}
	}
	s.covered, s.shared = max(s.covered, upTo), nil
	if len(tables) == 0 {
		return nil
	}
	return s.write(rowGroupRows, tables)
}

// Merge replaces all blocks by one.
func (s *Store) Merge(rowGroupRows int) error {
	var tables []column.Table
	for _, b := range s.blocks {
		tables = append(tables, b.opened.Reader().Tables()...)
	}
	if len(tables) == 0 {
		return nil
	}
	s.blocks = nil
	return s.write(rowGroupRows, tables)
}

func (s *Store) write(rowGroupRows int, tables []column.Table) error {
	ctx := context.Background()
	b := &stored{objects: map[string][]byte{}}
	var err error
	b.meta, b.traces, err = block.Write(ctx, tables, block.WriteOptions{
		ID:           fmt.Sprintf("00000000-0000-5000-8000-%012x", len(s.blocks)),
		Tenant:       tenant,
		Epoch:        "e",
		Parts:        []int32{1},
		To:           s.offset,
		RowGroupRows: rowGroupRows,
	}, b)
	if err != nil {
		return fmt.Errorf("write block: %w", err)
	}
	if b.opened, err = block.Open(ctx, b, b.meta); err != nil {
		return fmt.Errorf("open block: %w", err)
	}
	s.blocks, s.shared = append(s.blocks, b), nil
	return nil
}

// Create implements block.Sink.
func (b *stored) Create(name string) (io.WriteCloser, error) { return &object{to: b, name: name}, nil }

// object is an object that is being written.
type object struct {
	bytes.Buffer
	to   *stored
	name string
}

// Close implements io.Closer.
func (o *object) Close() error {
	o.to.objects[o.name] = o.Bytes()
	return nil
}

// ReadRange implements block.Source.
func (b *stored) ReadRange(_ context.Context, name string, off int64, buf []byte) error {
	content := b.objects[name]
	if off < 0 || off+int64(len(buf)) > int64(len(content)) {
		return fmt.Errorf("read [%d, %d) of object %q, which has %d bytes", off, off+int64(len(buf)), name,
			len(content))
	}
	copy(buf, content[off:])
	return nil
}

// overlaps reports whether the block holds spans in the range.
func (b *stored) overlaps(r jobs.Range) bool {
	return slices.ContainsFunc(b.meta.Intervals, func(i block.Interval) bool { return r.Overlaps(i.Start, i.End) })
}

// Search answers a search.
func (s *Store) Search(r *eval.SearchRequest) ([]eval.TraceMatch, error) {
	p, err := s.scan(jobs.Scan{Search: r}, jobs.Range{Start: r.Start, End: r.End})
	if err != nil {
		return nil, err
	}
	return p.Search.Traces, nil
}

// Metrics answers a metrics query.
func (s *Store) Metrics(r *eval.MetricsRequest) (*eval.MetricsResult, error) {
	p, err := s.scan(jobs.Scan{Metrics: r}, jobs.Range{Start: uint64(r.Start) + 1, End: uint64(r.End) + 1})
	if err != nil {
		return nil, err
	}
	return p.Metrics.Result(r)
}

// Tags lists names of attributes.
func (s *Store) Tags(r *eval.TagsRequest) (eval.TagNames, error) {
	p, err := s.scan(jobs.Scan{Tags: r}, jobs.Range{Start: r.Start, End: r.End})
	if err != nil {
		return nil, err
	}
	return p.Tags, nil
}

// Values lists values of a field.
func (s *Store) Values(r *eval.ValuesRequest) (map[eval.TagValue]struct{}, error) {
	p, err := s.scan(jobs.Scan{Values: r}, jobs.Range{Start: r.Start, End: r.End})
	if err != nil {
		return nil, err
	}
	return p.Values.Values, nil
}

// scan does what the query-frontend and the queriers do: every home evaluates the scan, clipped to
// what it may hold and to what is still wanted, without the traces that have another home, and
// these are put together as far as they can still matter.
func (s *Store) scan(scan jobs.Scan, within jobs.Range) (jobs.Partial, error) {
	ctx := context.Background()
	p := empty(scan)
	known, err := s.sharedTraces(ctx)
	if err != nil {
		return p, err
	}
	var shared *jobs.Shared
	bounds := jobs.StartBounds{}
	if scan.JudgesTraces() {
		o := jobs.SharedOptions{Tenant: tenant, Partitions: 1, Spanwise: scan.IsSpanwise()}
		shared = jobs.NewShared(o, known.published, known.live)
		if scan.NeedsStraddling() {
			shared.EachStraddling(within, scan.Window(), true, bounds.Add)
		}
	}
	run := func(tables []column.Table, one jobs.Scan, leftOut *jobs.LeftOut) error {
		if scan.Search != nil {
			if floor := p.Floor(scan.Search.Limit); floor > 0 {
				one = one.Since(floor)
			}
		}
		r, err := jobs.RunScan(ctx, tables, one, leftOut)
		if err == nil {
			p.Merge(r.Partial, scan)
		}
		return err
	}
	if err := run(s.liveTables(), scan, shared.LeftOutLive(nil)); err != nil {
		return p, err
	}
	for _, b := range s.blocks {
		if !b.overlaps(within) {
			continue
		}
		m := jobs.CatalogMeta(b.meta, nil)
		if err := run(b.opened.Reader().Tables(), scan.ClippedTo(m), shared.LeftOutOf(m)); err != nil {
			return p, err
		}
	}
	p.TakeCandidates(scan, bounds)
	seen := within.Widen(scan.Window())
	if err := s.confirm(ctx, &p, bounds.NewestFirst(), scan, seen); err != nil {
		return p, err
	}
	if scan.Search != nil {
		for i := range p.Search.Traces {
			t := &p.Search.Traces[i]
			t.Cut = t.Cut || shared.Has(t.ID) && seen.CutsTrace(shared.Extent(t.ID), t)
		}
	}
	return p, nil
}

// empty is the result over no home.
func empty(scan jobs.Scan) (p jobs.Partial) {
	switch {
	case scan.Search != nil:
		p.Search = &eval.SearchPartial{}
	case scan.Metrics != nil:
		p.Metrics = &eval.MetricsPartial{}
	case scan.Tags != nil:
		p.Tags = eval.TagNames{}
	case scan.Values != nil:
		p.Values = &eval.TagValues{}
	}
	return p
}

// confirm puts candidates together, a few at a time, until no other can be newer than what a search
// has found.
func (s *Store) confirm(ctx context.Context, p *jobs.Partial, candidates []eval.Candidate, scan jobs.Scan,
	within jobs.Range) error {
	at := s.Confirm
	if at == 0 {
		at = 3
	}
	for len(candidates) > 0 {
		if scan.Search != nil {
			if candidates[0].Start < p.Floor(scan.Search.Limit) {
				return nil
			}
		}
		n := min(at, len(candidates))
		ids := make([]trace.ID, n)
		for i, c := range candidates[:n] {
			ids[i] = c.ID
		}
		candidates = candidates[n:]
		r, err := s.joined(ctx, ids, scan, within)
		if err != nil {
			return err
		}
		for _, part := range r {
			p.Merge(part.Partial, scan)
		}
	}
	return nil
}

// joined evaluates traces over the columns that all homes have of them: first without the contents
// of spans, and then those traces that cannot be judged without.
func (s *Store) joined(
	ctx context.Context, ids []trace.ID, scan jobs.Scan, within jobs.Range,
) ([]*jobs.JoinedResult, error) {
	columns, err := scan.TraceColumns()
	if err != nil {
		return nil, err
	}
	parts := &extract.Parts{IDs: ids}
	which := column.NewBitmap(len(ids))
	which.SetRange(0, len(ids))
	var out []*jobs.JoinedResult
	ask := jobs.TracesAsk{IDs: ids, Columns: columns}
	for {
		for _, tables := range s.homes(ids, within) {
			r, err := jobs.RunTraces(ctx, tables, &ask)
			if err != nil {
				return nil, err
			}
			parts.Extracts = append(parts.Extracts, r.Extracts...)
		}
		r, err := jobs.RunJoined(ctx, parts, which, scan)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
		if len(r.Tied) == 0 {
			return out, nil
		}
		if ask.Only != nil {
			return nil, fmt.Errorf("BUG: %d spans need their contents again", len(r.Tied))
		}
		ask.Only, parts.Named = r.Tied, r.Tied
		which.ClearAll()
		for _, t := range r.Tied {
			which.Set(int(t.Trace))
		}
	}
}

// homes are the tables of each home that may hold one of the traces.
func (s *Store) homes(ids []trace.ID, within jobs.Range) [][]column.Table {
	homes := [][]column.Table{s.liveTables()}
	for _, b := range s.blocks {
		if b.overlaps(within) && slices.ContainsFunc(ids, b.opened.MayHold) {
			homes = append(homes, b.opened.Reader().Tables())
		}
	}
	return homes
}

func (s *Store) liveTables() (out []column.Table) {
	for _, seg := range s.segments {
		if t := seg.Snapshot(s.covered, math.MaxInt64); t.Rows() > 0 {
			out = append(out, t)
		}
	}
	return out
}

// sharedTraces are the traces that have more than one home: as a catalog has those that lie in
// several blocks, and as a live-store names those that have a part in a segment.
type sharedTraces struct {
	published *catalog.SharedTraces
	live      []catalog.Extent
}

// homesOf is what a store knows of the homes of a trace.
type homesOf struct {
	extent   catalog.Extent
	segments int
	blocks   []string
}

// sharedTraces finds the traces that have more than one home. Most of those that are disjoint are
// known to be.
func (s *Store) sharedTraces(ctx context.Context) (*sharedTraces, error) {
	if s.shared != nil {
		return s.shared, nil
	}
	all, err := s.homesOfTraces(ctx)
	if err != nil {
		return nil, err
	}
	ids := slices.SortedFunc(maps.Keys(all), func(a, b trace.ID) int { return bytes.Compare(a[:], b[:]) })
	ids = slices.DeleteFunc(ids, func(id trace.ID) bool { return all[id].segments+len(all[id].blocks) < 2 })
	out := &sharedTraces{}
	var list catalog.SharedList
	for _, id := range ids {
		fragments, err := s.fragments(ctx, id)
		if err != nil {
			return nil, err
		}
		h := all[id]
		isTwice := func(homes []int) bool { return len(homes) > 0 }
		h.extent.Disjoint = id[len(id)-1]%4 > 0 && !slices.ContainsFunc(trace.Duplicates(fragments...), isTwice)
		if h.segments > 0 {
			out.live = append(out.live, h.extent)
		}
		if len(h.blocks) > 1 {
			list.Add(h.extent, h.blocks)
		}
	}
	out.published = views.Shared(&list)
	s.shared = out
	return out, nil
}

// homesOfTraces finds the homes of all traces.
func (s *Store) homesOfTraces(ctx context.Context) (map[trace.ID]*homesOf, error) {
	all := map[trace.ID]*homesOf{}
	enter := func(e catalog.Extent) *homesOf {
		h := all[e.ID]
		if h == nil {
			h = &homesOf{extent: e}
			all[e.ID] = h
		}
		h.extent = h.extent.Join(e)
		return h
	}
	for _, t := range s.liveTables() {
		for i := range t.Traces() {
			info, err := t.Trace(ctx, i)
			if err != nil {
				return nil, err
			}
			enter(catalog.Extent{ID: info.ID, Start: info.Start, End: info.End}).segments++
		}
	}
	for _, b := range s.blocks {
		for _, e := range b.traces {
			h := enter(catalog.Extent{ID: e.ID, Start: e.Start, End: e.End})
			h.blocks = append(h.blocks, b.meta.ID)
		}
	}
	return all, nil
}

// Trace puts one trace together from all homes, as TracesData; nil if no home holds it.
func (s *Store) Trace(id trace.ID) ([]byte, error) {
	parts, err := s.fragments(context.Background(), id)
	if err != nil || len(parts) == 0 {
		return nil, err
	}
	return trace.Assemble(parts...), nil
}

// fragments reads what each home holds of a trace.
func (s *Store) fragments(ctx context.Context, id trace.ID) (out [][]trace.Fragment, err error) {
	for _, tables := range s.homes([]trace.ID{id}, jobs.Range{End: math.MaxUint64}) {
		r, err := jobs.RunTrace(ctx, tables, id, math.MaxInt64, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, r.Fragments...)
	}
	return out, nil
}
