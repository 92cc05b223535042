package live

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// singleTraces is how many traces a reader may ask for before all rows are sorted by trace. Until
// then each trace is searched for.
const singleTraces = 4

// traceRows are the rows of a snapshot, sorted by trace.
type traceRows struct {
	start []uint32 // where each trace begins in rows, and the end of the last; nil: not made yet
	rows  []uint32
	ids   map[trace.ID]uint32 // the number of each trace; nil: not made yet
}

// Traces implements column.Table.
func (s *Snapshot) Traces() int { return s.numbering.count }

// checkTrace returns an error if there is no trace i.
func (s *Snapshot) checkTrace(i int) error {
	if i < 0 || i >= s.numbering.count {
		return fmt.Errorf("read trace %d of %d: %w", i, s.numbering.count, column.ErrCorrupt)
	}
	return nil
}

// segmentTrace returns the segment's number of trace i.
func (s *Snapshot) segmentTrace(i int) int {
	if s.numbering.renumber != nil {
		return int(s.numbering.original[i])
	}
	return i
}

// TraceID implements column.Table.
func (s *Snapshot) TraceID(_ context.Context, i int) (trace.ID, error) {
	if err := s.checkTrace(i); err != nil {
		return trace.ID{}, err
	}
	return s.traces.at(s.segmentTrace(i)), nil
}

// groupRows sorts the rows by trace, by counting.
func (s *Snapshot) groupRows() {
	g := &s.memo.grouped
	g.start = make([]uint32, s.numbering.count+1)
	g.rows = make([]uint32, s.Rows())
	number := func(t uint32) uint32 {
		if s.numbering.renumber != nil {
			return s.numbering.renumber[t]
		}
		return t
	}
	s.trace.eachPart(s.first, s.last, func(part []uint32) {
		for _, t := range part {
			g.start[number(t)]++
		}
	})
	sum := uint32(0)
	for i, n := range g.start {
		g.start[i] = sum
		sum += n
	}
	row := uint32(0)
	s.trace.eachPart(s.first, s.last, func(part []uint32) {
		for _, t := range part {
			at := &g.start[number(t)]
			g.rows[*at] = row
			*at++
			row++
		}
	})
	copy(g.start[1:], g.start[:s.numbering.count]) // each start has moved on to the next trace's
	g.start[0] = 0
}

// TraceRows implements column.Table. The first few calls search the rows; a later one sorts them
// all by trace.
func (s *Snapshot) TraceRows(i int, dst []uint32) []uint32 {
	if s.checkTrace(i) != nil {
		return dst
	}
	if s.memo.grouped.start == nil {
		if s.memo.asked++; s.memo.asked > singleTraces {
			s.groupRows()
		}
	}
	if g := &s.memo.grouped; g.start != nil {
		return append(dst, g.rows[g.start[i]:g.start[i+1]]...)
	}
	want := uint32(s.segmentTrace(i))
	row := max(s.first, int(s.firstRow.at(int(want))))
	s.trace.eachPart(row, s.last, func(part []uint32) {
		for _, t := range part {
			if t == want {
				dst = append(dst, uint32(row-s.first))
			}
			row++
		}
	})
	return dst
}

// Trace implements column.Table. The root is the first span without a parent in the order of spans.
func (s *Snapshot) Trace(ctx context.Context, i int) (column.TraceInfo, error) {
	if err := s.checkTrace(i); err != nil {
		return column.TraceInfo{}, err
	}
	info := column.TraceInfo{ID: s.traces.at(s.segmentTrace(i)), Start: math.MaxUint64}
	rows := s.memo.grouped.rows
	if s.memo.grouped.start == nil {
		rows = s.TraceRows(i, nil)
	}
	if s.memo.grouped.start != nil {
		rows = s.memo.grouped.rows[s.memo.grouped.start[i]:s.memo.grouped.start[i+1]]
	}
	root := -1
	// content is the root's. It is read once, because it may be large and many spans may be
	// compared with it.
	var content *trace.Fragment
	for n, r := range rows {
		if n&1023 == 1023 && ctx.Err() != nil {
			return info, ctx.Err()
		}
		row := s.first + int(r)
		start := uint64(s.start.at(row))
		info.Start = min(info.Start, start)
		info.End = max(info.End, start, start+uint64(s.duration.at(row)))
		if s.heads[s.head.at(row)].hasParent {
			continue
		}
		if root >= 0 {
			if before, err := s.comesBefore(ctx, row, root, &content); err != nil {
				return info, err
			} else if before {
				continue
			}
		}
		root = row
	}
	info.Spans = len(rows)
	if root >= 0 {
		info.HasRoot = true
		info.RootName = s.name.at(&s.arena, root)
		var err error
		info.RootService, err = s.serviceOf(runOf(&s.runs, root).resource)
		return info, err
	}
	return info, nil
}

