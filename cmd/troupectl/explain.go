package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
)

func newExplain(c *client, o *output) *cobra.Command {
	var (
		since  *period
		limit  int
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "explain 'QUERY'",
		Short: "Show how a query is evaluated and what it reads of each block",
		Long: `Evaluate a search or a metrics query without using anything that is known from before, and show how.

Each live-store and each part of a block is read, decided by its index alone (mostly: nothing in it can match), or
needless (enough newer traces were found before). The table shows how many reads in how many waves it took; then
come the columns that were read.`,
		Args: cobra.ExactArgs(1),
		Example: `  troupectl explain '{ name = "GET /cart" && duration > 1s }' --since 6h
  troupectl explain '{ status = error } | rate()' --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := c.askAPI(cmd.Context(), "/api/explain", searchRange(args[0], time.Duration(*since), limit))
			if err != nil {
				return err
			}
			if asJSON {
				return printBody(cmd.OutOrStdout(), b)
			}
			a := &explainAnswer{}
			return o.showAnswer(cmd, b, a, &a.Warnings)
		},
	}
	since = addSince(cmd, time.Hour, "how far back")
	cmd.Flags().IntVar(&limit, "limit", 20, "traces at most")
	addJSON(cmd, &asJSON, jsonAsItCame)
	return cmd
}

// explainAnswer is the answer of /api/explain.
type explainAnswer struct {
	Warnings                       []string
	CatalogVersion                 uint64 `json:",string"`
	Blocks, OutOfRange, Assembled  int
	InspectedBytes, InspectedSpans int64 `json:",string"`
	Steps                          []explainStep
}

type explainStep struct {
	Home, Outcome, Reason          string
	Part, Parts                    int
	Spans                          int64 `json:",string"`
	InspectedSpans, InspectedBytes int64 `json:",string"`
	Reads, Waves                   int
	TookMs                         float64
	Columns                        []struct {
		Object, Column string
		Pages, Of      int
	}
}

func (a *explainAnswer) show(p *render.Printer) {
	p.Linef("catalog version %d: %s in the range, %d ruled out by it; %s put together from several homes",
		a.CatalogVersion, render.Count(a.Blocks, "block", "blocks"), a.OutOfRange,
		render.Count(a.Assembled, "trace", "traces"))
	if len(a.Steps) == 0 {
		return
	}
	p.Linef("")
	a.showSteps(p)
	a.showColumns(p)
}

func (a *explainAnswer) showSteps(p *render.Printer) {
	t := p.Table(render.Column{Title: "home", Min: 12}, render.Column{Title: "part", Right: true, Drop: 3},
		render.Column{Title: "outcome", Min: 16}, render.Column{Title: "spans", Right: true},
		render.Column{Title: "looked at", Right: true}, render.Column{Title: "reads", Right: true},
		render.Column{Title: "waves", Right: true, Drop: 4}, render.Column{Title: "bytes", Right: true, Drop: 2},
		render.Column{Title: "took", Right: true, Drop: 1})
	for _, s := range a.Steps {
		part, outcome := "", s.Outcome
		if s.Parts > 1 {
			part = fmt.Sprintf("%d of %d", s.Part+1, s.Parts)
		}
		if s.Reason != "" {
			outcome += ": " + s.Reason
		}
		t.Row(s.Home, part, outcome, strconv.FormatInt(s.Spans, 10), strconv.FormatInt(s.InspectedSpans, 10),
			strconv.Itoa(s.Reads), strconv.Itoa(s.Waves), render.Bytes(s.InspectedBytes), render.Seconds(s.TookMs/1000))
	}
	t.Footer("", "", "", "", strconv.FormatInt(a.InspectedSpans, 10), "", "", render.Bytes(a.InspectedBytes))
	t.Print()
}

// showColumns sums the pages that were read over all steps.
func (a *explainAnswer) showColumns(p *render.Printer) {
	type read struct{ pages, of int }
	columns := map[string]read{}
	for _, s := range a.Steps {
		for _, c := range s.Columns {
			name := strings.TrimSuffix(c.Object, ".parquet") + " " + c.Column
			r := columns[name]
			columns[name] = read{r.pages + c.Pages, r.of + c.Of}
		}
	}
	if len(columns) == 0 {
		return
	}
	p.Linef("")
	t := p.Table(render.Column{Title: "column", Min: 20}, render.Column{Title: "pages read", Right: true})
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		t.Row(name, fmt.Sprintf("%d of %d", columns[name].pages, columns[name].of))
	}
	t.Print()
}
