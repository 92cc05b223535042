package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

func newExplain(c *client) *cobra.Command {
	var (
		since  time.Duration
		limit  int
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "explain 'QUERY'",
		Short: "Show how a query is evaluated: what is asked of each block and live-store, what is left out and why, which columns are read",
		Long: `Evaluate a search or a metrics query without using anything that is known from before, and show how: for each live-store and part of a block, whether it was
read, decided by its index alone (mostly: nothing in it can match), or needless (enough newer traces were found before); how many reads in how many waves it took; and which columns were read.`,
		Args:    cobra.ExactArgs(1),
		Example: `  troupectl explain '{ span.http.route = "/cart" && duration > 1s }' --since 6h`,
		RunE: func(cmd *cobra.Command, args []string) error {
			now := time.Now()
			b, err := c.ask(cmd.Context(), "/api/explain", url.Values{"q": {args[0]}, "limit": {strconv.Itoa(limit)},
				"start": {strconv.FormatInt(now.Add(-since).Unix(), 10)}, "end": {strconv.FormatInt(now.Add(time.Minute).Unix(), 10)}})
			if err != nil {
				return err
			}
			if asJSON {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), string(b))
				return err
			}
			return printExplained(cmd.OutOrStdout(), b)
		},
	}
	cmd.Flags().DurationVar(&since, "since", time.Hour, "how far back")
	cmd.Flags().IntVar(&limit, "limit", 20, "traces at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as it came")
	return cmd
}

// explainAnswer is the answer of /api/explain.
type explainAnswer struct {
	Warnings                       []string
	CatalogVersion                 uint64 `json:",string"`
	Blocks, OutOfRange, Assembled  int
	InspectedBytes, InspectedSpans int64 `json:",string"`
	Steps                          []struct {
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
}

func printExplained(w io.Writer, body []byte) error {
	var a explainAnswer
	if err := json.Unmarshal(body, &a); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	fmt.Fprintf(w, "catalog version %d: %d blocks in the range, %d ruled out by it; %d traces put together from several homes\n", a.CatalogVersion, a.Blocks, a.OutOfRange, a.Assembled)
	t := newTable(w)
	t.AppendHeader(table.Row{"home", "part", "outcome", "spans", "looked at", "reads", "waves", "bytes", "took"})
	type read struct{ pages, of int }
	columns := map[string]read{}
	for _, s := range a.Steps {
		part := ""
		if s.Parts > 1 {
			part = fmt.Sprintf("%d of %d", s.Part+1, s.Parts)
		}
		outcome := s.Outcome
		if s.Reason != "" {
			outcome += ": " + s.Reason
		}
		t.AppendRow(table.Row{s.Home, part, outcome, s.Spans, s.InspectedSpans, s.Reads, s.Waves, progress.FormatBytes(s.InspectedBytes), fmt.Sprintf("%.2f ms", s.TookMs)})
		for _, c := range s.Columns {
			name := strings.TrimSuffix(c.Object, ".parquet") + " " + c.Column
			r := columns[name]
			columns[name] = read{r.pages + c.Pages, r.of + c.Of}
		}
	}
	t.AppendFooter(table.Row{"", "", "", "", a.InspectedSpans, "", "", progress.FormatBytes(a.InspectedBytes)})
	t.Render()
	if len(columns) > 0 {
		t = newTable(w)
		t.AppendHeader(table.Row{"column", "pages read"})
		names := make([]string, 0, len(columns))
		for n := range columns {
			names = append(names, n)
		}
		slices.Sort(names)
		for _, n := range names {
			t.AppendRow(table.Row{n, fmt.Sprintf("%d of %d", columns[n].pages, columns[n].of)})
		}
		t.Render()
	}
	for _, warning := range a.Warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
	return nil
}
