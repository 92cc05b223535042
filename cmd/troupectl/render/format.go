package render

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
)

const (
	maxWhole = 1e15 // whole numbers below this are exact and are printed in full
	digits   = 4    // significant digits of numbers that are not whole
)

// Number prints whole numbers in full and others with four significant digits; "-" stands for no
// number.
func Number(v float64) string {
	a := math.Abs(v)
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "-"
	case v == 0:
		return "0"
	case v == math.Trunc(v) && a < maxWhole:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= maxWhole || a < 1e-4:
		return strconv.FormatFloat(v, 'g', digits, 64)
	}
	return trimZeros(strconv.FormatFloat(v, 'f', decimalsFor(a, digits), 64))
}

// decimalsFor returns the decimals with which a positive value has n significant digits.
func decimalsFor(a float64, n int) int {
	return max(0, n-1-int(math.Floor(math.Log10(a))))
}

func trimZeros(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// Seconds prints a number of seconds as Duration does; "-" stands for no number.
func Seconds(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "-"
	}
	if ns := v * 1e9; math.Abs(ns) < math.MaxInt64 {
		return Duration(time.Duration(math.Round(ns)))
	}
	return Number(v) + "s"
}

// Duration prints three significant digits with the unit that suits, as TraceQL takes it: 250ns,
// 1.25ms, 4.5s, 3m12s, 2h5m, 3d4h.
func Duration(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign = "-"
		d = -max(d, -math.MaxInt64)
	}
	return sign + formatPositive(d)
}

func formatPositive(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return "0s"
	case d < time.Microsecond:
		return fmt.Sprintf("%dns", d)
	case d < 999500*time.Nanosecond:
		return scaledText(d, time.Microsecond, "µs")
	case d < 999500*time.Microsecond:
		return scaledText(d, time.Millisecond, "ms")
	case d < 59950*time.Millisecond:
		return scaledText(d, time.Second, "s")
	}
	switch d = d.Round(time.Second); {
	case d < time.Hour:
		return pairText(d, time.Minute, "m", time.Second, "s")
	case d < day:
		return pairText(d, time.Hour, "h", time.Minute, "m")
	}
	return pairText(d, day, "d", time.Hour, "h")
}

func scaledText(d, unit time.Duration, name string) string {
	v := float64(d) / float64(unit)
	return trimZeros(strconv.FormatFloat(v, 'f', decimalsFor(v, 3), 64)) + name
}

// pairText prints d in two units and leaves out the smaller one where it is zero.
func pairText(d, large time.Duration, largeName string, small time.Duration, smallName string) string {
	out := fmt.Sprintf("%d%s", d/large, largeName)
	if rest := d % large / small; rest > 0 {
		out += fmt.Sprintf("%d%s", rest, smallName)
	}
	return out
}

// Bytes prints a size with its unit.
func Bytes(n int64) string { return progress.FormatBytes(n) }

// Time prints a local time with milliseconds.
func Time(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05.000") }

// ShortTime takes the date and the milliseconds away from what Time printed.
func ShortTime(s string) string {
	if len(s) != len("2006-01-02 15:04:05.000") {
		return s
	}
	return s[11:19]
}

// ShortMinute takes the year, the seconds and the milliseconds away from what Time printed.
func ShortMinute(s string) string {
	if len(s) != len("2006-01-02 15:04:05.000") {
		return s
	}
	return s[5:16]
}

// Count prints a number with the noun that fits it.
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
