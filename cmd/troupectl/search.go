package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
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
			req, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, strings.TrimSuffix(c.url, "/")+"/api/search?"+v.Encode(), nil)
			if err != nil {
				return err
			}
			resp, err := c.do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("%s", strings.TrimSpace(string(b)))
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

func printSearch(w io.Writer, body []byte) error {
	var found struct {
		Traces []struct {
			TraceID, RootServiceName, RootTraceName, StartTimeUnixNano string
			DurationMs                                                 int
			SpanSets                                                   []struct{ Matched int }
		}
		Complete *bool
		Warnings []string
	}
	if err := json.Unmarshal(body, &found); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"trace", "start", "service", "name", "duration", "matched"})
	for _, tr := range found.Traces {
		ns, _ := strconv.ParseInt(tr.StartTimeUnixNano, 10, 64)
		matched := 0
		for _, s := range tr.SpanSets {
			matched += s.Matched
		}
		t.AppendRow(table.Row{tr.TraceID, time.Unix(0, ns).Format("2006-01-02 15:04:05.000"), tr.RootServiceName, tr.RootTraceName,
			time.Duration(tr.DurationMs) * time.Millisecond, matched})
	}
	t.Render()
	fmt.Fprintf(w, "%d traces\n", len(found.Traces))
	for _, warning := range found.Warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
	return nil
}
