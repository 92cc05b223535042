package live

import (
	"context"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// pageRange returns the segment's rows [from, to) of a page.
func pageRange(first, last, page int) (from, to int) {
	from = min(first+page*column.PageRows, last)
	return from, min(from+column.PageRows, last)
}

// Vector implements column.Columns. A column of strings may be dictionary coded in its first pages
// and plain from some page on.
func (s *Snapshot) Vector(ctx context.Context, k column.Key, page int, dst *column.Vector) (bool, error) {
	from, to := pageRange(s.first, s.last, max(page, 0))
	dst.Reset(to - from)
	if err := ctx.Err(); err != nil {
		return false, err
	}
	switch k.Scope {
	case column.Intrinsic:
		return s.readArray(k, from, to, dst) || s.readHeads(k, from, to, dst) || s.readRuns(k, from, to, dst), nil
	case column.Span:
		return s.attributes.readRows(&s.arena, k, from, to, dst), nil
	case column.Resource:
		if c := s.resource.attributes.columnOf(k); c != nil {
			s.gatherColumn(c, len(s.resources), resourceOf, from, to, dst)
			return true, nil
		}
	case column.Instrumentation:
		if c := s.scope.attributes.columnOf(k); c != nil {
			s.gatherColumn(c, len(s.scopes), scopeOf, from, to, dst)
			return true, nil
		}
	}
	return false, nil
}

// EachSparse implements column.SparseReader for attributes of spans.
func (s *Snapshot) EachSparse(
	ctx context.Context, k column.Key, f func(rows []uint32, values *column.Vector) error,
) (ok bool, err error) {
	if err := ctx.Err(); err != nil || k.Scope != column.Span {
		return false, err
	}
	m := &s.memo.sparse
	if c := s.attributes.columnOf(k); c == nil || !c.readSparse(&s.arena, s.first, s.last, m) {
		return false, nil
	}
	if len(m.rows) == 0 {
		return true, nil
	}
	return true, f(m.rows, &m.values)
}

// readArray reads a column that is an array or a sparse column of its own.
func (s *Snapshot) readArray(k column.Key, from, to int, dst *column.Vector) bool {
	switch k {
	case column.TraceRow:
		dst.SetAll()
		s.trace.eachPart(from, to, func(part []uint32) {
			for _, t := range part {
				if s.numbering.renumber != nil {
					t = s.numbering.renumber[t]
				}
				dst.Ints = append(dst.Ints, int64(t))
			}
		})
	case column.SpanID:
		dst.SetAll()
		appendIDs(&s.id, from, to, nil, dst)
	case column.ParentID:
		s.markPresent(from, to, func(h *head) bool { return h.hasParent }, dst)
		appendIDs(&s.parent, from, to, dst.Present, dst)
	case column.Start:
		dst.SetAll()
		dst.Ints = s.start.appendTo(dst.Ints, from, to)
	case column.Duration:
		dst.SetAll()
		dst.Ints = s.duration.appendTo(dst.Ints, from, to)
	case column.Name:
		dst.SetAll()
		s.name.readValues(&s.arena, from, to, dst)
	case column.StatusMessage:
		s.message.readRows(&s.arena, from, to, dst)
	case column.TraceState:
		s.state.readRows(&s.arena, from, to, dst)
	case column.Overflow:
		s.overflow.readRows(&s.arena, from, to, dst)
	case column.Shape:
		s.shape.readNonempty(&s.arena, from, to, dst)
	default:
		return false
	}
	return true
}

// readHeads reads a column of the small numbers, which lie in the heads.
func (s *Snapshot) readHeads(k column.Key, from, to int, dst *column.Vector) bool {
	switch k {
	case column.Kind:
		s.readHeadNumbers(from, to, func(h *head) int64 { return int64(h.kind) }, dst)
	case column.Status:
		s.readHeadNumbers(from, to, func(h *head) int64 { return int64(h.status) }, dst)
	case column.HasStatus:
		s.readHeadNumbers(from, to, func(h *head) int64 {
			if h.hasStatus {
				return 1
			}
			return 0
		}, dst)
	case column.Flags:
		s.readNonzero(from, to, func(h *head) uint32 { return h.flags }, dst)
	case column.DroppedAttributes:
		s.readNonzero(from, to, func(h *head) uint32 { return h.droppedAttributes }, dst)
	case column.DroppedEvents:
		s.readNonzero(from, to, func(h *head) uint32 { return h.droppedEvents }, dst)
	case column.DroppedLinks:
		s.readNonzero(from, to, func(h *head) uint32 { return h.droppedLinks }, dst)
	default:
		return false
	}
	return true
}

// readRuns reads a column whose value is the same for all rows of a run.
func (s *Snapshot) readRuns(k column.Key, from, to int, dst *column.Vector) bool {
	switch k {
	case column.ResourceRef:
		s.readReferences(s.resources, resourceOf, from, to, dst)
	case column.ScopeRef:
		s.readReferences(s.scopes, scopeOf, from, to, dst)
	case column.Group:
		dst.SetAll()
		s.eachRun(from, to, func(r *run, n int) { dst.Ints = appendRepeated(dst.Ints, int64(r.group), n) })
	case column.Record:
		dst.SetAll()
		s.eachRun(from, to, func(r *run, n int) {
			dst.Ints = appendRepeated(dst.Ints, s.records.addressOf(int(r.record)).offset, n)
		})
	case column.ResourceOverflow:
		s.gatherColumn(s.resource.overflow, len(s.resources), resourceOf, from, to, dst)
	case column.ScopeOverflow:
		s.gatherColumn(s.scope.overflow, len(s.scopes), scopeOf, from, to, dst)
	case column.ScopeName:
		s.gatherColumn(s.scope.name, len(s.scopes), scopeOf, from, to, dst)
	case column.ScopeVersion:
		s.gatherColumn(s.scope.version, len(s.scopes), scopeOf, from, to, dst)
	default:
		return false
	}
	return true
}

// appendIDs appends the 8 bytes of each id that is present. An id is never written again, so the
// strings may alias it.
func appendIDs(v *vec[trace.SpanID], from, to int, present column.Bitmap, dst *column.Vector) {
	row := 0
	v.eachPart(from, to, func(part []trace.SpanID) {
		for i := range part {
			if present == nil || present.Get(row) {
				dst.Strings = append(dst.Strings, unsafe.String(&part[i][0], len(part[i])))
			}
			row++
		}
	})
}

// commonHeads is how many heads' values are worked out before the rows are read. Few heads are used
// often; the values of the others are worked out row by row.
const commonHeads = 256

// readHeadNumbers reads a number that every head has.
func (s *Snapshot) readHeadNumbers(from, to int, value func(*head) int64, dst *column.Vector) {
	dst.SetAll()
	values := make([]int64, 0, 64)
	for i := range min(len(s.heads), commonHeads) {
		values = append(values, value(&s.heads[i]))
	}
	s.head.eachPart(from, to, func(part []uint32) {
		for _, h := range part {
			if int(h) < len(values) {
				dst.Ints = append(dst.Ints, values[h])
			} else {
				dst.Ints = append(dst.Ints, value(&s.heads[h]))
			}
		}
	})
}

// markPresent sets the presence of the rows whose head has a value. It does not read the values.
func (s *Snapshot) markPresent(from, to int, has func(*head) bool, dst *column.Vector) {
	row := 0
	s.head.eachPart(from, to, func(part []uint32) {
		for _, h := range part {
			if has(&s.heads[h]) {
				dst.Present.Set(row)
				dst.N++
			}
			row++
		}
	})
}

// readNonzero reads a number of the heads where 0 means that the row has no value.
func (s *Snapshot) readNonzero(from, to int, value func(*head) uint32, dst *column.Vector) {
	row := 0
	s.head.eachPart(from, to, func(part []uint32) {
		for _, h := range part {
			if v := value(&s.heads[h]); v != 0 {
				dst.Present.Set(row)
				dst.N++
				dst.Ints = append(dst.Ints, int64(v))
			}
			row++
		}
	})
}

// eachRun calls f for each run of [from, to) with the number of its rows there.
func (s *Snapshot) eachRun(from, to int, f func(r *run, n int)) {
	if from >= to {
		return
	}
	i := runIndex(&s.runs, from)
	r := s.runs.addressOf(i)
	for count := s.runs.len(); from < to; {
		var next *run
		end := to
		if i++; i < count {
			next = s.runs.addressOf(i)
			end = min(to, int(next.row))
		}
		f(r, end-from)
		from, r = end, next
	}
}

func appendRepeated[T any](dst []T, v T, n int) []T {
	for range n {
		dst = append(dst, v)
	}
	return dst
}

// resourceOf and scopeOf return the number of what a run's spans were sent under.
func resourceOf(r *run) uint32 { return r.resource }
func scopeOf(r *run) uint32    { return r.scope }

// readReferences reads the resource or the scope itself, whose canonical contents are a dictionary.
func (s *Snapshot) readReferences(dict []string, number func(*run) uint32, from, to int, dst *column.Vector) {
	dst.SetAll()
	dst.Dict = dict
	s.eachRun(from, to, func(r *run, n int) { dst.Codes = appendRepeated(dst.Codes, number(r), n) })
}

// gatherColumn reads a column of the resources or of the scopes, of which there are n, for rows of
// spans: the value of each run's resource or scope, once for each of its rows.
func (s *Snapshot) gatherColumn(c *sparseColumn, n int, number func(*run) uint32, from, to int, dst *column.Vector) {
	g := gatherer{s: s, number: number, valueIndex: s.valueIndexOf(c, n), all: c.rows.len() >= n, from: from, to: to}
	switch c.typ {
	case column.Int, column.Bool:
		dst.Ints = gatherRuns(g, dst.Ints, c.ints.at, dst)
	case column.Float:
		dst.Floats = gatherRuns(g, dst.Floats, c.floats.at, dst)
	default:
		if c.strings.plain.len() > 0 || c.typ == column.Any {
			dst.Strings = gatherRuns(g, dst.Strings, func(i int) string { return c.strings.at(&s.arena, i) }, dst)
			break
		}
		dst.Dict = c.strings.dict
		dst.Codes = gatherRuns(g, dst.Codes, c.strings.codes.at, dst)
	}
	if dst.N == dst.Rows {
		dst.SetAll()
	}
}

// gatherer is what gatherRuns reads from.
type gatherer struct {
	s          *Snapshot
	number     func(*run) uint32
	valueIndex []uint32
	all        bool // every resource or scope has a value
	from, to   int
}

// gatherRuns appends the value of each run that has one to out, once for each row. It sets the
// presence of the rows in dst.
func gatherRuns[T any](g gatherer, out []T, value func(int) T, dst *column.Vector) []T {
	row := 0
	g.s.eachRun(g.from, g.to, func(r *run, n int) {
		if i := g.valueIndex[g.number(r)]; i != 0 {
			v := value(int(i - 1))
			for range n {
				out = append(out, v)
			}
			dst.N += n
			if !g.all {
				dst.Present.SetRange(row, row+n)
			}
		}
		row += n
	})
	return out
}

// valueIndexOf returns for each of the n resources or scopes the index of its value in c plus 1, or
// 0 if it has none.
func (s *Snapshot) valueIndexOf(c *sparseColumn, n int) []uint32 {
	if t, ok := s.memo.valueIndex[c]; ok {
		return t
	}
	t := make([]uint32, n)
	i := uint32(0)
	c.rows.eachPart(0, c.rows.len(), func(part []uint32) {
		for _, r := range part {
			i++
			t[r] = i
		}
	})
	if s.memo.valueIndex == nil {
		s.memo.valueIndex = map[*sparseColumn][]uint32{}
	}
	s.memo.valueIndex[c] = t
	return t
}
