package series

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Window is a time range cut into intervals (t-step, t]. The zero Window is empty.
type Window struct {
	start, end int64 // unix ns: a span counts if start < its start ≤ end
	step       int64
	low        int64 // where the first interval begins: at or before start
	intervals  int
	instant    bool
	magic      uint64 // ⌈2⁶⁴/step⌉, 0 for a step of 1
}

// MaxIntervals bounds the intervals of a window, so that a series has a bounded size.
const MaxIntervals = 1 << 17

// ErrWindow: a range or step that makes no window.
var ErrWindow = errors.New("no such range of time")

// NewWindow returns the window of a range query: intervals end at multiples of step.
func NewWindow(start, end, step int64) (Window, error) {
	if step <= 0 || end <= start || end-start <= 0 {
		return Window{}, fmt.Errorf("range (%d, %d] in steps of %d: %w", start, end, step, ErrWindow)
	}
	low := floorToStep(start, step)
	if low > start { // the floor of the least times is not a time
		return Window{}, fmt.Errorf("range (%d, %d] in steps of %d: %w", start, end, step, ErrWindow)
	}
	n := uint64(end-1-low) / uint64(step)
	if n >= MaxIntervals || int64(n+1) > (math.MaxInt64-low)/step && low >= 0 {
		return Window{}, fmt.Errorf("range (%d, %d] in steps of %d: more than %d intervals: %w", start, end, step, MaxIntervals, ErrWindow)
	}
	return makeWindow(start, end, step, low, int(n)+1), nil
}

// NewInstant returns the window of an instant query: the one interval (start, end].
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

// intervalOffset returns the interval here of the first interval of o; ok=false: their intervals are not
// the same ones. Instants are parts of one interval.
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

// containsWindow says whether every interval of o is one of w.
func (w *Window) containsWindow(o *Window) bool {
	n, ok := w.intervalOffset(o)
	return ok && n >= 0 && n+o.intervals <= w.intervals && w.start <= o.start && w.end >= o.end
}

// unionWith returns the least window that covers both; ok=false: there is none.
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
	return makeWindow(min(w.start, o.start), max(w.end, o.end), w.step, w.low+int64(low)*w.step, high-low), true
}

// Bounds returns the range (start, end] in unix ns.
func (w *Window) Bounds() (start, end int64) { return w.start, w.end }

// IntervalEnd returns the end of interval i, by which it is named, in unix ns.
func (w *Window) IntervalEnd(i int) int64 { return w.low + int64(i+1)*w.step }

// IntervalOf returns the interval of a time, -1 if it is outside of the window.
func (w *Window) IntervalOf(t int64) int {
	if t <= w.start || t > w.end {
		return -1
	}
	return int(w.divideByStep(uint64(t - w.low - 1)))
}

// divideByStep returns x/step by a multiplication: the product with ⌈2⁶⁴/step⌉ is never too small and at
// most one too large.
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

// LocateRows finds the intervals of spans. rows (nil: all) selects from starts, unix ns as the bits of
// a uint64, by ascending index. The rows that lie in the window and their intervals are appended to
// the two slices, which are returned.
func (w *Window) LocateRows(starts []int64, rows []uint32, in, intervals []uint32) (_, _ []uint32) {
	n := len(starts)
	if rows != nil {
		n = len(rows)
	}
	in, intervals = extendBy(in, n), extendBy(intervals, n)
	// One comparison serves both ends. Times beyond 2⁶³ are negative here and must stay outside.
	first := max(w.start, -1) + 1
	if first > w.end {
		return in[:len(in)-n], intervals[:len(intervals)-n]
	}
	span := uint64(w.end - first)
	shift, step, magic := uint64(first-w.low-1), uint64(w.step), w.magic
	if magic == 0 {
		step = 0 // q needs no correction
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

func extendBy(s []uint32, n int) []uint32 {
	if cap(s)-len(s) < n {
		s = append(make([]uint32, 0, len(s)+n), s...)
	}
	return s[:len(s)+n]
}

// floorToStep returns the greatest multiple of step that is not above t.
func floorToStep(t, step int64) int64 {
	r := t % step
	if r < 0 {
		r += step
	}
	return t - r
}

// DefaultStep returns the step of a request that names none.
func DefaultStep(start, end int64) int64 {
	d := end - start
	b := d / 240
	if d < int64(time.Minute) {
		const least = int64(50 * time.Millisecond)
		return max(b-b%least, least)
	}
	for _, g := range []time.Duration{time.Hour, 5 * time.Minute, time.Minute, 15 * time.Second, 5 * time.Second, time.Second} {
		if b > int64(g) {
			return b - b%int64(g)
		}
	}
	return int64(time.Second)
}

// AlignRange returns the range of a request moved to multiples of step: the start down and then one step
// earlier, the end up.
func AlignRange(start, end, step int64) (int64, int64) {
	s := floorToStep(start, step)
	if s < math.MinInt64+step {
		s = start
	} else {
		s -= step
	}
	e := floorToStep(end, step)
	if e < end && e <= math.MaxInt64-step {
		e += step
	}
	return s, e
}

// LeastStep returns the shortest step with which a range has no more than n intervals.
func LeastStep(start, end int64, n int) int64 {
	d := uint64(end - start)
	return int64((d + uint64(n) - 1) / uint64(n))
}
