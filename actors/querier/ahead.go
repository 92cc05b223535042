package querier

import (
	"cmp"
	"context"
	"math"
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

// The index of a block is opened as soon as the catalog names the block, so that the first query
// after a start, or after a cut, does not wait for it.

// openingAhead is what has been opened ahead. Of a question to the backend-scheduler and the opening that
// follows, one is under way at most.
type openingAhead struct {
	announced uint64          // of the catalog, the newest that was announced
	asked     uint64          // of the catalog, the newest that was asked for
	known     map[string]bool // its blocks
	busy      bool
}

type (
	viewAnswered struct{ view *catalog.View } // nil: not answered; the next announcement asks again
	blocksOpened struct{}
)

// askForView asks for the newest catalog.
func (a *Actor) askForView(c actor.Context) {
	if a.ahead.busy {
		return
	}
	a.ahead.busy, a.ahead.asked = true, a.ahead.announced
	r := ask.Request{Kind: kinds.BackendScheduler, Message: &jobs.ViewJob{AtLeast: a.ahead.announced}, Timeout: 30 * time.Second}
	ask.Send(context.Background(), c, a.deps.Directory, r, func(v *catalog.View, _ error) any { return viewAnswered{view: v} })
}

func (a *Actor) onAnnounced(c actor.Context, version uint64) {
	if a.ahead.announced = max(a.ahead.announced, version); version > a.ahead.asked {
		a.askForView(c)
	}
}

func (a *Actor) onViewed(c actor.Context, m viewAnswered) {
	if m.view == nil {
		a.ahead.busy, a.ahead.asked = false, 0
		return
	}
	list := a.ahead.takeNewBlocks(m.view)
	if len(list) == 0 {
		a.onOpened(c)
		return
	}
	a.deps.IO.Go(c, context.Background(), func(ctx context.Context) any {
		a.deps.openAhead(ctx, list)
		return blocksOpened{}
	}, func(error) any { return blocksOpened{} })
}

func (a *Actor) onOpened(c actor.Context) {
	a.ahead.busy = false
	if a.ahead.announced > a.ahead.asked {
		a.askForView(c)
	}
}

// takeNewBlocks returns the view's blocks that are new, newest first.
func (a *openingAhead) takeNewBlocks(v *catalog.View) (list []*blocks.BlockMeta) {
	seen := make(map[string]bool, v.Count())
	for _, tenant := range v.Tenants() {
		for _, m := range v.Blocks(tenant, 0, math.MaxUint64) {
			name := blockstore.Key(m.GetTenant(), m.GetId())
			if seen[name] = true; !a.known[name] {
				list = append(list, m)
			}
		}
	}
	slices.SortFunc(list, func(a, b *blocks.BlockMeta) int {
		return cmp.Or(cmp.Compare(b.GetMaxEndUnixNano(), a.GetMaxEndUnixNano()), cmp.Compare(a.GetId(), b.GetId()))
	})
	a.known, a.asked = seen, max(a.asked, v.Version)
	return list
}

// openAhead opens the first of the blocks, which come newest first, until their indexes fill
// d.Ahead bytes. One that cannot be opened is left to the query that needs it, which says so.
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