// serviceOf returns the service.name of a resource if that is a string. Where it lies in the
// overflow it is read from the resource's content.
func (s *Snapshot) serviceOf(resource uint32) (string, error) {
	if s.service != nil {
		if n, ok := s.service.indexOfRow(resource); ok {
			return s.service.strings.at(&s.arena, n), nil
		}
	}
	if _, ok := s.resource.overflow.indexOfRow(resource); !ok {
		return "", nil
	}
	attrs, err := trace.ResourceAttributes(bytesOf(s.resources[resource]), nil)
	for _, a := range attrs {
		if string(a.Key) == "service.name" && a.Value.Type == trace.String {
			return string(a.Value.Bytes), nil
		}
	}
	return "", err
}

// comesBefore reports whether a row of the segment comes before the root of its trace in the order
// of spans: by start, span id, content. *content is the root's content if that has been read, or
// nil. Where the row takes the root's place, *content becomes the row's.
func (s *Snapshot) comesBefore(ctx context.Context, row, root int, content **trace.Fragment) (bool, error) {
	x, y := s.id.at(row), s.id.at(root)
	byStart := cmp.Compare(uint64(s.start.at(row)), uint64(s.start.at(root)))
	if c := cmp.Or(byStart, bytes.Compare(x[:], y[:])); c != 0 {
		if c > 0 {
			*content = nil
		}
		return c < 0, nil
	}
	rows := []uint32{uint32(row - s.first)}
	if *content == nil {
		rows = append(rows, uint32(root-s.first))
	}
	f, err := s.AppendFragments(ctx, rows, nil)
	if err != nil {
		return false, err
	}
	if *content == nil {
		*content = &f[1]
	}
	if f[0].Compare(*content) < 0 {
		return true, nil
	}
	*content = &f[0]
	return false, nil
}

// Lookup implements column.Table. The first few calls search the ids; a later one makes a table of
// them.
func (s *Snapshot) Lookup(_ context.Context, id trace.ID) (i int, ok bool, err error) {
	if s.memo.grouped.ids == nil {
		if s.memo.asked++; s.memo.asked > singleTraces {
			s.memo.grouped.ids = make(map[trace.ID]uint32, s.numbering.count)
			for i := range s.numbering.count {
				s.memo.grouped.ids[s.traces.at(s.segmentTrace(i))] = uint32(i)
			}
		}
	}
	if s.memo.grouped.ids != nil {
		n, ok := s.memo.grouped.ids[id]
		return int(n), ok, nil
	}
	if s.numbering.renumber != nil {
		for i, t := range s.numbering.original {
			if s.traces.at(int(t)) == id {
				return i, true, nil
			}
		}
		return 0, false, nil
	}
	at, found := 0, -1
	s.traces.eachPart(0, s.numbering.count, func(part []trace.ID) {
		for i := range part {
			if part[i] == id {
				found = at + i
			}
		}
		at += len(part)
	})
	return max(found, 0), found >= 0, nil
}

// AppendFragments implements column.Fragmenter: it reads single rows directly, not by page.
// Resource and Scope of the fragments alias the segment's memory.
func (s *Snapshot) AppendFragments(ctx context.Context, rows []uint32, dst []trace.Fragment) ([]trace.Fragment, error) {
	var sp trace.Span
	var buf []byte
	for n, r := range rows {
		if n&1023 == 0 {
			if err := ctx.Err(); err != nil {
				return dst, err
			}
		}
		if int(r) >= s.Rows() {
			return dst, fmt.Errorf("read row %d of %d: %w", r, s.Rows(), column.ErrCorrupt)
		}
		row := s.first + int(r)
		s.readSpan(row, &sp)
		if cap(buf)-len(buf) < 4096 {
			if err := ctx.Err(); err != nil {
				return dst, err
			}
			buf = make([]byte, 0, 1<<16)
		}
		at := len(buf)
		buf = trace.AppendSpan(buf, &sp)
		in := runOf(&s.runs, row)
		dst = append(dst, trace.Fragment{
			Resource: bytesOf(s.resources[in.resource]),
			Scope:    bytesOf(s.scopes[in.scope]),
			Group:    in.group,
			Span:     buf[at:len(buf):len(buf)],
		})
	}
	return dst, nil
}
