package main

import (
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
)

func newMap(c *client, o *output) *cobra.Command {
	var (
		since  *period
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "map ['QUERY']",
		Short: "Show which service calls which, how often and how fast",
		Long: `Show which service calls which: of the spans that a filter selects, those below a span of another
service, and those of clients that call something which sends no spans (by peer.service, db.system or
messaging.system).

Counts and errors are exact, quantiles are interpolated.`,
		Args: cobra.MaximumNArgs(1),
		Example: `  troupectl map
  troupectl map '{ resource.deployment.environment = "production" }' --since 15m`,
		RunE: func(cmd *cobra.Command, args []string) error {
			v := url.Values{"since": {time.Duration(*since).String()}}
			if len(args) > 0 {
				v.Set("q", args[0])
			}
			b, err := c.askAPI(cmd.Context(), "/api/edges", v)
			if err != nil {
				return err
			}
			if asJSON {
				return printBody(cmd.OutOrStdout(), b)
			}
			a := &edgesAnswer{}
			return o.showAnswer(cmd, b, a, &a.Warnings)
		},
	}
	since = addSince(cmd, time.Hour, "how far back")
	addJSON(cmd, &asJSON, jsonAsItCame)
	return cmd
}

// edgesAnswer is the answer of /api/edges.
type edgesAnswer struct {
	Edges []struct {
		Client, Server, Kind string
		Count, Errors        float64
		Seconds              struct{ P50, P95, P99 float64 }
	}
	Warnings []string
}

func (a *edgesAnswer) show(p *render.Printer) {
	if len(a.Edges) == 0 {
		p.Linef("no calls between services in this time")
		return
	}
	right := func(title string, drop int) render.Column {
		return render.Column{Title: title, Right: true, Drop: drop}
	}
	t := p.Table(render.Column{Title: "client", Min: 8}, render.Column{Title: "server", Min: 8},
		render.Column{Title: "kind", Drop: 4}, right("spans", 0), right("errors", 0), right("p50", 3), right("p95", 0),
		right("p99", 2))
	number := func(n float64) string { return strconv.FormatFloat(n, 'f', 0, 64) }
	for _, e := range a.Edges {
		t.Row(e.Client, e.Server, e.Kind, number(e.Count), number(e.Errors),
			secondsText(e.Seconds.P50), secondsText(e.Seconds.P95), secondsText(e.Seconds.P99))
	}
	t.Print()
}

// secondsText shows a time that is not known exactly.
func secondsText(s float64) string {
	return render.Duration(time.Duration(s * float64(time.Second)))
}
