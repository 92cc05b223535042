package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// retentionFlags say whose blocks the command is about.
type retentionFlags struct {
	bucket         string // empty: a node is asked
	keep           period // with a bucket
	dryRun, asJSON bool
}

func newRetention(c *client, o *output) *cobra.Command {
	f := retentionFlags{dryRun: true, keep: period(14 * 24 * time.Hour)}
	cmd := &cobra.Command{
		Use:   "retention",
		Short: "Show which days of blocks go, and when",
		Long: `Show which days of blocks each tenant loses, and when. It changes nothing: a node retires blocks
by itself, and plans that as this command does.

A running node is asked at its operator's port (--operator): it knows the retention of each tenant,
and whether its clock is believed. With --bucket no node is needed: the catalog in the bucket is
read, and --retention holds for all tenants.

A day goes a tenant's retention after its end, in UTC, by the arrival of its spans; one day goes an
hour at most. Its objects are removed when no query reads them any more.`,
		Args: cobra.NoArgs,
		Example: `  troupectl retention --dry-run
  troupectl retention --dry-run --tenant team-a --json
  troupectl retention --dry-run --bucket ./data/blocks --retention 3d`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !f.dryRun {
				return errors.New("--dry-run=false: a node retires blocks by itself; " +
					"set backend_worker.compaction.block_retention, or compaction.block_retention " +
					"in the overrides of a tenant")
			}
			return f.run(cmd, c, o)
		},
	}
	addJSON(cmd, &f.asJSON, "print what /status/backendscheduler says, as JSON")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", true, "only show; there is nothing else")
	cmd.Flags().StringVar(&f.bucket, "bucket", "", "`folder` or address of a bucket to read, instead of asking a node")
	cmd.Flags().Var(&f.keep, "retention", "with --bucket: how long spans are kept after their day")
	return cmd
}

// dayThatGoes is a line of what the command prints.
type dayThatGoes struct {
	tenant, day string
	upkeep.Amount
	goes time.Time
	why  string
}

func (f *retentionFlags) run(cmd *cobra.Command, c *client, o *output) error {
	body, s, err := f.describe(cmd, c)
	if err != nil {
		return err
	}
	if f.asJSON {
		return printBody(cmd.OutOrStdout(), body)
	}
	days, kept := listDays(s)
	p, err := o.makePrinter(cmd)
	if err != nil {
		return err
	}
	showDays(p, s, days)
	if kept > 0 {
		p.Linef("%s kept for ever", render.Count(kept, "block is", "blocks are"))
	}
	if until := s.Retention.DoubtedUntil; !until.IsZero() {
		return o.printWarnings(cmd, "the node's clock has jumped, and nothing goes before "+render.Time(until)+
			": correct the clock if it is wrong")
	}
	return nil
}

// describe asks a node, or reads the catalog of a bucket.
func (f *retentionFlags) describe(cmd *cobra.Command, c *client) (body []byte, s *upkeep.Status, err error) {
	if f.bucket == "" {
		if cmd.Flags().Changed("retention") {
			return nil, nil, errors.New("--retention: give --bucket too; a node knows the retention of its tenants")
		}
		return c.askUpkeep(cmd.Context())
	}
	if s, err = describeBucket(cmd.Context(), f.bucket, c.tenant, time.Duration(f.keep)); err != nil {
		return nil, nil, err
	}
	body, err = json.Marshal(s)
	return body, s, err
}

// describeBucket makes the status of a bucket of which no node runs.
func describeBucket(ctx context.Context, path, tenant string, keep time.Duration) (*upkeep.Status, error) {
	b, closeBucket, err := openPlace(ctx, path, objstore.ViewLocal)
	if err != nil {
		return nil, err
	}
	defer func() { _ = closeBucket() }() // nothing was written
	state, err := blockstore.LoadCatalog(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", noCatalog, err)
	}
	limits := func(string) upkeep.Limits { return upkeep.Limits{Retention: keep} }
	s := upkeep.Describe(&upkeep.Facts{Catalog: state, Policy: upkeep.Policy{LimitsOf: limits}}, time.Now())
	if tenant != "" {
		s = s.OfTenant(tenant)
	}
	return s, nil
}

// listDays returns the days that go, the first one first, and how many blocks never do.
func listDays(s *upkeep.Status) (days []dayThatGoes, kept int) {
	for _, t := range s.Tenants {
		for _, d := range t.Days {
			if d.Goes.IsZero() {
				kept += d.Blocks
				continue
			}
			days = append(days, dayThatGoes{t.Tenant, d.Day, d.Amount, d.Goes, d.Why})
		}
	}
	slices.SortFunc(days, func(a, b dayThatGoes) int {
		return cmp.Or(a.goes.Compare(b.goes), strings.Compare(a.day, b.day), strings.Compare(a.tenant, b.tenant))
	})
	return days, kept
}

func showDays(p *render.Printer, s *upkeep.Status, days []dayThatGoes) {
	t := p.Table(render.Column{Title: "goes", Short: render.ShortMinute}, render.Column{Title: "in", Right: true},
		render.Column{Title: "tenant", Min: 8}, render.Column{Title: "day"},
		render.Column{Title: "blocks", Right: true}, render.Column{Title: "bytes", Right: true},
		render.Column{Title: "spans", Right: true, Drop: 2}, render.Column{Title: "why", Min: 16, Drop: 1})
	sum := upkeep.Amount{}
	for _, d := range days {
		in := "now"
		if left := d.goes.Sub(s.At); left > 0 {
			in = render.Duration(left)
		}
		t.Row(render.Time(d.goes), in, d.tenant, d.day,
			fmt.Sprint(d.Blocks), render.Bytes(d.Bytes), fmt.Sprint(d.Spans), d.why)
		sum.Blocks, sum.Bytes, sum.Spans = sum.Blocks+d.Blocks, sum.Bytes+d.Bytes, sum.Spans+d.Spans
	}
	t.Footer(render.Count(len(days), "day", "days"), "", "", "",
		fmt.Sprint(sum.Blocks), render.Bytes(sum.Bytes), fmt.Sprint(sum.Spans))
	t.Print()
	if len(days) == 0 {
		p.Linef("no block goes")
	}
}
