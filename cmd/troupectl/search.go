package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

func newSearch(c *client) *cobra.Command {
	var (
		since  time.Duration
		limit  int
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:     "search 'QUERY'",
		Short:   "Search with TraceQL and print a table, newest first",
		Args:    cobra.ExactArgs(1),
		Example: `  troupectl search '{ resource.service.name = "payment" && status = error }' --since 15m`,
		RunE: func(cmd *cobra.Command, args []string) error {
			now := time.Now()
			v := url.Values{"q": {args[0]}, "limit": {strconv.Itoa(limit)},
				"start": {strconv.FormatInt(now.Add(-since).Unix(), 10)}, "end": {strconv.FormatInt(now.Add(time.Minute).Unix(), 10)}}
			var progress func([]byte)
			if isatty.IsTerminal(os.Stderr.Fd()) {
				bar := newProgress(os.Stderr)
				defer bar.end()
				progress = bar.show
			}
			b, err := c.follow(cmd.Context(), "/api/search", v, progress)
			if err != nil {
				return err
			}
			if asJSON {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), string(b))
				return err
			}
			return printSearch(cmd.OutOrStdout(), b)
		},
	}
	cmd.Flags().DurationVar(&since, "since", time.Hour, "how far back")
	cmd.Flags().IntVar(&limit, "limit", 20, "traces at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as it came")
	return cmd
}

// searchAnswer is the answer to a search as far as it is printed.
type searchAnswer struct {
	Traces   []foundTrace
	Metrics  struct{ CompletedJobs, TotalJobs int }
	Warnings []string
}

type foundTrace struct {
	TraceID, RootServiceName, RootTraceName, StartTimeUnixNano string
	DurationMs                                                 int
	SpanSets                                                   []struct{ Matched int }
	Partial                                                    bool // a part of it could not be read
}

func (t *foundTrace) start() time.Time {
	ns, _ := strconv.ParseInt(t.StartTimeUnixNano, 10, 64)
	return time.Unix(0, ns)
}

func (t *foundTrace) duration() time.Duration { return time.Duration(t.DurationMs) * time.Millisecond }

func printSearch(w io.Writer, body []byte) error {
	var found searchAnswer
	if err := json.Unmarshal(body, &found); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"trace", "start", "service", "name", "duration", "matched"})
	for _, tr := range found.Traces {
		matched := 0
		for _, s := range tr.SpanSets {
			matched += s.Matched
		}
		name := tr.RootTraceName
		if tr.Partial {
			name += " (partial)"
		}
		t.AppendRow(table.Row{tr.TraceID, tr.start().Format("2006-01-02 15:04:05.000"), tr.RootServiceName, name, tr.duration(), matched})
	}
	t.Render()
	fmt.Fprintf(w, "%d traces\n", len(found.Traces))
	for _, warning := range found.Warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
	return nil
}

// progressBar shows how far a query is, on a terminal.
type progressBar struct{ bar *progressbar.ProgressBar }

func newProgress(w io.Writer) *progressBar {
	return &progressBar{progressbar.NewOptions(-1, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("searching"), progressbar.OptionClearOnFinish())}
}

func (p *progressBar) show(body []byte) {
	var a searchAnswer
	if json.Unmarshal(body, &a) != nil || a.Metrics.TotalJobs == 0 {
		return
	}
	p.bar.ChangeMax(a.Metrics.TotalJobs)
	p.bar.Describe(fmt.Sprintf("searching, %d traces so far", len(a.Traces)))
	_ = p.bar.Set(a.Metrics.CompletedJobs)
}

func (p *progressBar) end() { _ = p.bar.Finish() }
