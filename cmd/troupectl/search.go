package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
)

func newSearch(c *client, o *output) *cobra.Command {
	var (
		since        *period
		limit, spans int
		asJSON       bool
	)
	cmd := &cobra.Command{
		Use:   "search 'QUERY'",
		Short: "Search with TraceQL and print a table, newest first",
		Long: `Search with TraceQL and print the traces that match, newest first.

Where the query has select(), the matched spans of each trace are shown too, with the attributes it asked for;
--spans shows them, and what the query compares, for any query.`,
		Args: cobra.ExactArgs(1),
		Example: `  troupectl search '{ resource.service.name = "payment" }' --since 15m
  troupectl search '{ status = error } | select(name, span.http.route)'
  troupectl search '{ status = error }' --json | jq '.traces[].traceID'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if spans < 0 {
				spans = 0
				if asksForAttributes(args[0]) {
					spans = 3
				}
			}
			v := searchRange(args[0], time.Duration(*since), limit)
			if spans > 0 {
				v.Set("spss", strconv.Itoa(spans))
			}
			bar := newQueryProgress(cmd)
			b, err := c.followAPI(cmd.Context(), "/api/search", v, bar.progressFunc())
			bar.finishBar()
			if err != nil {
				return err
			}
			if asJSON {
				return printBody(cmd.OutOrStdout(), b)
			}
			p, err := o.makePrinter(cmd)
			if err != nil {
				return err
			}
			found, err := readSearch(b)
			if err != nil {
				return err
			}
			found.showTraces(p, spans)
			return o.printWarnings(cmd, found.Warnings...)
		},
	}
	since = addSince(cmd, time.Hour, "how far back")
	cmd.Flags().IntVar(&limit, "limit", 20, "traces at most")
	cmd.Flags().IntVar(&spans, "spans", -1, "spans to show of each trace (default 3 with select(), else none)")
	cmd.Flags().Lookup("spans").DefValue = "0" // the text above says it
	addJSON(cmd, &asJSON, jsonAsItCame)
	return cmd
}

// searchRange gives the parameters of a search that ends now; clocks ahead by a minute are covered.
func searchRange(query string, since time.Duration, limit int) url.Values {
	now := time.Now()
	return url.Values{"q": {query}, "limit": {strconv.Itoa(limit)},
		"start": {strconv.FormatInt(now.Add(-since).Unix(), 10)},
		"end":   {strconv.FormatInt(now.Add(time.Minute).Unix(), 10)}}
}

var (
	quoted     = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]*`")
	selectCall = regexp.MustCompile(`\|\s*select\s*\(`)
)

// asksForAttributes reports whether a query has select().
func asksForAttributes(query string) bool {
	return selectCall.MatchString(quoted.ReplaceAllString(query, `""`))
}

// searchAnswer is the answer to a search as far as it is printed.
type searchAnswer struct {
	Traces   []foundTrace
	Warnings []string
}

type foundTrace struct {
	TraceID, RootServiceName, RootTraceName, StartTimeUnixNano string
	DurationMs                                                 int64
	SpanSet                                                    spanSet
	SpanSets                                                   []spanSet
	Partial                                                    bool // a part of it could not be read
}

type spanSet struct {
	Matched int
	Spans   []foundSpan
}

type foundSpan struct {
	SpanID, Name, DurationNanos string
	Attributes                  []struct {
		Key   string
		Value attributeValue
	}
}

func readSearch(body []byte) (*searchAnswer, error) {
	var found searchAnswer
	if err := json.Unmarshal(body, &found); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return &found, nil
}

// allSpanSets returns the span sets; old backends have only one.
func (t *foundTrace) allSpanSets() []spanSet {
	if len(t.SpanSets) == 0 && len(t.SpanSet.Spans) > 0 {
		return []spanSet{t.SpanSet}
	}
	return t.SpanSets
}

func (t *foundTrace) matchedSpans() int {
	sum := 0
	for _, s := range t.allSpanSets() {
		sum += s.Matched
	}
	return sum
}

func (t *foundTrace) startTime() time.Time {
	ns, _ := strconv.ParseInt(t.StartTimeUnixNano, 10, 64)
	return time.Unix(0, ns)
}

func (t *foundTrace) durationText() string {
	if t.DurationMs == 0 {
		return "<1ms"
	}
	return render.Duration(time.Duration(t.DurationMs) * time.Millisecond)
}

func (t *foundTrace) nameText() string {
	if t.Partial {
		return t.RootTraceName + " (partial)"
	}
	return t.RootTraceName
}

// showTraces prints a row for each trace; with spans above zero its matched spans stand below it.
func (a *searchAnswer) showTraces(p *render.Printer, spans int) {
	t := p.Table(render.Column{Title: "trace", Style: render.Cyan},
		render.Column{Title: "start", Short: render.ShortTime, Drop: 3},
		render.Column{Title: "service", Min: 10, Drop: 2}, render.Column{Title: "name", Min: 16, Style: render.Bold},
		render.Column{Title: "duration", Right: true, Drop: 1}, render.Column{Title: "matched", Right: true, Drop: 4})
	for i := range a.Traces {
		tr := &a.Traces[i]
		t.Row(tr.TraceID, render.Time(tr.startTime()), tr.RootServiceName, tr.nameText(), tr.durationText(),
			strconv.Itoa(tr.matchedSpans()))
		if spans == 0 {
			continue
		}
		for _, s := range tr.allSpanSets() {
			for j := range s.Spans[:min(len(s.Spans), spans)] {
				t.Below(s.Spans[j].lineParts()...)
			}
			if left := s.Matched - min(len(s.Spans), spans); left > 0 {
				t.Below(render.Part{Text: fmt.Sprintf("  … %d more", left), Style: render.Dim})
			}
		}
	}
	t.Print()
	p.Linef("%s", render.Count(len(a.Traces), "trace", "traces"))
}

// lineParts describes a matched span on a line of its own.
func (s *foundSpan) lineParts() []render.Part {
	ns, _ := strconv.ParseInt(s.DurationNanos, 10, 64)
	out := []render.Part{{Text: "  " + s.SpanID, Style: render.Dim}, {Text: "  " + render.Duration(time.Duration(ns))}}
	if s.Name != "" {
		out = append(out, render.Part{Text: "  " + s.Name, Style: render.Bold})
	}
	for _, a := range s.Attributes {
		out = append(out, render.Part{Text: "  " + a.Key + "=", Style: render.Dim}, render.Part{Text: a.Value.String()})
	}
	return out
}
