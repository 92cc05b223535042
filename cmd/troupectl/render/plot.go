package render

import (
	"math"
	"strings"
	"time"

	"github.com/guptarohit/asciigraph"
)

// rowsPerTick is the number of rows between two ticks of the axis of values.
const rowsPerTick = 3

// lineKind is how one series of a plot is drawn: told apart by its sign and its colour.
type lineKind struct {
	sign  string
	style Style
	chars asciigraph.CharSet
}

var lineKinds = []lineKind{
	{"──", Blue, asciigraph.DefaultCharSet},
	{"━━", Green, charSet("━┃┏┓┗┛╸╺")},
	{"══", Red, charSet("═║╔╗╚╝══")},
	{"┄┄", Yellow, charSet("┄┆╭╮╰╯┄┄")},
	{"••", Purple, asciigraph.CreateCharSet("•")},
	{"××", Cyan, asciigraph.CreateCharSet("×")},
}

// charSet takes the horizontal, the vertical, four corners, and the ends of a line.
func charSet(s string) asciigraph.CharSet {
	r := strings.Split(s, "")
	return asciigraph.CharSet{Horizontal: r[0], VerticalLine: r[1], ArcDownRight: r[2], ArcDownLeft: r[3],
		ArcUpRight: r[4],
		ArcUpLeft:  r[5], EndCap: r[6], StartCap: r[7]}
}

// LineSign returns the sign of the i-th line of a plot, for a legend.
func LineSign(i int) Cell {
	k := lineKinds[i%len(lineKinds)]
	return Cell{k.sign, k.style}
}

