package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
)

// askUpkeep asks a node what its backend-scheduler says of blocks, merges and retention: of all
// tenants, or of the one that --tenant names.
func (c *client) askUpkeep(ctx context.Context) (body []byte, s *upkeep.Status, err error) {
	at, err := endpointURL("operator", c.operator, "/status/backendscheduler")
	if err != nil {
		return nil, nil, err
	}
	v := url.Values{"format": {"json"}}
	if c.tenant != "" {
		v.Set("tenant", c.tenant)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"?"+v.Encode(), nil)
	if err != nil {
		return nil, nil, err
	}
	if body, err = c.fetchBody(req); err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, nil, fmt.Errorf("read the answer: %w", err)
	}
	return body, s, nil
}

const watchEvery = 2 * time.Second

func newBlocksJobs(c *client, o *output) *cobra.Command {
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "Show the merges of a running node, what waits for them, and why",
		Long: `Show what the backend-scheduler of a running node says of its blocks: the merges that are
under way, the blocks that are due to be merged and why they are not merged yet, those that are set
aside because merges of them failed, what is retired, and what has failed. --tenant shows one tenant.

The node is asked at its operator's port (--operator), whose page /status/backendscheduler shows the
same. docs/operate.md says what to do about each cause.`,
		Args:    cobra.NoArgs,
		Example: "  troupectl blocks jobs\n  troupectl blocks jobs --tenant team-a --watch",
		RunE: func(cmd *cobra.Command, _ []string) error {
			for {
				if err := showJobs(cmd, c, o, asJSON); err != nil || !watch {
					return err
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-time.After(watchEvery):
				}
				fmt.Fprintln(cmd.OutOrStdout())
			}
		},
	}
	addJSON(cmd, &asJSON, jsonAsItCame)
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again every two seconds")
	return cmd
}

func showJobs(cmd *cobra.Command, c *client, o *output, asJSON bool) error {
	body, s, err := c.askUpkeep(cmd.Context())
	if err != nil {
		return err
	}
	if asJSON {
		return printBody(cmd.OutOrStdout(), body)
	}
	p, err := o.makePrinter(cmd)
	if err != nil {
		return err
	}
	showSums(p, s)
	showMerges(p, s)
	showSetAside(p, s)
	if len(s.Tenants) > 1 {
		showTenants(p, s)
	}
	showFailures(p, s)
	return nil
}

// showSums prints how many blocks there are and what is to be done with them.
func showSums(p *render.Printer, s *upkeep.Status) {
	fact := func(name, text string) {
		p.Line(11, render.Part{Text: fmt.Sprintf("%-11s", name), Style: render.Dim},
			render.Part{Text: render.Quote(text)})
	}
	fact("time", fmt.Sprintf("%s, version %d of the catalog", render.Time(s.At), s.Version))
	if s.Trouble != "" {
		fact("trouble", s.Trouble)
	}
	fact("live", amountText(s.Total.Live))
	due := amountText(s.Total.Debt)
	switch {
	case s.Total.Debt.Blocks == 0:
	case s.Merging.ETAKnown:
		due += ", merged in " + render.Seconds(s.Merging.ETASeconds)
	default:
		due += ", and how long it takes is unknown"
	}
	fact("due", due)
	if s.Total.Cause.Text != "" {
		fact("because", s.Total.Cause.Text)
	}
	fact("later", amountText(s.Total.Waiting))
	fact("set aside", amountText(s.Total.SetAside))
	retired := amountText(s.Total.Retired)
	if at := s.Retention.NextRemoval; !at.IsZero() {
		retired += ", the first are removed in " + render.Duration(at.Sub(s.At).Round(time.Second))
	}
	fact("retired", retired)
	for _, w := range s.Merging.Workers {
		fact("worker", fmt.Sprintf("%s is %s, heard of %s ago", w.Name, w.State, render.Duration(s.At.Sub(w.Heard))))
	}
	p.Linef("")
}

