package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
)

func newQueries(c *client, o *output) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "queries",
		Short: "List the running queries, or end one",
		Long: "List the running queries of the tenant with their progress and cost. `queries cancel` ends one; " +
			"its client is told.",
		Args: cobra.ArbitraryArgs,
		Example: `  troupectl queries
  troupectl queries cancel ID`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return showHelp(cmd, args)
			}
			b, err := c.askAPI(cmd.Context(), "/api/queries", nil)
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
			return showQueries(p, b, time.Now())
		},
	}
	addJSON(cmd, &asJSON, jsonAsItCame)
	cmd.AddCommand(newQueriesCancel(c, o))
	return cmd
}

func newQueriesCancel(c *client, o *output) *cobra.Command {
	return &cobra.Command{
		Use:     "cancel ID",
		Short:   "End a running query",
		Args:    cobra.ExactArgs(1),
		Example: "  troupectl queries cancel ID   # an id that `troupectl queries` shows",
		RunE: func(cmd *cobra.Command, args []string) error {
			req, err := c.newRequest(cmd.Context(), http.MethodDelete, "/api/queries/"+url.PathEscape(args[0]), nil)
			if err != nil {
				return err
			}
			if _, err := c.fetchBody(req); err != nil {
				return err
			}
			p, err := o.makePrinter(cmd)
			if err != nil {
				return err
			}
			p.Linef("query %s is ended", args[0])
			return nil
		},
	}
}

func showQueries(p *render.Printer, body []byte, now time.Time) error {
	var a struct {
		Queries []struct {
			ID, Tenant, Op, Query, State string
			Began                        time.Time
			Jobs, Done                   int
			InspectedBytes               int64 `json:",string"`
			HeldSeconds                  float64
		}
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	t := p.Table(render.Column{Title: "id"}, render.Column{Title: "tenant", Min: 8, Drop: 2},
		render.Column{Title: "kind", Drop: 4},
		render.Column{Title: "state"}, render.Column{Title: "for", Right: true},
		render.Column{Title: "jobs", Right: true},
		render.Column{Title: "read", Right: true, Drop: 3}, render.Column{Title: "slots held", Right: true, Drop: 1},
		render.Column{Title: "query", Min: 12})
	for _, q := range a.Queries {
		t.Row(q.ID, q.Tenant, q.Op, q.State, render.Duration(now.Sub(q.Began)), fmt.Sprintf("%d/%d", q.Done, q.Jobs),
			render.Bytes(q.InspectedBytes), render.Seconds(q.HeldSeconds), q.Query)
	}
	t.Print()
	p.Linef("%s", render.Count(len(a.Queries), "running query", "running queries"))
	return nil
}
