package series

import (
	"math"
	"time"
)

// floorToStep returns the greatest multiple of step that is not above t.
func floorToStep(t, step int64) int64 {
	r := t % step
	if r < 0 {
		r += step
	}
	return t - r
}

// DefaultStep returns the step, in ns, of a request that names none: about a 240th of the range,
// cut to a multiple of the largest round duration below it.
func DefaultStep(start, end int64) int64 {
	length := end - start
	step := length / 240
	if length < int64(time.Minute) {
		const least = int64(50 * time.Millisecond)
		return max(step-step%least, least)
	}
	for _, round := range []time.Duration{
		time.Hour, 5 * time.Minute, time.Minute, 15 * time.Second, 5 * time.Second, time.Second,
	} {
		if step > int64(round) {
			return step - step%int64(round)
		}
	}
	return int64(time.Second)
}

// AlignRange moves the range of a request to multiples of step: the start down and then one step
// earlier, the end up. Bounds whose multiple cannot be represented stay as they are.
func AlignRange(start, end, step int64) (alignedStart, alignedEnd int64) {
	alignedStart = floorToStep(start, step)
	if alignedStart < math.MinInt64+step {
		alignedStart = start
	} else {
		alignedStart -= step
	}
	alignedEnd = floorToStep(end, step)
	if alignedEnd < end && alignedEnd <= math.MaxInt64-step {
		alignedEnd += step
	}
	return alignedStart, alignedEnd
}

// LeastStep returns the shortest step, in ns, with which a range has no more than n intervals.
func LeastStep(start, end int64, n int) int64 {
	d := uint64(end - start)
	return int64((d + uint64(n) - 1) / uint64(n))
}
