package backendscheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// orphans are the folders with parts of a block and no meta, and when each was first seen. A
// block's meta is written last: such a block is being written, or its writer has ended.
type orphans map[string]time.Time

// swept is the end of a sweep.
type swept struct {
	unfinished []string // folders without a meta
	removed    []string // blocks
	strays     []string // folders without a meta that were removed
	err        error
}

// partNames are the objects of a block besides its meta. A folder that holds others is not ours.
var partNames = []string{block.SpansObject, block.EventsObject, block.LinksObject}

// sweep removes the objects of blocks that are not in the catalog and never will be.
func (a *Actor) sweep(c actor.Context) {
	if a.state == nil {
		a.sweepLater(c)
		return
	}
	known, now := a.state.catalog.Orphans(), a.deps.Clock.Now()
	var old []string
	for folder, since := range a.orphans {
		if now.Sub(since) >= a.cfg.SweepGrace {
			old = append(old, folder)
		}
	}
	slices.Sort(old)
	a.deps.IO.Go(c, context.Background(), func(ctx context.Context) any { return a.deps.sweep(ctx, known, old) },
		func(err error) any { return swept{err: err} })
}

func (a *Actor) sweepLater(c actor.Context) {
	work.After(c, a.deps.Clock, a.cfg.SweepInterval, sweepTick{})
}

func (a *Actor) onSwept(c actor.Context, m swept) {
	if m.err != nil {
		a.log.Warn("look for blocks that are not in the catalog", "err", m.err)
	} else {
		now, seen := a.deps.Clock.Now(), orphans{}
		for _, folder := range m.unfinished {
			seen[folder] = now
			if since, ok := a.orphans[folder]; ok {
				seen[folder] = since
			}
		}
		a.orphans = seen
	}
	a.deps.Metrics.swept.Add(float64(len(m.removed)))
	a.deps.Metrics.strays.Add(float64(len(m.strays)))
	if n := len(m.removed) + len(m.strays); n > 0 {
		a.log.Info("blocks that are not in the catalog removed", "blocks", m.removed, "unfinished", m.strays)
	}
	a.sweepLater(c)
}

// folder is what lies in the folder of one block.
type folder struct {
	name    string // tenant/id/
	objects []string
	meta    bool
	foreign bool
}

// sweep looks at every folder of the bucket that holds objects of a block and nothing else. old are
// those that had no meta for longer than any build may take.
func (d Deps) sweep(ctx context.Context, known *catalog.Orphans, old []string) (out swept) {
	var at folder
	end := func() error {
		defer func() { at = folder{} }()
		return d.judge(ctx, known, old, at, &out)
	}
	out.err = d.Bucket.List(ctx, "", func(o objstore.Info) error {
		n, ok := blockstore.ParseObjectName(o.Name)
		if !ok {
			return nil
		}
		if name := n.Folder(); name != at.name {
			if err := end(); err != nil {
				return err
			}
			at.name = name
		}
		at.objects = append(at.objects, o.Name)
		switch {
		case n.Object == block.MetaObject:
			at.meta = true
		case !slices.Contains(partNames, n.Object):
			at.foreign = true
		}
		return nil
	})
	out.err = errors.Join(out.err, end())
	return out
}

// judge removes a folder, or not. The meta goes last: a removal that is cut short is judged the
// same again.
func (d Deps) judge(ctx context.Context, known *catalog.Orphans, old []string, f folder, out *swept) error {
	id := strings.TrimSuffix(f.name[strings.Index(f.name, "/")+1:], "/")
	switch {
	case f.name == "" || f.foreign || known.Known(id):
		return nil
	case !f.meta && !slices.Contains(old, f.name):
		out.unfinished = append(out.unfinished, f.name)
		return nil
	case !f.meta:
		out.strays = append(out.strays, f.name)
	default:
		raw, err := d.Bucket.Read(ctx, f.name+block.MetaObject, blockstore.MaxMeta)
		if errors.Is(err, objstore.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		var m block.Meta
		if json.Unmarshal(raw, &m) != nil || m.ID != id || !known.Dead(jobs.CatalogMeta(&m, nil)) {
			return nil
		}
		out.removed = append(out.removed, f.name)
	}
	slices.SortFunc(f.objects, func(a, b string) int {
		switch {
		case strings.HasSuffix(a, block.MetaObject):
			return 1
		case strings.HasSuffix(b, block.MetaObject):
			return -1
		}
		return strings.Compare(a, b)
	})
	for _, o := range f.objects {
		if err := d.Bucket.Delete(ctx, o); err != nil {
			return fmt.Errorf("remove what is not in the catalog: %w", err)
		}
	}
	return nil
}
