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

// A reader of one trace searches for it; one that asks for more than this many has all rows sorted
// by trace.
const singleTraces = 4

// traceRows are the rows of a snapshot by trace.
type traceRows struct {
	start []uint32 // of each trace in rows, and the end; nil: not made yet
	rows  []uint32
	ids   map[trace.ID]uint32
}

// Traces implements column.Table.
func (s *Snapshot) Traces() int { return s.traceCount }

func (s *Snapshot) checkTrace(i int) error {
	if i < 0 || i >= s.traceCount {
		return fmt.Errorf("read trace %d of %d: %w", i, s.traceCount, column.ErrCorrupt)
	}
	return nil
}

func (s *Snapshot) segmentTrace(i int) int {
	if s.renumber != nil {
		return int(s.original[i])
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

// group sorts the rows by trace.
func (s *Snapshot) group() {
	g := &s.grouped
	g.start = make([]uint32, s.traceCount+1)
	g.rows = make([]uint32, s.Rows())
	number := func(t uint32) uint32 {
		if s.renumber != nil {
			return s.renumber[t]
		}
		return t
	}
	s.trace.slices(s.first, s.last, func(part []uint32) {
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
	s.trace.slices(s.first, s.last, func(part []uint32) {
		for _, t := range part {
			at := &g.start[number(t)]
			g.rows[*at] = row
			*at++
			row++
		}
	})
	copy(g.start[1:], g.start[:s.traceCount]) // each start has become the next trace's
	g.start[0] = 0
}

// TraceRows implements column.Table. The first few calls search the rows, the next one sorts them
// all by trace.
func (s *Snapshot) TraceRows(i int, dst []uint32) []uint32 {
	if s.checkTrace(i) != nil {
		return dst
	}
	if s.grouped.start == nil {
		if s.asked++; s.asked > singleTraces {
			s.group()
		}
	}
	if g := &s.grouped; g.start != nil {
		return append(dst, g.rows[g.start[i]:g.start[i+1]]...)
	}
	want := uint32(s.segmentTrace(i))
	row := max(s.first, int(s.firstRow.at(int(want))))
	s.trace.slices(row, s.last, func(part []uint32) {
		for _, t := range part {
			if t == want {
				dst = append(dst, uint32(row-s.first))
			}
			row++
		}
	})
	return dst
}

// Trace implements column.Table.
func (s *Snapshot) Trace(ctx context.Context, i int) (column.TraceInfo, error) {
	if err := s.checkTrace(i); err != nil {
		return column.TraceInfo{}, err
	}
	info := column.TraceInfo{ID: s.traces.at(s.segmentTrace(i)), Start: math.MaxUint64}
	rows := s.grouped.rows
	if s.grouped.start == nil {
		rows = s.TraceRows(i, nil)
	}
	if s.grouped.start != nil {
		rows = s.grouped.rows[s.grouped.start[i]:s.grouped.start[i+1]]
	}
	root := -1
	var content *trace.Fragment // of root; read once, since it may be large and many may be compared with it
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
			if before, err := s.before(ctx, row, root, &content); err != nil {
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

// serviceOf returns service.name of a resource, if it is a string. It is read from the content
// where it has no column.
func (s *Snapshot) serviceOf(resource uint32) (string, error) {
	if s.service != nil {
		if n, ok := s.service.find(resource); ok {
			return s.service.strs.at(&s.arena, n), nil
		}
	}
	if _, ok := s.resource.overflow.find(resource); !ok {
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

// before says whether a row of the segment comes before the root of its trace in the order of
// spans: by start, span id, content. content is what is known of the root's; where the row takes
// the root's place it becomes the row's.
func (s *Snapshot) before(ctx context.Context, row, root int, content **trace.Fragment) (bool, error) {
	x, y := s.id.at(row), s.id.at(root)
	if c := cmp.Or(cmp.Compare(uint64(s.start.at(row)), uint64(s.start.at(root))), bytes.Compare(x[:], y[:])); c != 0 {
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

// Lookup implements column.Table. The first few calls search the ids, the next one makes a table of
// them.
func (s *Snapshot) Lookup(_ context.Context, id trace.ID) (i int, ok bool, err error) {
	if s.grouped.ids == nil {
		if s.asked++; s.asked > singleTraces {
			s.grouped.ids = make(map[trace.ID]uint32, s.traceCount)
			for i := range s.traceCount {
				s.grouped.ids[s.traces.at(s.segmentTrace(i))] = uint32(i)
			}
		}
	}
	if s.grouped.ids != nil {
		n, ok := s.grouped.ids[id]
		return int(n), ok, nil
	}
	if s.renumber != nil {
		for i, t := range s.original {
			if s.traces.at(int(t)) == id {
				return i, true, nil
			}
		}
		return 0, false, nil
	}
	at, found := 0, -1
	s.traces.slices(0, s.traceCount, func(part []trace.ID) {
		for i := range part {
			if part[i] == id {
				found = at + i
			}
		}
		at += len(part)
	})
	return max(found, 0), found >= 0, nil
}

// AppendFragments implements column.Fragmenter: single rows are read directly. Resource and Scope
// alias the segment's memory.
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
		s.span(row, &sp)
		if cap(buf)-len(buf) < 4096 {
			if err := ctx.Err(); err != nil {
				return dst, err
			}
			buf = make([]byte, 0, 1<<16)
		}
		at := len(buf)
		buf = trace.AppendSpan(buf, &sp)
		in := runOf(&s.runs, row)
		dst = append(dst, trace.Fragment{Resource: bytesOf(s.resources[in.resource]), Scope: bytesOf(s.scopes[in.scope]), Group: in.group,
			Span: buf[at:len(buf):len(buf)]})
	}
	return dst, nil
}
