package render

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func drawPlot(times []int64, values [][]float64, width int, seconds, color bool) []string {
	var out bytes.Buffer
	NewPrinter(&out, width, color).Plot(times, values, width, seconds)
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func everySecond(n int) []int64 {
	start := time.Date(2026, 1, 2, 3, 0, 0, 0, time.Local).UnixMilli()
	times := make([]int64, n)
	for i := range times {
		times[i] = start + int64(i)*1000
	}
	return times
}

// One sample in ten thousand is seen at its height, wherever it lies.
func TestPlotKeepsPeaks(t *testing.T) {
	const n = 10_000
	times := everySecond(n)
	for _, at := range []int{0, 1, 77, n / 2, n - 2, n - 1} {
		values := make([]float64, n)
		values[at] = 40
		lines := drawPlot(times, [][]float64{values}, 80, false, false)
		require.True(t, strings.HasPrefix(lines[0], "40 "), "%q", lines[0])
		require.NotEmpty(t, strings.Trim(lines[0], "40 ┤┼"), "the peak at %d: %q", at, lines[0])
		spark := Spark(times, values, 24, math.NaN())
		require.Equal(t, 1, strings.Count(spark, "█"), spark)
	}
}

// The axis of values has round numbers at equal distances, that of time round times; no line is too
// wide.
func TestPlotTicks(t *testing.T) {
	values := func(top float64) [][]float64 { return [][]float64{{0, top, top / 3, 0, 0, top / 2}} }
	labels := func(lines []string) (out []string) {
		for _, line := range lines {
			if label, _, ok := strings.Cut(line, "┤"); ok && strings.TrimSpace(label) != "" {
				out = append(out, strings.TrimSpace(label))
			} else if label, _, ok := strings.Cut(line, "┼"); ok && strings.TrimSpace(label) != "" {
				out = append(out, strings.TrimSpace(label))
			}
		}
		return out
	}
	times := everySecond(6)
	for top, want := range map[float64]string{7: "8 6 4 2 0", 1234567: "1500000 1000000 500000 0", 0.0213: "0.03 0.02 0.01 0", 12: "15 10 5 0",
		20: "20 15 10 5 0"} {
		require.Equal(t, want, strings.Join(labels(drawPlot(times, values(top), 80, false, false)), " "))
	}
	for top, want := range map[float64]string{0.42: "600ms 400ms 200ms 0s", 100: "2m 1m30s 1m 30s 0s", 9000: "3h 2h 1h 0s", 0.00021: "300µs 200µs 100µs 0s"} {
		require.Equal(t, want, strings.Join(labels(drawPlot(times, values(top), 80, true, false)), " "))
	}
	require.Equal(t, "10 5 0 -5", strings.Join(labels(drawPlot(times, [][]float64{{-4, 9}, {1, 2}}, 80, false, false)), " "))
	lines := drawPlot(everySecond(3600), values(1), 80, false, false)
	require.Regexp(t, `^ +03:00 +03:15 +03:30 +03:45$`, drawTimes(everySecond(3600), 80))
	require.Regexp(t, `^ +03:00:0\d`, drawTimes(everySecond(20), 80))
	for _, line := range lines {
		require.LessOrEqual(t, displayWidth(line), 80)
	}
}

func drawTimes(times []int64, width int) string {
	values := make([]float64, len(times))
	lines := drawPlot(times, [][]float64{values}, width, false, false)
	return lines[len(lines)-1]
}

// Lines are told apart by their sign and, where colours are on, by their colour: those of the
// legend.
func TestPlotLines(t *testing.T) {
	times := everySecond(60)
	var values [][]float64
	for i := range lineKinds {
		line := make([]float64, len(times))
		for j := range line {
			line[j] = float64(i*10 + 10)
		}
		values = append(values, line)
	}
	plain := strings.Join(drawPlot(times, values, 80, false, false), "\n")
	colored := strings.Join(drawPlot(times, values, 80, false, true), "\n")
	require.NotContains(t, plain, "\x1b")
	for i := range lineKinds {
		sign := LineSign(i)
		require.Contains(t, plain, strings.Repeat(sign.Text, 5))
		require.Contains(t, colored, "\x1b["+string(sign.Style)+"m"+sign.Text)
	}
}

// Gaps stay gaps; numbers that cannot be drawn draw nothing and break nothing.
func TestPlotOddNumbers(t *testing.T) {
	nan := math.NaN()
	times := everySecond(4)
	for _, values := range [][]float64{{nan, nan, nan, nan}, {0, 0, 0, 0}, {1, nan, nan, 2}, {math.Inf(1), 1, math.Inf(-1), nan},
		{math.MaxFloat64, -math.MaxFloat64, 0, 1}, {5e-324, 0, 0, 0}, {-1, -2, -3, -4}} {
		for _, seconds := range []bool{false, true} {
			for _, line := range drawPlot(times, [][]float64{values}, 60, seconds, false) {
				require.LessOrEqual(t, displayWidth(line), 60)
			}
		}
	}
	require.Equal(t, "█  ▄", Spark(times, []float64{9, nan, nan, 4}, 24, nan))
	require.Equal(t, "▁▁▁▁", Spark(times, []float64{0, 0, 0, 0}, 24, nan))
	require.Equal(t, "▁▂▁▁", Spark(times, []float64{0, 0.001, 0, 0}, 24, 100), "what is not zero is seen")
}
