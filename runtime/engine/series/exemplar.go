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
	// usualPerBin is how many exemplars a bin of time has if spans lie in all bins. With two,
	// the outliers of a busy time do not always hide one another.
	usualPerBin = 2

	// maxPerBin is how many spans a bin keeps at most, when spans lie in few bins. It bounds
	// what each part of a query keeps. So an answer has as many exemplars as were asked for, up to
	// 10, wherever the spans lie, and more than 10 if they lie in at least a fifth of the range.
	maxPerBin = 10

	// spareFactor is how many times as many spans are kept as were asked for, because a trace may
	// be chosen in several bins and is shown once.
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

// Exemplars are the spans chosen for the series of a Tally. Time is cut into bins (t-binWidth,
// t]. In each bin the spans with the least keys stay, one of a trace. The key is a hash of the
// start, and equal keys are ordered by trace id, so the choice depends on the spans alone.
//
//	span  start  trace  key     bins of 10 s, binLimit 2
//	   0    3 s  A      70      bin 0: 0
//	   1   12 s  B      20      bin 0: 0     bin 1: 1
//	   2    5 s  C      10      bin 0: 2 0   bin 1: 1
//	   3    9 s  D      40      bin 0: 2 3   bin 1: 1   0 has the greatest key of three
//	   4   15 s  B      30      bin 0: 2 3   bin 1: 1   B has a lesser key in the bin
//
// All bins have the same limit: the least one that gives enough spans altogether. So exemplars
// spread over the range as spans do, and there are as many as asked for even if spans lie in few
// bins.
//
// Invariants: binLimit never rises, and a span that was left out never comes in again. So the
// result is the same in whatever order and parts the spans come.
type Exemplars struct {
	max       int // how many are asked for
	binLimit  int // how many spans a bin keeps at most
	kept      int // spans in all bins
	fullBins  int // bins that have binLimit spans
	binWidth  int64
	first     int64            // the number of bins[0]; bin n ends at (n+1)*binWidth
	magic     uint64           // ⌈2⁶⁴/binWidth⌉, for the division as in Window
	bins      [][]ExemplarSpan // each by key, then trace id
	worstKeys []uint64         // by bin: the key above which a span has no place there
}

// BinWidthFor returns the width of bins, in ns, for n exemplars in a range: n/2 bins make up the
// range. It is 0 if there are to be none.
func BinWidthFor(start, end int64, n int) int64 {
	if end <= start || n <= 0 {
		return 0
	}
	bins := uint64(n+usualPerBin-1) / usualPerBin
	return int64(min(max((uint64(end-start)+bins-1)/bins, 2), math.MaxInt64/2))
}

// newExemplars returns an empty choice of n spans, with bins of so many ns.
func newExemplars(w *Window, n int, binWidth int64) Exemplars {
	if n <= 0 || w.intervals == 0 || binWidth <= 1 {
		return Exemplars{}
	}
	e := Exemplars{
		max:      n,
		binLimit: min(spareFactor*n, maxPerBin),
		binWidth: binWidth,
		magic:    math.MaxUint64/uint64(binWidth) + 1,
	}
	first := floorToStep(w.start, binWidth)
	if first > w.start { // the multiple below the least times cannot be represented
		return Exemplars{}
	}
	e.coverBins(first/binWidth, floorToStep(w.end-1, binWidth)/binWidth)
	return e
}

