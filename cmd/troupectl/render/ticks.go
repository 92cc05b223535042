package render

import (
	"math"
	"time"
)

// roundSteps are the steps between ticks within a power of ten.
var roundSteps = []float64{1, 2, 5, 10}

// timeSteps are the steps between ticks of durations above ten seconds, in seconds.
var timeSteps = []float64{15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 6 * 3600, 12 * 3600, 86400, 2 * 86400,
	7 * 86400}

// maxTicks is the number of steps on the axis of values.
const maxTicks = 4

// scaleTicks chooses a round step, and bounds that are multiples of it, for values between low and
// high. Zero is always within the bounds. With seconds set, steps above ten seconds are those of a
// clock.
func scaleTicks(low, high float64, seconds bool) (step float64, from, to int) {
	low, high = min(low, 0), max(high, 0)
	if low == high {
		high = 1
	}
	step = stepFor(max(high/maxTicks-low/maxTicks, 1e-300), seconds)
	for {
		from, to = int(math.Floor(low/step)), int(math.Ceil(high/step))
		if to-from <= maxTicks+1 {
			return step, from, to
		}
		step = stepFor(step*1.01, seconds)
	}
}

// stepFor returns the smallest round step that is not below least.
func stepFor(least float64, seconds bool) float64 {
	if seconds && least > 10 {
		for _, s := range timeSteps {
			if s >= least {
				return s
			}
		}
	}
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, s := range roundSteps {
		if s*power >= least {
			return s * power
		}
	}
	return 10 * power
}

// clockSteps are the steps between ticks of the axis of time.
var clockSteps = []time.Duration{time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
	20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond,
	500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute,
	2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour,
	3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour, 7 * 24 * time.Hour,
	28 * 24 * time.Hour, 364 * 24 * time.Hour}

// timeTicks returns round local times in [from, to], at most n of them, and the form to print them
// in.
func timeTicks(from, to time.Time, n int) (ticks []time.Time, form string) {
	step := clockSteps[len(clockSteps)-1]
	for _, s := range clockSteps {
		if to.Sub(from)/s < time.Duration(max(n, 1)) {
			step = s
			break
		}
	}
	switch {
	case step < time.Second:
		form = "15:04:05.000"
	case step < time.Minute:
		form = "15:04:05"
	case step < 24*time.Hour && to.Sub(from) <= 24*time.Hour:
		form = "15:04"
	case step < 24*time.Hour:
		form = "Jan 2 15:04"
	default:
		form = "Jan 2"
	}
	_, offset := from.Zone()
	shift := time.Duration(offset) * time.Second // so that days begin at local midnight
	for t := from.Add(shift).Truncate(step).Add(-shift); !t.After(to) && len(ticks) < n; t = t.Add(step) {
		if !t.Before(from) {
			ticks = append(ticks, t)
		}
	}
	return ticks, form
}
