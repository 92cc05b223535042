package main

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guptarohit/asciigraph"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
)

func newMetrics(c *client) *cobra.Command {
	var (
		since, step            time.Duration
		asJSON, asCSV, instant bool
		width                  int
	)
	cmd := &cobra.Command{
		Use:   "metrics 'QUERY'",
		Short: "Evaluate a TraceQL metrics query and draw its series",
		Args:  cobra.ExactArgs(1),
		Example: `  troupectl metrics '{ status = error } | rate() by (resource.service.name)' --since 3h
  troupectl metrics '{} | quantile_over_time(duration, .5, .99)' --csv > latency.csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			now := time.Now()
			v := url.Values{"q": {args[0]}, "start": {strconv.FormatInt(now.Add(-since).UnixNano(), 10)}, "end": {strconv.FormatInt(now.UnixNano(), 10)}}
			path := "/api/metrics/query"
			if !instant {
				path = "/api/metrics/query_range"
				if step > 0 {
					v.Set("step", step.String())
				}
			}
			b, err := c.ask(cmd.Context(), path, v)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if asJSON {
				_, err = fmt.Fprintln(w, string(b))
				return err
			}
			answer, err := readSeries(b)
			if err != nil {
				return err
			}
			if asCSV {
				return answer.csv(w)
			}
			answer.draw(w, width, isatty.IsTerminal(os.Stdout.Fd()))
			return nil
		},
	}
	cmd.Flags().DurationVar(&since, "since", time.Hour, "how far back")
	cmd.Flags().DurationVar(&step, "step", 0, "length of an interval (default: chosen by the range)")
	cmd.Flags().BoolVar(&instant, "instant", false, "one value for the whole range instead of a series")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as it came")
	cmd.Flags().BoolVar(&asCSV, "csv", false, "print rows of time, labels and value")
	cmd.Flags().IntVar(&width, "width", 72, "columns of the plot")
	cmd.MarkFlagsMutuallyExclusive("json", "csv")
	return cmd
}

// seriesAnswer is the answer to a metrics query as far as it is drawn.
type seriesAnswer struct {
	Series []struct {
		Labels []struct {
			Key   string
			Value map[string]any
		}
		Samples []struct {
			TimestampMs string
			Value       float64
		}
		Value float64 // of an instant query
	}
	Status, Message string
	Warnings        []string
}

// drawn is one series on the grid of all of them; NaN where it has no sample.
type drawn struct {
	name   string
	values []float64
}

func readSeries(b []byte) (*seriesAnswer, error) {
	var a seriesAnswer
	if err := json.Unmarshal(b, &a); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return &a, nil
}

// grid puts all series on the times that any of them has.
func (a *seriesAnswer) grid() (times []int64, series []drawn) {
	seen := map[int64]int{}
	for _, s := range a.Series {
		for _, p := range s.Samples {
			ms, _ := strconv.ParseInt(p.TimestampMs, 10, 64)
			seen[ms] = 0
		}
	}
	for ms := range seen {
		times = append(times, ms)
	}
	slices.Sort(times)
	for i, ms := range times {
		seen[ms] = i
	}
	for _, s := range a.Series {
		var labels []string
		for _, l := range s.Labels {
			labels = append(labels, l.Key+"="+labelText(l.Value))
		}
		d := drawn{name: strings.Join(labels, " "), values: make([]float64, len(times))}
		for i := range d.values {
			d.values[i] = math.NaN()
		}
		for _, p := range s.Samples {
			ms, _ := strconv.ParseInt(p.TimestampMs, 10, 64)
			d.values[seen[ms]] = p.Value
		}
		if len(s.Samples) == 0 {
			d.values = []float64{s.Value}
		}
		series = append(series, d)
	}
	return times, series
}

func labelText(v map[string]any) string {
	for _, x := range v {
		return fmt.Sprint(x)
	}
	return ""
}

func (a *seriesAnswer) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"time", "labels", "value"})
	times, series := a.grid()
	for _, s := range series {
		for i, v := range s.values {
			if math.IsNaN(v) {
				continue
			}
			at := ""
			if i < len(times) {
				at = time.UnixMilli(times[i]).UTC().Format(time.RFC3339Nano)
			}
			_ = out.Write([]string{at, s.name, strconv.FormatFloat(v, 'g', -1, 64)})
		}
	}
	out.Flush()
	return out.Error()
}

const maxPlotted = 6 // series in one plot; the table has them all

// draw plots the largest series and lists all, the largest first.
func (a *seriesAnswer) draw(w io.Writer, width int, colors bool) {
	times, series := a.grid()
	slices.SortStableFunc(series, func(x, y drawn) int { return cmp.Compare(peak(y.values), peak(x.values)) })
	if len(times) > 1 && len(series) > 0 {
		fmt.Fprintln(w, plot(times, series[:min(len(series), maxPlotted)], width, colors))
		fmt.Fprintln(w)
	}
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	if len(times) > 0 {
		t.AppendHeader(table.Row{"series", "", "last", "min", "max"})
	} else {
		t.AppendHeader(table.Row{"series", "value"})
	}
	for _, s := range series {
		if len(times) == 0 {
			t.AppendRow(table.Row{s.name, short(s.values[0])})
			continue
		}
		t.AppendRow(table.Row{s.name, sparkline(s.values, 24), short(last(s.values)), short(least(s.values)), short(peak(s.values))})
	}
	t.Render()
	fmt.Fprintf(w, "%d series\n", len(series))
	if a.Message != "" {
		fmt.Fprintln(w, "warning:", a.Message)
	} else {
		for _, warning := range a.Warnings {
			fmt.Fprintln(w, "warning:", warning)
		}
	}
}

func plot(times []int64, series []drawn, width int, colors bool) string {
	data := make([][]float64, len(series))
	names := make([]string, len(series))
	for i, s := range series {
		data[i], names[i] = s.values, s.name
	}
	from, to := time.UnixMilli(times[0]), time.UnixMilli(times[len(times)-1])
	form := "15:04:05"
	if to.Sub(from) > 24*time.Hour {
		form = "01-02 15:04"
	}
	options := []asciigraph.Option{asciigraph.Height(12), asciigraph.Width(width), asciigraph.LowerBound(0), asciigraph.Precision(3),
		asciigraph.XAxisRange(float64(times[0]), float64(times[len(times)-1])), asciigraph.XAxisTickCount(4),
		asciigraph.XAxisValueFormatter(func(ms float64) string { return time.UnixMilli(int64(ms)).Format(form) }),
		asciigraph.YAxisValueFormatter(short)}
	if colors {
		palette := []asciigraph.AnsiColor{asciigraph.Blue, asciigraph.Green, asciigraph.Red, asciigraph.Yellow, asciigraph.Magenta, asciigraph.Cyan}
		options = append(options, asciigraph.SeriesColors(palette[:len(series)]...), asciigraph.SeriesLegends(names...))
	}
	return asciigraph.PlotMany(data, options...)
}

// sparkline draws values in n columns at most, each the peak of its share; a column without a sample is blank.
func sparkline(values []float64, n int) string {
	const steps = "▁▂▃▄▅▆▇█"
	n = min(n, len(values))
	top := peak(values)
	var b strings.Builder
	for i := range n {
		v := peak(values[i*len(values)/n : (i+1)*len(values)/n])
		switch {
		case math.IsInf(v, -1):
			b.WriteByte(' ')
		case top <= 0:
			b.WriteString("▁")
		default:
			k := int(math.Round(max(v, 0) / top * 7))
			b.WriteString(string([]rune(steps)[k]))
		}
	}
	return b.String()
}

func peak(values []float64) float64 {
	out := math.Inf(-1)
	for _, v := range values {
		if !math.IsNaN(v) {
			out = max(out, v)
		}
	}
	return out
}

func least(values []float64) float64 {
	out := math.Inf(1)
	for _, v := range values {
		if !math.IsNaN(v) {
			out = min(out, v)
		}
	}
	return out
}

func last(values []float64) float64 {
	for _, v := range slices.Backward(values) {
		if !math.IsNaN(v) {
			return v
		}
	}
	return math.NaN()
}

// short prints a number in four digits.
func short(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "-"
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
