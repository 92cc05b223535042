package series

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// Window is a range of time, cut into intervals (t-step, t] and numbered from 0. The first and last
// interval may reach beyond the range, but spans beyond it do not count. The zero Window is empty.
//
//	low      start                                   end
//	 |---------(----|--------------|--------------|---]----------|
//	         0             1              2               3
type Window struct {
	start, end int64 // unix ns: a span counts if start < its start ≤ end
	step       int64
	low        int64 // where interval 0 begins, at or before start
	intervals  int
	instant    bool   // one interval, of an instant query
	magic      uint64 // ⌈2⁶⁴/step⌉, 0 for a step of 1: see divideByStep
}

// MaxIntervals bounds the intervals of a window, and with it the size of a series.
const MaxIntervals = 1 << 17

// ErrWindow is matched by the errors of a range or step that makes no window.
var ErrWindow = errors.New("no such range of time")

// NewWindow returns the window of a range query. start and end are unix ns, step is in ns;
// intervals end at multiples of step. The error is ErrWindow: the range is empty or has too many
// steps.
func NewWindow(start, end, step int64) (Window, error) {
	if step <= 0 || end <= start || end-start <= 0 {
		return Window{}, fmt.Errorf("range (%d, %d] in steps of %d: %w", start, end, step, ErrWindow)
	}
	low := floorToStep(start, step)
	if low > start { // the multiple below the least times cannot be represented
		return Window{}, fmt.Errorf("range (%d, %d] in steps of %d: %w", start, end, step, ErrWindow)
	}
	n := uint64(end-1-low) / uint64(step)
	if n >= MaxIntervals || int64(n+1) > (math.MaxInt64-low)/step && low >= 0 {
		return Window{}, fmt.Errorf("range (%d, %d] in steps of %d: more than %d intervals: %w",
			start, end, step, MaxIntervals, ErrWindow)
	}
	return makeWindow(start, end, step, low, int(n)+1), nil
}

// NewInstant returns the window of an instant query, with the one interval (start, end] in unix ns.
// The error is ErrWindow: the range is empty.
func NewInstant(start, end int64) (Window, error) {
	if end <= start || end-start <= 0 {
		return Window{}, fmt.Errorf("range (%d, %d]: %w", start, end, ErrWindow)
	}
	return makeInstant(start, end), nil
}

func makeInstant(start, end int64) Window {
	w := makeWindow(start, end, end-start, start, 1)
	w.instant = true
	return w
}

func makeWindow(start, end, step, low int64, n int) Window {
	w := Window{start: start, end: end, step: step, low: low, intervals: n}
	if step > 1 {
		w.magic = math.MaxUint64/uint64(step) + 1
	}
	return w
}

// Intervals returns the number of intervals.
func (w *Window) Intervals() int { return w.intervals }

// Step returns the length of an interval in ns.
func (w *Window) Step() int64 { return w.step }

// intervalOffset returns which interval of w interval 0 of o is; the number may be negative or lie
// beyond the last. ok=false: the intervals of the two are not on one grid. Two instants are always
// taken as parts of one interval.
func (w *Window) intervalOffset(o *Window) (n int, ok bool) {
	if w.instant && o.instant {
		return 0, true
	}
	d := o.low - w.low
	if w.step != o.step || w.step == 0 || d%w.step != 0 {
		return 0, false
	}
	return int(d / w.step), true
}

// containsWindow reports whether every interval of o is one of w, and the range of o lies in that
// of w.
func (w *Window) containsWindow(o *Window) bool {
	n, ok := w.intervalOffset(o)
	return ok && n >= 0 && n+o.intervals <= w.intervals && w.start <= o.start && w.end >= o.end
}

// unionWith returns the least window that contains both; ok=false: there is none.
func (w *Window) unionWith(o *Window) (u Window, ok bool) {
	n, ok := w.intervalOffset(o)
	if !ok {
		return Window{}, false
	}
	if w.instant {
		return makeInstant(min(w.start, o.start), max(w.end, o.end)), true
	}
	low, high := min(n, 0), max(n+o.intervals, w.intervals)
	if high-low > MaxIntervals {
		return Window{}, false
	}
	first := w.low + int64(low)*w.step
	return makeWindow(min(w.start, o.start), max(w.end, o.end), w.step, first, high-low), true
}

// Bounds returns the range (start, end] in unix ns.
func (w *Window) Bounds() (start, end int64) { return w.start, w.end }

// IntervalEnd returns the end of interval i in unix ns. It is the time of the interval's samples.
func (w *Window) IntervalEnd(i int) int64 { return w.low + int64(i+1)*w.step }

// IntervalOf returns the interval of a time in unix ns; -1: the time is outside of the range.
func (w *Window) IntervalOf(t int64) int {
	if t <= w.start || t > w.end {
		return -1
	}
	return int(w.divideByStep(uint64(t - w.low - 1)))
}

// divideByStep returns x/step by a multiplication, which is several times faster than a division:
// the upper half of x·⌈2⁶⁴/step⌉ is never too small and at most one too large.
func (w *Window) divideByStep(x uint64) uint64 {
	if w.magic == 0 {
		return x
	}
	q, _ := bits.Mul64(x, w.magic)
	if q*uint64(w.step) > x {
		q--
	}
	return q
}

// LocateRows finds the intervals of spans that start at starts, unix ns. rows selects spans by
// ascending index, nil all of them. LocateRows appends the selected rows that lie in the range to
// in and their intervals to intervals, and returns both. Times of 2⁶³ ns and more, which are
// negative here, are never in range.
//
// Both loops do the same and differ in their rows only: a call for each span would cost more than
// the work itself.
func (w *Window) LocateRows(starts []int64, rows []uint32, in, intervals []uint32) (_, _ []uint32) {
	n := len(starts)
	if rows != nil {
		n = len(rows)
	}
	in, intervals = extendBy(in, n), extendBy(intervals, n)
	// One unsigned comparison, of the distance from first, tests both ends of the range.
	first := max(w.start, -1) + 1
	if first > w.end {
		return in[:len(in)-n], intervals[:len(intervals)-n]
	}
	span := uint64(w.end - first)
	shift, step, magic := uint64(first-w.low-1), uint64(w.step), w.magic
	if magic == 0 {
		step = 0 // the step is 1: q is exact, and q*0 > x never holds
	}
	dst, ivs := in[len(in)-n:], intervals[len(intervals)-n:]
	k := 0
	if rows == nil {
		for i, s := range starts {
			x := uint64(s - first)
			if x > span {
				continue
			}
			x += shift
			q, _ := bits.Mul64(x, magic)
			if magic == 0 {
				q = x
			}
			if q*step > x {
				q--
			}
			dst[k], ivs[k] = uint32(i), uint32(q)
			k++
		}
	} else {
		for _, i := range rows {
			x := uint64(starts[i] - first)
			if x > span {
				continue
			}
			x += shift
			q, _ := bits.Mul64(x, magic)
			if magic == 0 {
				q = x
			}
			if q*step > x {
				q--
			}
			dst[k], ivs[k] = i, uint32(q)
			k++
		}
	}
	return in[:len(in)-n+k], intervals[:len(intervals)-n+k]
}

// extendBy returns s with n more elements, whose values are arbitrary.
func extendBy(s []uint32, n int) []uint32 {
	if cap(s)-len(s) < n {
		s = append(make([]uint32, 0, len(s)+n), s...)
	}
	return s[:len(s)+n]
}