func amountText(a upkeep.Amount) string {
	return fmt.Sprintf("%s, %s, %d spans", render.Count(a.Blocks, "block", "blocks"), render.Bytes(a.Bytes), a.Spans)
}

func showMerges(p *render.Printer, s *upkeep.Status) {
	t := p.Table(render.Column{Title: "job", Min: 12, Drop: 6}, render.Column{Title: "tenant", Min: 8},
		render.Column{Title: "day", Drop: 2}, render.Column{Title: "level", Right: true, Drop: 4},
		render.Column{Title: "blocks", Right: true}, render.Column{Title: "bytes", Right: true},
		render.Column{Title: "spans", Right: true, Drop: 3}, render.Column{Title: "worker", Min: 6},
		render.Column{Title: "attempt", Right: true, Drop: 5}, render.Column{Title: "for", Right: true},
		render.Column{Title: "last beat", Right: true, Drop: 1})
	for _, j := range s.Jobs {
		t.Row(j.Lease, j.Tenant, j.Day, fmt.Sprint(j.Level),
			fmt.Sprint(j.Blocks), render.Bytes(j.Bytes), fmt.Sprint(j.Spans),
			j.Worker, fmt.Sprint(j.Attempt), ageText(j.Began, s.At), ageText(j.Heard, s.At))
	}
	t.Print()
	if len(s.Jobs) == 0 {
		p.Linef("no merge is under way")
	}
}

// ageText prints how long before now something was.
func ageText(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return render.Duration(now.Sub(t).Round(time.Millisecond))
}

func showSetAside(p *render.Printer, s *upkeep.Status) {
	if len(s.SetAside) == 0 {
		return
	}
	p.Linef("")
	p.Linef("Set aside: they stay as they are and are read, but not merged any more.")
	t := p.Table(render.Column{Title: "tenant", Min: 8}, render.Column{Title: "blocks", Right: true},
		render.Column{Title: "bytes", Right: true, Drop: 1}, render.Column{Title: "reason", Min: 20})
	for _, a := range s.SetAside {
		t.Row(a.Tenant, fmt.Sprint(a.Blocks), render.Bytes(a.Bytes), a.Reason)
	}
	t.Print()
}

func showTenants(p *render.Printer, s *upkeep.Status) {
	p.Linef("")
	t := p.Table(render.Column{Title: "tenant", Min: 8}, render.Column{Title: "live", Right: true},
		render.Column{Title: "bytes", Right: true}, render.Column{Title: "due", Right: true},
		render.Column{Title: "later", Right: true, Drop: 3}, render.Column{Title: "set aside", Right: true, Drop: 2},
		render.Column{Title: "retired", Right: true, Drop: 4}, render.Column{Title: "because", Min: 12, Drop: 1})
	for _, x := range s.Tenants {
		t.Row(x.Tenant, fmt.Sprint(x.Live.Blocks), render.Bytes(x.Live.Bytes), fmt.Sprint(x.Debt.Blocks),
			fmt.Sprint(x.Waiting.Blocks), fmt.Sprint(x.SetAside.Blocks), fmt.Sprint(x.Retired.Blocks), x.Cause.Name)
	}
	t.Print()
}

func showFailures(p *render.Printer, s *upkeep.Status) {
	if len(s.Failures) == 0 {
		return
	}
	p.Linef("")
	t := p.Table(render.Column{Title: "failed", Right: true}, render.Column{Title: "what"},
		render.Column{Title: "tenant", Min: 8, Drop: 1}, render.Column{Title: "attempt", Right: true, Drop: 2},
		render.Column{Title: "reason", Min: 20})
	for _, f := range s.Failures {
		what, attempt := f.What, ""
		if f.SetAside {
			what += ", set aside"
		}
		if f.Attempt > 0 {
			attempt = fmt.Sprint(f.Attempt)
		}
		t.Row(ageText(f.At, s.At)+" ago", what, f.Tenant, attempt, f.Reason)
	}
	t.Print()
}
