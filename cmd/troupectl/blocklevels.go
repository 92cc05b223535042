package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/compact"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// levelSum is what one level of a tenant holds.
type levelSum struct {
	Tenant   string `json:"tenant"`
	State    string `json:"state"` // live or retired
	Level    int32  `json:"level"`
	Blocks   int    `json:"blocks"`
	Spans    int64  `json:"spans"`
	Bytes    int64  `json:"bytes"`
	Days     int    `json:"days"`     // of arrival, UTC
	FirstDay string `json:"firstDay"` // of the days
	LastDay  string `json:"lastDay"`
	Oldest   uint64 `json:"oldestUnixNano,string"` // start of a span
	Newest   uint64 `json:"newestUnixNano,string"` // end of a span

	days map[int64]bool
}

// addBlock adds a block to the sum.
func (s *levelSum) addBlock(m *blocks.BlockMeta) {
	if s.Blocks == 0 {
		s.Oldest, s.days = m.GetMinStartUnixNano(), map[int64]bool{}
	}
	s.Blocks, s.Spans, s.Bytes = s.Blocks+1, s.Spans+m.GetSpans(), s.Bytes+m.GetBytes()
	s.Oldest, s.Newest = min(s.Oldest, m.GetMinStartUnixNano()), max(s.Newest, m.GetMaxEndUnixNano())
	s.days[compact.DayOf(m)] = true
	days := slices.Sorted(maps.Keys(s.days))
	s.Days, s.FirstDay, s.LastDay = len(days), nameOfDay(days[0]), nameOfDay(days[len(days)-1])
}

func nameOfDay(day int64) string { return compact.EndOfDay(day - 1).Format(time.DateOnly) }

func newBlocksLevels(f *bucketFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "levels",
		Short: "Sum up the blocks by tenant and level",
		Long: `Sum up the blocks that the catalog has, by tenant and level: how many there are, what they hold,
and on how many days it arrived.

Level 0 is the blocks as they were cut or imported; those of level 1 and 2 were merged once and
twice, those of level 3 when their day was over. Retired blocks are no longer in answers, and are
removed after the grace time. Only the catalog is read.`,
		Args:    cobra.NoArgs,
		Example: "  troupectl blocks levels --bucket ./data/blocks",
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, closeBucket, err := openPlace(cmd.Context(), f.path, objstore.ViewLocal)
			if err != nil {
				return err
			}
			defer closeBucket()
			c, err := blockstore.LoadCatalog(cmd.Context(), b)
			if err != nil {
				return fmt.Errorf("%s: %w", noCatalog, err)
			}
			sums := f.sumLevels(c)
			if asJSON {
				for _, s := range sums {
					if err := printJSON(cmd.OutOrStdout(), s); err != nil {
						return err
					}
				}
				return nil
			}
			p, err := f.out.makePrinter(cmd)
			if err != nil {
				return err
			}
			showLevels(p, sums)
			return nil
		},
	}
	addJSON(cmd, &asJSON, "print one JSON object a level, one a line")
	return cmd
}

// sumLevels sums up the blocks of a catalog, by tenant, live ones first, and level.
func (f *bucketFlags) sumLevels(c *catalog.State) []*levelSum {
	type key struct {
		tenant, state string
		level         int32
	}
	byKey := map[key]*levelSum{}
	add := func(m *blocks.BlockMeta, state string) {
		if f.tenant != "" && m.GetTenant() != f.tenant {
			return
		}
		k := key{m.GetTenant(), state, m.GetLevel()}
		s := byKey[k]
		if s == nil {
			s = &levelSum{Tenant: k.tenant, State: state, Level: k.level}
			byKey[k] = s
		}
		s.addBlock(m)
	}
	for _, name := range c.View().Tenants() {
		for _, m := range c.View().Blocks(name, 0, ^uint64(0)) {
			add(m, stateLive)
		}
	}
	for _, r := range c.Retired() {
		add(r.GetBlock(), stateRetired)
	}
	return slices.SortedFunc(maps.Values(byKey), func(a, b *levelSum) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.State, b.State), cmp.Compare(a.Level, b.Level))
	})
}

func showLevels(p *render.Printer, sums []*levelSum) {
	t := p.Table(render.Column{Title: "tenant", Min: 8}, render.Column{Title: "state"},
		render.Column{Title: "level", Right: true}, render.Column{Title: "blocks", Right: true},
		render.Column{Title: "spans", Right: true}, render.Column{Title: "bytes", Right: true},
		render.Column{Title: "B/span", Right: true, Drop: 4}, render.Column{Title: "days", Right: true, Drop: 1},
		render.Column{Title: "first day", Drop: 2}, render.Column{Title: "last day", Drop: 2},
		render.Column{Title: "oldest span", Short: render.ShortMinute, Drop: 3},
		render.Column{Title: "newest span", Short: render.ShortMinute, Drop: 3})
	count, spans, size := 0, int64(0), int64(0)
	for _, s := range sums {
		t.Row(render.Quote(s.Tenant), s.State, fmt.Sprint(s.Level), fmt.Sprint(s.Blocks), fmt.Sprint(s.Spans),
			render.Bytes(s.Bytes), perSpan(s.Bytes, int(s.Spans)), fmt.Sprint(s.Days), s.FirstDay, s.LastDay,
			timeText(s.Oldest), timeText(s.Newest))
		if s.State == stateLive {
			count, spans, size = count+s.Blocks, spans+s.Spans, size+s.Bytes
		}
	}
	t.Footer("live", "", "", fmt.Sprint(count), fmt.Sprint(spans), render.Bytes(size), perSpan(size, int(spans)))
	t.Print()
	if len(sums) == 0 {
		p.Linef("0 blocks")
	}
}
