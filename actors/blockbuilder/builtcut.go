package blockbuilder

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
)

// builtCut is a cut whose blocks are durable. Where they share traces with other blocks is true of
// one version of the catalog. If that version is too old when the cut is to be published, the
// blocks stay, and only what the catalog lists since is looked in.
type builtCut struct {
	publish *blocks.PublishCut
	job     *buildJob
	tenants []tenantBlock
	looks   int // how often other homes were to be looked for again
}

// tenantBlock is what a build makes of one tenant.
type tenantBlock struct {
	meta    *blocks.BlockMeta
	sharing *sharing
	waited  storageTime
}

// lookJob has other homes of a built cut looked for again, in a newer version of the catalog.
type lookJob struct {
	built   *builtCut // nobody else touches it meanwhile
	view    *catalog.View
	lenient bool
}

// isUnsettled reports whether a block was gone in which other homes were to be looked for: what has
// replaced it is in a newer version of the catalog.
func (c *builtCut) isUnsettled() bool {
	return slices.ContainsFunc(c.tenants, func(t tenantBlock) bool { return len(t.sharing.gone) > 0 })
}

// lostBlocks returns the blocks that are gone or damaged although the catalog lists them.
func (c *builtCut) lostBlocks() map[string]bool {
	lost := map[string]bool{}
	maps.Copy(lost, c.job.lost)
	for _, t := range c.tenants {
		maps.Copy(lost, t.sharing.lost)
	}
	return lost
}

// lookAgain looks for other homes of a built cut in the blocks that were not looked in yet, and
// returns the cut as it is published then. Homes that are no longer live are left out: what has
// replaced them is looked in.
func lookAgain(ctx context.Context, d Deps, cfg Config, j *lookJob) (*builtCut, error) {
	job := *j.built.job
	job.view, job.lenient = j.view, j.lenient
	b := &cutBuild{deps: d, cfg: cfg, job: &job}
	out := *j.built
	out.job = &job
	return b.withinTime(ctx, func(ctx context.Context) (*builtCut, error) {
		err := work.Each(ctx, d.Writers, len(out.tenants), func(ctx context.Context, _, i int) error {
			t := &out.tenants[i]
			t.waited = storageTime{}
			t.sharing.dropHomes(j.view.Blocks(t.meta.GetTenant(), 0, math.MaxUint64))
			return b.findShared(ctx, t)
		})
		for i := range out.tenants {
			b.waited.sum += out.tenants[i].waited.sum
		}
		if err == nil {
			err = b.listShared(&out)
		}
		return &out, err
	})
}

// listShared makes the message that publishes a cut anew, with the traces that its blocks share
// with others in the view of the job. Messages that were sent stay as they are.
func (b *cutBuild) listShared(c *builtCut) error {
	was := c.publish
	c.publish = &blocks.PublishCut{
		Epoch:       was.GetEpoch(),
		Partition:   was.GetPartition(),
		From:        was.GetFrom(),
		To:          was.GetTo(),
		Fingerprint: was.GetFingerprint(),
		Blocks:      was.GetBlocks(),
		SetAside:    was.GetSetAside(),
		ViewVersion: b.job.view.Version,
	}
	for _, t := range c.tenants {
		tenant := t.meta.GetTenant()
		if list := t.sharing.message(tenant, b.job.view.Shared(tenant)); list != nil {
			c.publish.SharedTraces = append(c.publish.SharedTraces, list)
		}
	}
	if n := proto.Size(c.publish); n > b.cfg.MaxPublish {
		return fmt.Errorf("%w: a message of %d bytes would publish it", errInput, n)
	}
	return nil
}
