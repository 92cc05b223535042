package main

import (
	"encoding/csv"
	"errors"
	"io"
	"math"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
)

const (
	maxPlotted = 6 // series in one plot; the table has them all
	plotWidth  = 100
	sparkWidth = 24
)

func newMetrics(c *client, o *output) *cobra.Command {
	var (
		since, step            *period
		asJSON, asCSV, instant bool
	)
	cmd := &cobra.Command{
		Use:   "metrics 'QUERY'",
		Short: "Evaluate a TraceQL metrics query and draw its series",
		Long: `Evaluate a TraceQL metrics query, plot the six largest series and list all of them.

A column of the plot, and of the small bars in the table, shows the largest of the values that fall into it, so
that a peak is seen however long the range is. The list begins with the sign and the colour of each line.
Buckets of a histogram are listed in order, their bars on one scale.`,
		Args: cobra.ExactArgs(1),
		Example: `  troupectl metrics '{ status = error } | rate() by (name)' --since 3h
  troupectl metrics '{ } | histogram_over_time(duration)'
  troupectl metrics '{ } | quantile_over_time(duration, .5, .99)' --csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			now := time.Now()
			v := url.Values{"q": {args[0]}, "start": {strconv.FormatInt(now.Add(-time.Duration(*since)).UnixNano(),
				10)},
				"end": {strconv.FormatInt(now.UnixNano(), 10)}}
			path := "/api/metrics/query"
			if !instant {
				path = "/api/metrics/query_range"
				if *step > 0 {
					v.Set("step", time.Duration(*step).String())
				}
			} else if *step > 0 {
				return errors.New("--step: an instant query has one value for the whole range")
			}
			bar := newQueryProgress(cmd)
			b, err := c.followAPI(cmd.Context(), path, v, bar.progressFunc())
			bar.finishBar()
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if asJSON {
				return printBody(w, b)
			}
			answer, err := readSeries(b)
			if err != nil {
				return err
			}
			if asCSV {
				err = answer.writeCSV(w)
			} else {
				var p *render.Printer
				if p, err = o.makePrinter(cmd); err == nil {
					answer.showSeries(p, unitsOf(args[0]))
				}
			}
			if err != nil {
				return err
			}
			return o.printWarnings(cmd, answer.warningTexts()...)
		},
	}
	since = addSince(cmd, time.Hour, "how far back")
	step = new(period)
	cmd.Flags().Var(step, "step", "length of an interval (default: chosen by the range)")
	cmd.Flags().Lookup("step").DefValue = ""
	cmd.Flags().BoolVar(&instant, "instant", false, "one value for the whole range instead of a series")
	addJSON(cmd, &asJSON, jsonAsItCame)
	cmd.Flags().BoolVar(&asCSV, "csv", false, "print rows of time, labels and value")
	cmd.MarkFlagsMutuallyExclusive("json", "csv")
	return cmd
}

// writeCSV writes a row for each sample. Labels are quoted as everywhere; --json has them as they
// are.
func (a *seriesAnswer) writeCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"time", "labels", "value"})
	times, all := a.alignSeries(units{exact: true})
	for _, s := range all {
		for i, v := range s.values {
			if math.IsNaN(v) {
				continue
			}
			at := ""
			if i < len(times) {
				at = time.UnixMilli(times[i]).UTC().Format(time.RFC3339Nano)
			}
			_ = out.Write([]string{at, render.Quote(s.name), strconv.FormatFloat(v, 'f', -1, 64)})
		}
	}
	out.Flush()
	return out.Error()
}

// showSeries plots the largest series and lists all, the largest first.
func (a *seriesAnswer) showSeries(p *render.Printer, u units) {
	times, all := a.alignSeries(u)
	sortSeries(all)
	format := render.Number
	if u.values {
		format = render.Seconds
	}
	buckets := len(all) > 0 && all[0].isBucket
	plotted := 0
	if len(times) > 1 && len(all) > 0 && !buckets {
		plotted = min(len(all), maxPlotted)
		lines := make([][]float64, plotted)
		for i := range lines {
			lines[i] = all[i].values
		}
		p.Plot(times, lines, p.Width(plotWidth), u.values)
		p.Linef("")
	}
	if len(times) == 0 {
		listValues(p, all, format)
	} else {
		listSeries(p, times, all, plotted, format)
	}
	p.Linef("%d series", len(all))
}

func listValues(p *render.Printer, all []series, format func(float64) string) {
	t := p.Table(render.Column{Title: "series", Min: 16}, render.Column{Title: "value", Right: true})
	for _, s := range all {
		t.Row(s.name, format(s.values[0]))
	}
	t.Print()
}

func listSeries(p *render.Printer, times []int64, all []series, plotted int, format func(float64) string) {
	top, width := math.NaN(), sparkWidth // bars on a scale of their own
	if len(all) > 0 && all[0].isBucket {
		top, width = 0, min(2*sparkWidth, p.Width(plotWidth)-40)
		for _, s := range all {
			top = max(top, render.Largest(s.values))
		}
	}
	columns := []render.Column{{Title: "line"}, {Title: "series", Min: 16}, {Title: "over time", Drop: 1},
		{Title: "last", Right: true}, {Title: "min", Right: true}, {Title: "max", Right: true}}
	if plotted == 0 {
		columns = columns[1:]
	}
	t := p.Table(columns...)
	for i, s := range all {
		line := render.Cell{}
		if i < plotted {
			line = render.LineSign(i)
		}
		row := []render.Cell{line, {Text: s.name}, {Text: render.Spark(times, s.values, width, top), Style: line.Style},
			{Text: format(newestValue(s.values))}, {Text: format(smallestValue(s.values))},
			{Text: format(render.Largest(s.values))}}
		t.StyledRow(row[len(row)-len(columns):]...)
	}
	t.Print()
}
