package live

import (
	"context"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Snapshot is the rows of a range of records as they were when it was taken. It implements
// column.Table; row and trace numbers begin at 0. It never blocks or is blocked by the segment's
// writer. One Snapshot belongs to one goroutine at a time, since it keeps what it has worked out;
// several goroutines take one Clone each. It stays valid for as long as it is held.
type Snapshot struct {
	data
	attrs             attrsView
	resource, scope   contentView
	first, last       int // rows of the segment
	from, upTo        int64
	firstRec, lastRec int // records of the segment
	keys              []column.Key
	eventKeys         []column.Key
	linkKeys          []column.Key

	// Trace numbers. Those of the segment ascend by first row, so a snapshot that begins at row 0
	// uses them as they are.
	traceCount int
	renumber   []uint32 // segment's number -> ours; nil: the same
	original   []uint32 // ours -> segment's

	service *sparse              // service.name of resources
	dense   map[*sparse][]uint32 // see denseOf
	grouped traceRows
	asked   int // single traces asked for
}

// contentView is what a reader sees of resources or scopes.
type contentView struct {
	attrs                   attrsView
	overflow, name, version *sparse
}

func (c *content) snapshot() contentView {
	return contentView{attrs: c.attrs.snapshot(), overflow: c.overflow.snapshot(), name: c.name.snapshot(), version: c.version.snapshot()}
}

// Snapshot returns the rows of the records with from ≤ offset < upTo. The goroutine that appends
// calls it; it costs a few words for each column that changed since the last one, and if the range
// begins after the segment's first row, a pass over its rows.
func (s *Segment) Snapshot(from, upTo int64) *Snapshot {
	b := s.base
	sn := &Snapshot{from: from, upTo: upTo}
	sn.firstRec = s.recordAt(from)
	sn.lastRec = max(s.recordAt(upTo), sn.firstRec)
	sn.first, sn.last = s.recordRow(sn.firstRec), s.recordRow(sn.lastRec)
	sn.attrs = s.attrs.snapshot()
	sn.data = data{base: &b, message: s.message.snapshot(), state: s.state.snapshot(), overflow: s.overflow.snapshot(),
		attr: sn.attrs.at, keys: sn.attrs.keys, events: s.events.snapshot(), links: s.links.snapshot()}
	sn.resource, sn.scope = s.resource.snapshot(), s.scope.snapshot()
	sn.keys, sn.eventKeys, sn.linkKeys = s.sortedKeys()
	for i, k := range sn.resource.attrs.keys {
		if k.Name == "service.name" && k.Type == column.String {
			sn.service = sn.resource.attrs.cols[i]
		}
	}
	if sn.first == 0 {
		sn.traceCount = search(&b.firstRow, uint32(sn.last))
	} else {
		sn.number()
	}
	return sn
}

// Clone returns the same rows for another goroutine. It is called by the goroutine that has the
// Snapshot.
func (s *Snapshot) Clone() *Snapshot {
	c := *s
	c.dense, c.grouped, c.asked = nil, traceRows{}, 0
	return &c
}

// recordAt returns the first record with an offset ≥ offset.
func (s *Segment) recordAt(offset int64) int {
	lo, hi := 0, s.records.len()
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if s.records.ref(mid).offset < offset {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func (s *Segment) recordRow(i int) int {
	if i < s.records.len() {
		return int(s.records.at(i).row)
	}
	return s.rows()
}

// number gives the traces of the rows numbers from 0 on.
func (s *Snapshot) number() {
	s.renumber = make([]uint32, s.traces.len())
	s.trace.slices(s.first, s.last, func(part []uint32) {
		for _, t := range part {
			if s.renumber[t] == 0 {
				s.original = append(s.original, t)
				s.renumber[t] = uint32(len(s.original))
			}
		}
	})
	for i := range s.renumber {
		s.renumber[i]-- // of traces without rows here: never asked for
	}
	s.traceCount = len(s.original)
}

// spanKeys are the columns that every span table has.
var spanKeys = []column.Key{column.TraceRow, column.SpanID, column.ParentID, column.Start, column.Duration, column.Name, column.Kind, column.Status,
	column.StatusMessage, column.HasStatus, column.TraceState, column.Flags, column.DroppedAttributes, column.DroppedEvents, column.DroppedLinks,
	column.ResourceRef, column.ScopeRef, column.Group, column.Shape, column.Overflow, column.ResourceOverflow, column.ScopeOverflow, column.Record,
	column.ScopeName, column.ScopeVersion}

var eventFixed = []column.Key{column.RowRef, column.EventTimeOffset, column.EventName, column.DroppedAttributes, column.Shape, column.Overflow}

var linkFixed = []column.Key{column.RowRef, column.LinkTraceID, column.LinkSpanID, column.TraceState, column.Flags, column.DroppedAttributes,
	column.Shape, column.Overflow}

// sortedKeys returns the columns of the three tables; the lists are made anew only when there are
// new columns.
func (s *Segment) sortedKeys() (spans, events, links []column.Key) {
	n := len(s.attrs.keys) + len(s.resource.attrs.keys) + len(s.scope.attrs.keys) + len(s.events.attrs.keys) + len(s.links.attrs.keys)
	if s.keys == nil || n != s.keyColumns {
		s.keyColumns = n
		s.keys = sorted(spanKeys, s.attrs.keys, s.resource.attrs.keys, s.scope.attrs.keys)
		s.eventKeys = sorted(eventFixed, s.events.attrs.keys)
		s.linkKeys = sorted(linkFixed, s.links.attrs.keys)
	}
	return s.keys, s.eventKeys, s.linkKeys
}

func sorted(lists ...[]column.Key) []column.Key {
	keys := slices.Concat(lists...)
	slices.SortFunc(keys, column.Key.Compare)
	return keys
}

// From and UpTo return the range of offsets it was taken for.
func (s *Snapshot) From() int64 { return s.from }

// UpTo returns the end of the range of offsets it was taken for.
func (s *Snapshot) UpTo() int64 { return s.upTo }

// Records returns the number of records in it.
func (s *Snapshot) Records() int { return s.lastRec - s.firstRec }

// Arrivals returns the earliest and latest arrival of its records, in unix ns; zeros without
// records.
func (s *Snapshot) Arrivals() (first, last int64) {
	for i := s.firstRec; i < s.lastRec; i++ {
		a := s.records.ref(i).arrival
		if i == s.firstRec {
			first, last = a, a
		}
		first, last = min(first, a), max(last, a)
	}
	return first, last
}

// Rows implements column.Columns.
func (s *Snapshot) Rows() int { return s.last - s.first }

// Keys implements column.Columns.
func (s *Snapshot) Keys() []column.Key { return s.keys }

// ShapeKeys implements column.Columns.
func (s *Snapshot) ShapeKeys() []column.Key { return s.attrs.keys }

// TimeOrdered implements column.Table: live rows lie in order of arrival.
func (s *Snapshot) TimeOrdered() bool { return false }

func resourceOf(r *run) uint32 { return r.resource }
func scopeOf(r *run) uint32    { return r.scope }

// pageRange returns the segment's rows of a page.
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
		return s.fixed(k, from, to, dst), nil
	case column.Span:
		return attribute(&s.attrs, &s.arena, k, from, to, dst), nil
	case column.Resource:
		if c := s.resource.attrs.find(k); c != nil {
			s.gather(c, len(s.resources), resourceOf, from, to, dst)
			return true, nil
		}
	case column.Instrumentation:
		if c := s.scope.attrs.find(k); c != nil {
			s.gather(c, len(s.scopes), scopeOf, from, to, dst)
			return true, nil
		}
	}
	return false, nil
}

func attribute(v *attrsView, a *arena, k column.Key, from, to int, dst *column.Vector) bool {
	c := v.find(k)
	if c == nil {
		return false
	}
	c.vector(a, from, to, dst)
	return true
}

func (s *Snapshot) fixed(k column.Key, from, to int, dst *column.Vector) bool {
	switch k {
	case column.TraceRow:
		dst.SetAll()
		s.trace.slices(from, to, func(part []uint32) {
			for _, t := range part {
				if s.renumber != nil {
					t = s.renumber[t]
				}
				dst.Ints = append(dst.Ints, int64(t))
			}
		})
	case column.SpanID:
		dst.SetAll()
		ids(&s.id, from, to, nil, dst)
	case column.ParentID:
		s.present(from, to, func(h *head) bool { return h.hasParent }, dst)
		ids(&s.parent, from, to, dst.Present, dst)
	case column.Start:
		dst.SetAll()
		dst.Ints = s.start.appendTo(dst.Ints, from, to)
	case column.Duration:
		dst.SetAll()
		dst.Ints = s.duration.appendTo(dst.Ints, from, to)
	case column.Name:
		dst.SetAll()
		s.name.values(&s.arena, from, to, dst)
	case column.Kind:
		s.heads0(from, to, func(h *head) int64 { return int64(h.kind) }, dst)
	case column.Status:
		s.heads0(from, to, func(h *head) int64 { return int64(h.status) }, dst)
	case column.HasStatus:
		s.heads0(from, to, func(h *head) int64 {
			if h.hasStatus {
				return 1
			}
			return 0
		}, dst)
	case column.Flags:
		s.nonzero(from, to, func(h *head) uint32 { return h.flags }, dst)
	case column.DroppedAttributes:
		s.nonzero(from, to, func(h *head) uint32 { return h.droppedAttributes }, dst)
	case column.DroppedEvents:
		s.nonzero(from, to, func(h *head) uint32 { return h.droppedEvents }, dst)
	case column.DroppedLinks:
		s.nonzero(from, to, func(h *head) uint32 { return h.droppedLinks }, dst)
	case column.StatusMessage:
		s.message.vector(&s.arena, from, to, dst)
	case column.TraceState:
		s.state.vector(&s.arena, from, to, dst)
	case column.Overflow:
		s.overflow.vector(&s.arena, from, to, dst)
	case column.Shape:
		s.shape.nonempty(&s.arena, from, to, dst)
	case column.ResourceRef:
		s.refs(s.resources, resourceOf, from, to, dst)
	case column.ScopeRef:
		s.refs(s.scopes, scopeOf, from, to, dst)
	case column.Group:
		dst.SetAll()
		s.eachRun(from, to, func(r *run, n int) { dst.Ints = repeat(dst.Ints, int64(r.group), n) })
	case column.Record:
		dst.SetAll()
		s.eachRun(from, to, func(r *run, n int) { dst.Ints = repeat(dst.Ints, s.records.ref(int(r.record)).offset, n) })
	case column.ResourceOverflow:
		s.gather(s.resource.overflow, len(s.resources), resourceOf, from, to, dst)
	case column.ScopeOverflow:
		s.gather(s.scope.overflow, len(s.scopes), scopeOf, from, to, dst)
	case column.ScopeName:
		s.gather(s.scope.name, len(s.scopes), scopeOf, from, to, dst)
	case column.ScopeVersion:
		s.gather(s.scope.version, len(s.scopes), scopeOf, from, to, dst)
	default:
		return false
	}
	return true
}

// ids appends the 8 bytes of the ids present. Written ids are never written again, so the strings
// may alias them.
func ids(v *vec[trace.SpanID], from, to int, present column.Bitmap, dst *column.Vector) {
	row := 0
	v.slices(from, to, func(part []trace.SpanID) {
		for i := range part {
			if present == nil || present.Get(row) {
				dst.Strings = append(dst.Strings, unsafe.String(&part[i][0], len(part[i])))
			}
			row++
		}
	})
}

func (s *Snapshot) heads0(from, to int, value func(*head) int64, dst *column.Vector) {
	dst.SetAll()
	values := make([]int64, 0, 64)
	for i := range s.heads {
		if i == 256 { // few are used often; the others are worked out one by one
			break
		}
		values = append(values, value(&s.heads[i]))
	}
	s.head.slices(from, to, func(part []uint32) {
		for _, h := range part {
			if int(h) < len(values) {
				dst.Ints = append(dst.Ints, values[h])
			} else {
				dst.Ints = append(dst.Ints, value(&s.heads[h]))
			}
		}
	})
}

func (s *Snapshot) present(from, to int, has func(*head) bool, dst *column.Vector) {
	row := 0
	s.head.slices(from, to, func(part []uint32) {
		for _, h := range part {
			if has(&s.heads[h]) {
				dst.Present.Set(row)
				dst.N++
			}
			row++
		}
	})
}

func (s *Snapshot) nonzero(from, to int, value func(*head) uint32, dst *column.Vector) {
	row := 0
	s.head.slices(from, to, func(part []uint32) {
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

// eachRun calls f for the runs of [from, to) with their number of rows there.
func (s *Snapshot) eachRun(from, to int, f func(r *run, n int)) {
	if from >= to {
		return
	}
	i := runIndex(&s.runs, from)
	r := s.runs.ref(i)
	for count := s.runs.len(); from < to; {
		var next *run
		end := to
		if i++; i < count {
			next = s.runs.ref(i)
			end = min(to, int(next.row))
		}
		f(r, end-from)
		from, r = end, next
	}
}

func repeat[T any](dst []T, v T, n int) []T {
	for range n {
		dst = append(dst, v)
	}
	return dst
}

func (s *Snapshot) refs(dict []string, code func(*run) uint32, from, to int, dst *column.Vector) {
	dst.SetAll()
	dst.Dict = dict
	s.eachRun(from, to, func(r *run, n int) { dst.Codes = repeat(dst.Codes, code(r), n) })
}

// gather reads a column of resources or scopes, of which there are n, for rows.
func (s *Snapshot) gather(c *sparse, n int, code func(*run) uint32, from, to int, dst *column.Vector) {
	dense := s.denseOf(c, n)
	all := c.rows.len() >= n
	switch c.typ {
	case column.Int, column.Bool:
		dst.Ints = gatherRuns(s, dst.Ints, dense, c.ints.at, all, code, from, to, dst)
	case column.Float:
		dst.Floats = gatherRuns(s, dst.Floats, dense, c.floats.at, all, code, from, to, dst)
	default:
		if c.strs.plain.len() > 0 || c.typ == column.Any {
			dst.Strings = gatherRuns(s, dst.Strings, dense, func(i int) string { return c.strs.at(&s.arena, i) }, all, code, from, to, dst)
			break
		}
		dst.Dict = c.strs.dict
		dst.Codes = gatherRuns(s, dst.Codes, dense, c.strs.codes.at, all, code, from, to, dst)
	}
	if dst.N == dst.Rows {
		dst.SetAll()
	}
}

// gatherRuns appends the value of each run of [from, to) that has one, once for each row. all:
// every resource or scope has one.
func gatherRuns[T any](s *Snapshot, out []T, dense []uint32, value func(int) T, all bool, code func(*run) uint32, from, to int, dst *column.Vector) []T {
	row := 0
	s.eachRun(from, to, func(r *run, n int) {
		if i := dense[code(r)]; i != 0 {
			v := value(int(i - 1))
			for range n {
				out = append(out, v)
			}
			dst.N += n
			if !all {
				dst.Present.SetRange(row, row+n)
			}
		}
		row += n
	})
	return out
}

// denseOf returns for each resource or scope the dense index of its value in c plus 1, 0 without
// one.
func (s *Snapshot) denseOf(c *sparse, n int) []uint32 {
	if t, ok := s.dense[c]; ok {
		return t
	}
	t := make([]uint32, n)
	i := uint32(0)
	c.rows.slices(0, c.rows.len(), func(part []uint32) {
		for _, r := range part {
			i++
			t[r] = i
		}
	})
	if s.dense == nil {
		s.dense = map[*sparse][]uint32{}
	}
	s.dense[c] = t
	return t
}

// vector reads rows [from, to) of a sparse column.
func (c *sparse) vector(a *arena, from, to int, dst *column.Vector) {
	i, j := search(&c.rows, uint32(from)), search(&c.rows, uint32(to))
	if j-i == to-from {
		dst.SetAll()
	} else {
		dst.N = j - i
		c.rows.slices(i, j, func(part []uint32) {
			for _, r := range part {
				dst.Present.Set(int(r) - from)
			}
		})
	}
	switch c.typ {
	case column.Int, column.Bool:
		dst.Ints = c.ints.appendTo(dst.Ints, i, j)
	case column.Float:
		dst.Floats = c.floats.appendTo(dst.Floats, i, j)
	default:
		c.strs.values(a, i, j, dst)
	}
}

// values reads values [i, j): as codes if all of them are coded.
func (s *strs) values(a *arena, i, j int, dst *column.Vector) {
	n := s.codes.len()
	if j <= n {
		if len(s.dict) > 0 {
			dst.Dict = s.dict
			dst.Codes = s.codes.appendTo(dst.Codes, i, j)
		}
		return
	}
	s.codes.slices(min(i, n), n, func(part []uint32) {
		for _, c := range part {
			dst.Strings = append(dst.Strings, s.dict[c])
		}
	})
	s.plain.slices(max(i-n, 0), j-n, func(part []uint32) {
		for _, ref := range part {
			dst.Strings = append(dst.Strings, a.get(ref))
		}
	})
}

// nonempty reads rows [i, j) of a column that has a string for every row, the empty one for those
// without a value.
func (s *strs) nonempty(a *arena, i, j int, dst *column.Vector) {
	s.values(a, i, j, dst)
	k := 0
	for row := range j - i {
		if dst.Dict != nil {
			c := dst.Codes[row]
			if dst.Dict[c] == "" {
				continue
			}
			dst.Codes[k] = c
		} else {
			if dst.Strings[row] == "" {
				continue
			}
			dst.Strings[k] = dst.Strings[row]
		}
		dst.Present.Set(row)
		k++
	}
	dst.N = k
	if dst.Dict != nil {
		dst.Codes = dst.Codes[:k]
	} else {
		dst.Strings = dst.Strings[:k]
	}
	if k == j-i {
		dst.SetAll()
	}
}
