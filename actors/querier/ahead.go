package querier

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
)

// readAhead decides when the indexes of new blocks are opened before a query asks for them, so that
// the first query after a start, or after a cut, does not wait for it. It asks for the catalog and
// then has the new blocks opened; at most one of these is under way at any time.
type readAhead struct {
	announced uint64          // the newest version of the catalog that was announced
	asked     uint64          // the newest version that was asked for or has come
	known     map[string]bool // the blocks of the version that came last, by key
	busy      bool
}

// aheadStep is what readAhead wants done. The zero step does nothing.
type aheadStep struct {
	askView *jobs.ViewJob
	open    []*blocks.BlockMeta // newest first
}

// onStarted asks for the catalog.
func (a *readAhead) onStarted() aheadStep { return a.askForView() }

// onAnnounced takes the version of a catalog that has become durable.
func (a *readAhead) onAnnounced(version uint64) aheadStep {
	a.announced = max(a.announced, version)
	if version <= a.asked {
		return aheadStep{}
	}
	return a.askForView()
}

// onView takes the catalog that was asked for. It is nil where it did not come; then the next
// announcement asks again.
func (a *readAhead) onView(v *catalog.View) aheadStep {
	if v == nil {
		a.busy, a.asked = false, 0
		return aheadStep{}
	}
	if list := a.takeNewBlocks(v); len(list) > 0 {
		return aheadStep{open: list}
	}
	return a.onOpened()
}

// onOpened takes the end of the opening.
func (a *readAhead) onOpened() aheadStep {
	a.busy = false
	if a.announced > a.asked {
		return a.askForView()
	}
	return aheadStep{}
}

// askForView asks for the newest catalog, unless something is under way. Then the end of that asks.
func (a *readAhead) askForView() aheadStep {
	if a.busy {
		return aheadStep{}
	}
	a.busy, a.asked = true, a.announced
	return aheadStep{askView: &jobs.ViewJob{AtLeast: a.announced}}
}

// takeNewBlocks returns the blocks of a catalog that are new, newest first.
func (a *readAhead) takeNewBlocks(v *catalog.View) (list []*blocks.BlockMeta) {
	listed := make(map[string]bool, v.Count())
	for _, tenant := range v.Tenants() {
		for _, m := range v.All(tenant) {
			key := blockstore.Key(m.GetTenant(), m.GetId())
			if listed[key] = true; !a.known[key] {
				list = append(list, m)
			}
		}
	}
	slices.SortFunc(list, func(x, y *blocks.BlockMeta) int {
		return cmp.Or(cmp.Compare(y.GetMaxEndUnixNano(), x.GetMaxEndUnixNano()), cmp.Compare(x.GetId(), y.GetId()))
	})
	a.known, a.asked = listed, max(a.asked, v.Version)
	return list
}

type (
	viewAnswered struct{ view *catalog.View } // nil: it did not come
	blocksOpened struct{}
)

// doAhead carries out a step of the read-ahead.
func (a *Actor) doAhead(c actor.Context, s aheadStep) {
	if s.askView != nil {
		r := ask.Request{Kind: kinds.BackendScheduler, Message: s.askView, Timeout: 30 * time.Second}
		ask.Send(context.Background(), c, a.deps.Directory, r, func(v *catalog.View, _ error) any {
			return viewAnswered{view: v}
		})
	}
	if len(s.open) > 0 {
		a.deps.IO.Go(c, context.Background(), func(ctx context.Context) any {
			a.deps.openAhead(ctx, s.open)
			return blocksOpened{}
		}, func(error) any { return blocksOpened{} })
	}
}

// openAhead opens blocks in their order until their indexes fill d.Ahead bytes. A block that cannot
// be opened is left to the query that needs it, whose answer names it.
func (d Deps) openAhead(ctx context.Context, list []*blocks.BlockMeta) {
	bytes := int64(0)
	for _, m := range list {
		if bytes >= d.Ahead || ctx.Err() != nil {
			return
		}
		if b, err := d.Blocks.Open(ctx, m); err == nil {
			bytes += b.Memory()
		}
	}
}
