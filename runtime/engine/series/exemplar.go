package series

import (
	"bytes"
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// usualPerSlot is how many exemplars a slot of time has where spans lie in all of them: with two, the
// outliers of a busy time are not always hidden by one another.
const usualPerSlot = 2

// maxPerSlot is how many a slot keeps at most, where spans lie in few of them: it bounds what each
// part of a query has to keep. So there are as many as asked for, up to 10, wherever the spans lie,
// and more than that where they lie in a fifth of the range.
const maxPerSlot = 10

// spare is how many times as many spans are kept as are asked for, because a trace may be chosen in
// several slots and is shown once.
const spareFactor = 2

// ExemplarSpan is a span chosen to stand for a value.
type ExemplarSpan struct {
	Trace  trace.ID
	Start  int64 // unix ns
	Row    uint32
	Group  uint32
	Value  float64 // seconds or the number; for functions that count it is not set
	Labels []Label // what is shown of the span beside its trace; nil: not asked yet

	code uint8 // bucket of the value
	key  uint64
}

// Exemplars are chosen spans. Time is cut into slots (t-width, t]; in each, the spans with the
// least key stay, one of a trace. The key is a hash of the start, then the ids decide: what is
// chosen depends on the spans alone.
//
// Every slot keeps as many as the others, if it has them: the least number that gives enough
// altogether. So exemplars spread over the range where spans do, and there are as many as asked for
// where they lie in few slots. The number can only fall as spans come, and no span that was left
// out comes in again: it is the same in whatever order and parts the spans come.
type Exemplars struct {
	max       int
	slotLimit int // spans that a slot keeps at most
	kept      int // spans in all slots
	fullSlots int // slots that keep so many
	slotWidth int64
	first     int64 // index of the first slot on the axis of time
	magic     uint64
	slots     [][]ExemplarSpan // each at most `each`, by key
	worstKeys []uint64         // key of a slot's last, if it is full
}

// SlotWidthFor returns the width of the slots for n exemplars in a range: so many that n/2 of them make up
// the range.
func SlotWidthFor(start, end int64, n int) int64 {
	if end <= start || n <= 0 {
		return 0
	}
	slots := uint64(n+usualPerSlot-1) / usualPerSlot
	return int64(min(max((uint64(end-start)+slots-1)/slots, 2), math.MaxInt64/2))
}

func newExemplars(w *Window, n int, slot int64) Exemplars {
	if n <= 0 || w.intervals == 0 || slot <= 1 {
		return Exemplars{}
	}
	e := Exemplars{max: n, slotLimit: min(spareFactor*n, maxPerSlot), slotWidth: slot, magic: math.MaxUint64/uint64(slot) + 1}
	first := floorToStep(w.start, slot)
	if first > w.start { // the floor of the least times is not a time
		return Exemplars{}
	}
	e.coverSlots(first/slot, floorToStep(w.end-1, slot)/slot)
	return e
}

// coverSlots makes slots up to those two.
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

// Wanted says whether exemplars are asked for.
func (e *Exemplars) Wanted() bool { return e.max > 0 }

// PickExemplars offers spans to be exemplars: rows (nil: all) of starts that lie in the window, as
// Window.Locate returns them. For each span that may stay it calls more with the span's index in
// rows, which fills in what PickExemplars does not know; ok=false passes the span over. describe sets the
// Labels of a span of these rows. It is called for all that stay, and where two spans of a trace
// have the same start: then the one with the lesser group, value and labels stays.
func (t *Tally) PickExemplars(starts []int64, rows []uint32, more func(i int, p *ExemplarSpan) (ok bool, err error), describe func(p *ExemplarSpan) error) error {
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
	slot, begin, width := uint64(0), uint64(0), uint64(e.slotWidth) // neighbours mostly are of one slot
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
		ok, err := more(i, &p)
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

// compareExemplarSpans orders spans by what an answer shows of them.
func (t *Tally) compareExemplarSpans(a, b *ExemplarSpan) int {
	if a.Group != b.Group {
		x, y := t.Groups.AppendValues(int(a.Group), nil), t.Groups.AppendValues(int(b.Group), nil)
		if c := slices.CompareFunc(x, y, Value.Compare); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(a.Value, b.Value), CompareLabels(a.Labels, b.Labels))
}

// offerSpan puts a span in its place, if it has one.
func (e *Exemplars) offerSpan(slot int, p *ExemplarSpan, compare func(a, b *ExemplarSpan) (int, error)) error {
	s := e.slots[slot]
	for i := range s {
		if s[i].Trace != p.Trace {
			continue
		}
		// One of a trace: the lesser.
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
	for e.slotLimit > 1 && e.kept-e.fullSlots >= spareFactor*e.max { // one less in each slot are enough, too
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

// noteSlotSize notes that a slot has another number of spans.
func (e *Exemplars) noteSlotSize(from, to int) {
	e.kept += to - from
	if from == e.slotLimit {
		e.fullSlots--
	}
	if to == e.slotLimit {
		e.fullSlots++
	}
}

// setSlot sets the spans of a slot.
func (e *Exemplars) setSlot(slot int, s []ExemplarSpan) {
	e.slots[slot] = s
	e.worstKeys[slot] = math.MaxUint64
	if len(s) == e.slotLimit {
		e.worstKeys[slot] = s[len(s)-1].key
	}
}

// mergeExemplars takes over what another Tally has chosen; groups are its group numbers here.
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
			_ = e.offerSpan(int(slot), &p, compare) // which has no error
		}
	}
}

// chosenIn returns the spans chosen for a window, by time: no more than were asked for and one of a
// trace, the first of every slot before the second of any.
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
