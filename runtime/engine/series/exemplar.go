package series

import (
	"bytes"
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

const (
	// usualPerSlot is how many exemplars a slot of time has if spans lie in all slots. With two,
	// the outliers of a busy time do not always hide one another.
	usualPerSlot = 2

	// maxPerSlot is how many spans a slot keeps at most, when spans lie in few slots. It bounds
	// what each part of a query keeps. So an answer has as many exemplars as were asked for, up to
	// 10, wherever the spans lie, and more than 10 if they lie in at least a fifth of the range.
	maxPerSlot = 10

	// spareFactor is how many times as many spans are kept as were asked for, because a trace may
	// be chosen in several slots and is shown once.
	spareFactor = 2
)

// ExemplarSpan is a span chosen to stand for a value.
type ExemplarSpan struct {
	Trace  trace.ID
	Start  int64 // unix ns
	Row    uint32
	Group  uint32
	Value  float64 // as it is shown; not set for functions that count spans
	Labels []Label // what is shown of the span beside its trace; nil: not yet described

	code uint8  // of the value, as in Tally.buckets
	key  uint64 // a hash of Start: spans with lesser keys are preferred
}

// Exemplars are the spans chosen for the series of a Tally. Time is cut into slots (t-slotWidth,
// t]. In each slot the spans with the least keys stay, one of a trace. The key is a hash of the
// start, and equal keys are ordered by trace id, so the choice depends on the spans alone.
//
//	span  start  trace  key     slots of 10 s, slotLimit 2
//	   0    3 s  A      70      slot 0: 0
//	   1   12 s  B      20      slot 0: 0     slot 1: 1
//	   2    5 s  C      10      slot 0: 2 0   slot 1: 1
//	   3    9 s  D      40      slot 0: 2 3   slot 1: 1   0 has the greatest key of three
//	   4   15 s  B      30      slot 0: 2 3   slot 1: 1   B has a lesser key in the slot
//
// All slots have the same limit: the least one that gives enough spans altogether. So exemplars
// spread over the range as spans do, and there are as many as asked for even if spans lie in few
// slots.
//
// Invariants: slotLimit never rises, and a span that was left out never comes in again. So the
// result is the same in whatever order and parts the spans come.
type Exemplars struct {
	max       int // how many are asked for
	slotLimit int // how many spans a slot keeps at most
	kept      int // spans in all slots
	fullSlots int // slots that have slotLimit spans
	slotWidth int64
	first     int64            // the number of slots[0]; slot n ends at (n+1)*slotWidth
	magic     uint64           // ⌈2⁶⁴/slotWidth⌉, for the division as in Window
	slots     [][]ExemplarSpan // each by key, then trace id
	worstKeys []uint64         // by slot: the key above which a span has no place there
}

// SlotWidthFor returns the width of slots, in ns, for n exemplars in a range: n/2 slots make up the
// range. It is 0 if there are to be none.
func SlotWidthFor(start, end int64, n int) int64 {
	if end <= start || n <= 0 {
		return 0
	}
	slots := uint64(n+usualPerSlot-1) / usualPerSlot
	return int64(min(max((uint64(end-start)+slots-1)/slots, 2), math.MaxInt64/2))
}

// newExemplars returns an empty choice of n spans, with slots of so many ns.
func newExemplars(w *Window, n int, slot int64) Exemplars {
	if n <= 0 || w.intervals == 0 || slot <= 1 {
		return Exemplars{}
	}
	e := Exemplars{
		max:       n,
		slotLimit: min(spareFactor*n, maxPerSlot),
		slotWidth: slot,
		magic:     math.MaxUint64/uint64(slot) + 1,
	}
	first := floorToStep(w.start, slot)
	if first > w.start { // the multiple below the least times cannot be represented
		return Exemplars{}
	}
	e.coverSlots(first/slot, floorToStep(w.end-1, slot)/slot)
	return e
}

// coverSlots adds slots so that those from one to another exist. It adds none if there would be too
// many; spans there are then passed over.
func (e *Exemplars) coverSlots(from, to int64) {
	if n := int64(len(e.slots)); n > 0 {
		from, to = min(from, e.first), max(to, e.first+n-1)
		if from == e.first && to == e.first+n-1 {
			return
		}
	}
	if to-from >= MaxIntervals {
		return
	}
	slots, worst := make([][]ExemplarSpan, to-from+1), make([]uint64, to-from+1)
	for i := range worst {
		worst[i] = math.MaxUint64
	}
	if len(e.slots) > 0 {
		copy(slots[e.first-from:], e.slots)
		copy(worst[e.first-from:], e.worstKeys)
	}
	e.first, e.slots, e.worstKeys = from, slots, worst
}

// Wanted reports whether exemplars are asked for.
func (e *Exemplars) Wanted() bool { return e.max > 0 }

// PickExemplars offers spans to be exemplars: the given rows (nil: all) of starts, as they come
// from Window.LocateRows. It knows only the starts and asks its caller for the rest. fill is called
// for each span that may get a place, with the span's index in rows, and sets Trace, Row, Group and
// Value; it returns ok=false to pass the span over. describe sets the Labels of a span of these
// rows. It is called for every span that keeps its place, and earlier if two spans of one trace
// start at the same time: the one with the lesser group, value and labels is preferred then. The
// errors are those of fill and describe.
func (t *Tally) PickExemplars(starts []int64, rows []uint32,
	fill func(i int, p *ExemplarSpan) (ok bool, err error), describe func(p *ExemplarSpan) error) error {
	e := &t.Exemplars
	low := uint64(e.first * e.slotWidth)
	compare := func(a, b *ExemplarSpan) (int, error) {
		for _, p := range []*ExemplarSpan{a, b} {
			if p.Labels == nil {
				if err := describe(p); err != nil {
					return 0, err
				}
			}
		}
		return t.compareExemplarSpans(a, b), nil
	}
	n := len(rows)
	if rows == nil {
		n = len(starts)
	}
	var p ExemplarSpan
	width := uint64(e.slotWidth)
	var slot, begin uint64 // of the span before: neighbours are mostly in one slot
	for i := range n {
		row := uint32(i)
		if rows != nil {
			row = rows[i]
		}
		start := starts[row]
		at := uint64(start-1) - low
		if at-begin >= width {
			slot, _ = bits.Mul64(at, e.magic)
			if slot*width > at {
				slot--
			}
			begin = slot * width
		}
		if slot >= uint64(len(e.worstKeys)) {
			continue
		}
		key := uint64(start) * phi
		if key > e.worstKeys[slot] {
			continue
		}
		p = ExemplarSpan{Start: start, key: key}
		ok, err := fill(i, &p)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := e.offerSpan(int(slot), &p, compare); err != nil {
			return err
		}
	}
	for _, s := range e.slots {
		for i := range s {
			if s[i].Labels != nil {
				continue
			}
			if err := describe(&s[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// compareExemplarSpans orders spans by what answers show of them.
func (t *Tally) compareExemplarSpans(a, b *ExemplarSpan) int {
	if a.Group != b.Group {
		x, y := t.Groups.AppendValues(int(a.Group), nil), t.Groups.AppendValues(int(b.Group), nil)
		if c := slices.CompareFunc(x, y, Value.Compare); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(a.Value, b.Value), CompareLabels(a.Labels, b.Labels))
}

// offerSpan puts a span into its place in a slot, if it has one, and lowers slotLimit if that
// leaves enough spans. compare decides between two spans of a trace that start at the same time.
func (e *Exemplars) offerSpan(slot int, p *ExemplarSpan, compare func(a, b *ExemplarSpan) (int, error)) error {
	s := e.slots[slot]
	for i := range s {
		if s[i].Trace != p.Trace {
			continue
		}
		// Of one trace the lesser stays.
		if p.key > s[i].key {
			return nil
		}
		if p.key == s[i].key {
			if c, err := compare(p, &s[i]); err != nil || c >= 0 {
				return err
			}
		}
		s = slices.Delete(s, i, i+1)
		e.noteSlotSize(len(s)+1, len(s))
		break
	}
	at, _ := slices.BinarySearchFunc(s, p, func(a ExemplarSpan, b *ExemplarSpan) int {
		return cmp.Or(cmp.Compare(a.key, b.key), bytes.Compare(a.Trace[:], b.Trace[:]))
	})
	if at < e.slotLimit {
		before := len(s)
		s = slices.Insert(s, at, *p)
		s = s[:min(len(s), e.slotLimit)]
		e.noteSlotSize(before, len(s))
	}
	e.setSlot(slot, s)
	for e.slotLimit > 1 && e.kept-e.fullSlots >= spareFactor*e.max { // one less in each slot is enough
		e.slotLimit--
		e.kept, e.fullSlots = 0, 0
		for n, s := range e.slots {
			clear(s[min(len(s), e.slotLimit):])
			s = s[:min(len(s), e.slotLimit)]
			e.noteSlotSize(0, len(s))
			e.setSlot(n, s)
		}
	}
	return nil
}

// noteSlotSize notes that the number of spans in a slot changes.
func (e *Exemplars) noteSlotSize(from, to int) {
	e.kept += to - from
	if from == e.slotLimit {
		e.fullSlots--
	}
	if to == e.slotLimit {
		e.fullSlots++
	}
}

// setSlot sets the spans of a slot and the key that another span must not exceed.
func (e *Exemplars) setSlot(slot int, s []ExemplarSpan) {
	e.slots[slot] = s
	e.worstKeys[slot] = math.MaxUint64
	if len(s) == e.slotLimit {
		e.worstKeys[slot] = s[len(s)-1].key
	}
}

// mergeExemplars takes over what another Tally has chosen. groups translates its groups.
func (t *Tally) mergeExemplars(o *Exemplars, groups []uint32) {
	e := &t.Exemplars
	compare := func(a, b *ExemplarSpan) (int, error) { return t.compareExemplarSpans(a, b), nil }
	if o.slotWidth != e.slotWidth || len(o.slots) == 0 {
		return
	}
	var p ExemplarSpan
	e.coverSlots(o.first, o.first+int64(len(o.slots))-1)
	for i, s := range o.slots {
		slot := o.first + int64(i) - e.first
		if slot < 0 || slot >= int64(len(e.slots)) {
			continue
		}
		for k := range s {
			p = s[k]
			p.Group = groups[p.Group]
			_ = e.offerSpan(int(slot), &p, compare) // compare has no error
		}
	}
}

// chosenIn returns the exemplars of the window w by time: no more than were asked for, one of a
// trace. If there are too many, the first of every slot is preferred to the second of any.
func (e *Exemplars) chosenIn(w *Window) []ExemplarSpan {
	type ranked struct {
		ExemplarSpan
		rank int
	}
	var list []ranked
	for _, s := range e.slots {
		rank := 0
		for _, p := range s {
			if w.IntervalOf(p.Start) >= 0 {
				list = append(list, ranked{p, rank})
				rank++
			}
		}
	}
	slices.SortFunc(list, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.key, b.key), bytes.Compare(a.Trace[:], b.Trace[:]))
	})
	var out []ExemplarSpan
	seen := map[trace.ID]bool{}
	for _, p := range list {
		if len(out) == e.max {
			break
		}
		if !seen[p.Trace] {
			seen[p.Trace] = true
			out = append(out, p.ExemplarSpan)
		}
	}
	slices.SortFunc(out, func(a, b ExemplarSpan) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), bytes.Compare(a.Trace[:], b.Trace[:]))
	})
	return out
}