// Plot draws lines over times, which are in milliseconds and in order, width columns wide. values
// has a number for each time and line, NaN where there is none. A column shows the largest of its
// values.
func (p *Printer) Plot(times []int64, values [][]float64, width int, seconds bool) {
	low, high := 0.0, 0.0
	for _, line := range values {
		for _, v := range line {
			if isFinite(v) {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	step, from, to := scaleTicks(low, high, seconds)
	format := Number
	if seconds {
		format = Seconds
	}
	margin := 0
	labels := map[int]string{}
	for i := from; i <= to; i++ {
		labels[i*rowsPerTick] = format(float64(i) * step)
		margin = max(margin, displayWidth(labels[i*rowsPerTick]))
	}
	margin += 2 // a space and the axis
	columns := max(width-margin, 8)
	rows := make([][]float64, len(values))
	for i, line := range values {
		rows[i] = spreadLabels(times, line, columns)
		for c, v := range rows[i] {
			rows[i][c] = v / step * rowsPerTick
		}
		// asciigraph draws the way from a value to the next one, so that the last value needs one
		// behind it.
		rows[i] = append(rows[i], rows[i][len(rows[i])-1])
	}
	p.printPlot(rows, labels, from*rowsPerTick, to*rowsPerTick)
	p.printTimes(times, margin, columns)
}

// printPlot draws rows, whose values count lines of the terminal, between low and high.
func (p *Printer) printPlot(rows [][]float64, labels map[int]string, low, high int) {
	var chars []asciigraph.CharSet
	var colors []asciigraph.AnsiColor
	for i := range rows {
		k := lineKinds[i%len(lineKinds)]
		chars = append(chars, k.chars)
		colors = append(colors, plotColors[k.style])
	}
	options := []asciigraph.Option{
		asciigraph.Height(high - low),
		asciigraph.LowerBound(float64(low)),
		asciigraph.UpperBound(float64(high)),
		asciigraph.SeriesChars(chars...),
		asciigraph.YAxisValueFormatter(func(row float64) string { return labels[int(math.Round(row))] }),
	}
	if p.color {
		options = append(options, asciigraph.SeriesColors(colors...))
	}
	for _, line := range strings.Split(asciigraph.PlotMany(rows, options...), "\n") {
		_, _ = p.w.Write([]byte(strings.TrimRight(strings.TrimPrefix(line, " "), " ") + "\n"))
	}
}

var plotColors = map[Style]asciigraph.AnsiColor{Blue: asciigraph.Navy, Green: asciigraph.Green, Red: asciigraph.Maroon,
	Yellow: asciigraph.Olive, Purple: asciigraph.Purple, Cyan: asciigraph.Teal}

// printTimes draws the axis of time below a plot.
func (p *Printer) printTimes(times []int64, margin, columns int) {
	from := times[0]
	span := gridSpan(times)
	ticks, form := timeTicks(time.UnixMilli(from), time.UnixMilli(times[len(times)-1]), columns/14)
	axis := []rune(strings.Repeat(" ", margin-1) + "└" + strings.Repeat("─", columns))
	text := []rune(strings.Repeat(" ", len(axis)))
	end := 0
	for _, t := range ticks {
		at := margin + columnOf(t.UnixMilli(), from, span, columns)
		label := []rune(t.Format(form))
		begin := max(at-len(label)/2, 0)
		if begin < end || begin+len(label) > len(text) {
			continue
		}
		axis[at] = '┬'
		copy(text[begin:], label)
		end = begin + len(label) + 1
	}
	for _, line := range []string{string(axis), string(text)} {
		_, _ = p.w.Write([]byte(strings.TrimRight(line, " ") + "\n"))
	}
}

// gridStep returns the least distance between two times. Times are of an answer and may be
// anything, so that distances are counted as floats.
func gridStep(times []int64) float64 {
	step := math.Inf(1)
	for i := 1; i < len(times); i++ {
		step = min(step, float64(times[i])-float64(times[i-1]))
	}
	if math.IsInf(step, 1) {
		return 1
	}
	return max(step, 1)
}

// gridSpan returns the length of all times, the last step included.
func gridSpan(times []int64) float64 {
	return float64(times[len(times)-1]) - float64(times[0]) + gridStep(times)
}

// columnOf returns the column, from 0 to n-1, in which a time lies.
func columnOf(ms, from int64, span float64, n int) int {
	return max(0, min(n-1, int((float64(ms)-float64(from))*float64(n)/span)))
}

// spreadLabels puts values on n columns by their times. A column has the largest of its values, NaN
// where it has none; where there are fewer values than columns, a value fills the columns until the
// next one.
func spreadLabels(times []int64, values []float64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = math.NaN()
	}
	span := gridSpan(times)
	share := gridStep(times) * float64(n) / span // columns for one value
	for i, v := range values {
		if !isFinite(v) {
			continue
		}
		first := columnOf(times[i], times[0], span, n)
		end := min(n, int((float64(times[i])-float64(times[0]))*float64(n)/span+share))
		for c := first; c < max(first+1, end); c++ {
			if math.IsNaN(out[c]) || v > out[c] {
				out[c] = v
			}
		}
	}
	return out
}

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// Spark draws values as bars in at most n columns, each the largest of its share; a column without
// a value is blank. The highest bar is top, or the largest value where top is NaN.
func Spark(times []int64, values []float64, n int, top float64) string {
	steps := []rune("▁▂▃▄▅▆▇█")
	if math.IsNaN(top) {
		top = Largest(values)
	}
	var b strings.Builder
	for _, v := range spreadLabels(times, values, min(n, len(times))) {
		switch {
		case math.IsNaN(v):
			b.WriteByte(' ')
		case top <= 0 || math.IsNaN(top) || v <= 0:
			b.WriteRune(steps[0])
		default: // what is not zero is seen
			b.WriteRune(steps[max(1, min(7, int(math.Round(v/top*7))))])
		}
	}
	return b.String()
}

// Largest returns the largest value, NaN where there is none.
func Largest(values []float64) float64 {
	out := math.NaN()
	for _, v := range values {
		if isFinite(v) && (math.IsNaN(out) || v > out) {
			out = v
		}
	}
	return out
}