// coverBins adds bins so that those from one to another exist. It adds none if there would be too
// many; spans there are then passed over.
func (e *Exemplars) coverBins(from, to int64) {
	if n := int64(len(e.bins)); n > 0 {
		from, to = min(from, e.first), max(to, e.first+n-1)
		if from == e.first && to == e.first+n-1 {
			return
		}
	}
	if to-from >= MaxIntervals {
		return
	}
	bins, worst := make([][]ExemplarSpan, to-from+1), make([]uint64, to-from+1)
	for i := range worst {
		worst[i] = math.MaxUint64
	}
	if len(e.bins) > 0 {
		copy(bins[e.first-from:], e.bins)
		copy(worst[e.first-from:], e.worstKeys)
	}
	e.first, e.bins, e.worstKeys = from, bins, worst
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
	low := uint64(e.first * e.binWidth)
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
	width := uint64(e.binWidth)
	var bin, begin uint64 // of the span before: neighbours are mostly in one bin
	for i := range n {
		row := uint32(i)
		if rows != nil {
			row = rows[i]
		}
		start := starts[row]
		at := uint64(start-1) - low
		if at-begin >= width {
			bin, _ = bits.Mul64(at, e.magic)
			if bin*width > at {
				bin--
			}
			begin = bin * width
		}
		if bin >= uint64(len(e.worstKeys)) {
			continue
		}
		key := uint64(start) * phi
		if key > e.worstKeys[bin] {
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
		if err := e.offerSpan(int(bin), &p, compare); err != nil {
			return err
		}
	}
	for _, s := range e.bins {
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

// offerSpan puts a span into its place in a bin, if it has one, and lowers binLimit if that
// leaves enough spans. compare decides between two spans of a trace that start at the same time.
func (e *Exemplars) offerSpan(bin int, p *ExemplarSpan, compare func(a, b *ExemplarSpan) (int, error)) error {
	s := e.bins[bin]
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
		e.noteBinSize(len(s)+1, len(s))
		break
	}
	at, _ := slices.BinarySearchFunc(s, p, func(a ExemplarSpan, b *ExemplarSpan) int {
		return cmp.Or(cmp.Compare(a.key, b.key), bytes.Compare(a.Trace[:], b.Trace[:]))
	})
	if at < e.binLimit {
		before := len(s)
		s = slices.Insert(s, at, *p)
		s = s[:min(len(s), e.binLimit)]
		e.noteBinSize(before, len(s))
	}
	e.setBin(bin, s)
	for e.binLimit > 1 && e.kept-e.fullBins >= spareFactor*e.max { // one less in each bin is enough
		e.binLimit--
		e.kept, e.fullBins = 0, 0
		for n, s := range e.bins {
			clear(s[min(len(s), e.binLimit):])
			s = s[:min(len(s), e.binLimit)]
			e.noteBinSize(0, len(s))
			e.setBin(n, s)
		}
	}
	return nil
}

// noteBinSize notes that the number of spans in a bin changes.
func (e *Exemplars) noteBinSize(from, to int) {
	e.kept += to - from
	if from == e.binLimit {
		e.fullBins--
	}
	if to == e.binLimit {
		e.fullBins++
	}
}

// setBin sets the spans of a bin and the key that another span must not exceed.
func (e *Exemplars) setBin(bin int, s []ExemplarSpan) {
	e.bins[bin] = s
	e.worstKeys[bin] = math.MaxUint64
	if len(s) == e.binLimit {
		e.worstKeys[bin] = s[len(s)-1].key
	}
}

// list returns the spans of all bins.
func (e *Exemplars) list() (out []ExemplarSpan) {
	for _, s := range e.bins {
		out = append(out, s...)
	}
	return out
}

// mergeExemplars takes over what another Tally has chosen, bin by bin. groups translates its
// groups.
func (t *Tally) mergeExemplars(list []ExemplarSpan, binWidth int64, groups []uint32) {
	e := &t.Exemplars
	compare := func(a, b *ExemplarSpan) (int, error) { return t.compareExemplarSpans(a, b), nil }
	if binWidth != e.binWidth || len(list) == 0 {
		return
	}
	binOf := func(p *ExemplarSpan) int64 { return floorToStep(p.Start-1, binWidth) / binWidth }
	e.coverBins(binOf(&list[0]), binOf(&list[len(list)-1]))
	var p ExemplarSpan
	for i := range list {
		bin := binOf(&list[i]) - e.first
		if bin < 0 || bin >= int64(len(e.bins)) {
			continue
		}
		p = list[i]
		p.Group = groups[p.Group]
		_ = e.offerSpan(int(bin), &p, compare) // compare has no error
	}
}

// bytes estimates the memory of a span in bytes.
func (p *ExemplarSpan) bytes() int {
	n := 112 + 56*len(p.Labels)
	for i := range p.Labels {
		n += len(p.Labels[i].Value.Text)
	}
	return n
}

// chosenIn returns the exemplars of the window w by time: no more than were asked for, one of a
// trace. If there are too many, the first of every bin is preferred to the second of any.
func (e *Exemplars) chosenIn(w *Window) []ExemplarSpan {
	type ranked struct {
		ExemplarSpan
		rank int
	}
	var list []ranked
	for _, s := range e.bins {
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
