package backendscheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// unfinished holds the folders with parts of a block and no meta, and when each was first seen.
// Because the meta of a block is written last, such a block is being written, or its writer has
// ended.
type unfinished map[string]time.Time

// sweepJob looks for blocks that are not in the catalog and can never be.
type sweepJob struct {
	known   *catalog.Orphans
	expired []string // folders that had no meta for longer than any build may take, sorted
}

// swept is the end of a sweep.
type swept struct {
	unfinished []string // folders without a meta
	removed    []string // folders of whole blocks
	strays     []string // folders without a meta that were removed
	err        error
}

func (s *state) onSweepTick(now time.Time) step {
	if s.ledger == nil {
		s.keeping.shown.sweep.Next = now.Add(s.cfg.SweepInterval).UTC()
		return step{after: ticks{sweep: s.cfg.SweepInterval}}
	}
	s.keeping.shown.sweep.Began = now.UTC()
	m := &sweepJob{known: s.ledger.catalog.Orphans()}
	for folder, since := range s.unfinished {
		if now.Sub(since) >= s.cfg.SweepGrace {
			m.expired = append(m.expired, folder)
		}
	}
	slices.Sort(m.expired)
	return step{sweep: m}
}

func (s *state) onSwept(now time.Time, m swept) (st step) {
	s.keeping.shown.noteSwept(now, m, s.cfg.SweepInterval)
	if m.err != nil {
		st.addLine(slog.LevelWarn, "look for blocks that are not in the catalog", "err", m.err)
	} else {
		seen := unfinished{}
		for _, folder := range m.unfinished {
			seen[folder] = now
			if since, ok := s.unfinished[folder]; ok {
				seen[folder] = since
			}
		}
		s.unfinished = seen
	}
	if len(m.removed)+len(m.strays) > 0 {
		st.addLine(slog.LevelInfo, "blocks that are not in the catalog removed",
			"blocks", m.removed, "unfinished", m.strays)
	}
	st.after.sweep = s.cfg.SweepInterval
	return st
}

// folder is the content of one block's folder.
type folder struct {
	name    string // tenant/id/
	objects []string
	hasMeta bool
	foreign bool // it holds objects that are no parts of a block
}

// sweepBucket looks at every folder of the bucket, and removes those of blocks that the catalog
// does not list and never can.
func (d Deps) sweepBucket(ctx context.Context, job *sweepJob) (out swept) {
	var at folder
	endFolder := func() error {
		defer func() { at = folder{} }()
		return d.sweepFolder(ctx, job, at, &out)
	}
	out.err = d.Bucket.List(ctx, "", func(o objstore.Info) error {
		n, ok := blockstore.ParseObjectName(o.Name)
		if !ok {
			return nil
		}
		if name := n.Folder(); name != at.name {
			if err := endFolder(); err != nil {
				return err
			}
			at.name = name
		}
		at.objects = append(at.objects, o.Name)
		switch {
		case n.Object == block.MetaObject:
			at.hasMeta = true
		case !slices.Contains(block.PartNames(), n.Object): // the folder is not ours
			at.foreign = true
		}
		return nil
	})
	out.err = errors.Join(out.err, endFolder())
	d.Metrics.swept.Add(float64(len(out.removed)))
	d.Metrics.strays.Add(float64(len(out.strays)))
	return out
}

// sweepFolder removes a folder of which the catalog will never list the block, and notes the folder
// in out.
func (d Deps) sweepFolder(ctx context.Context, job *sweepJob, f folder, out *swept) error {
	id := strings.TrimSuffix(f.name[strings.Index(f.name, "/")+1:], "/")
	switch {
	case f.name == "" || f.foreign || job.known.Known(id):
		return nil
	case !f.hasMeta && !slices.Contains(job.expired, f.name):
		out.unfinished = append(out.unfinished, f.name)
		return nil
	case !f.hasMeta:
		out.strays = append(out.strays, f.name)
	default:
		dead, err := d.isDead(ctx, job.known, f.name, id)
		if err != nil || !dead {
			return err
		}
		out.removed = append(out.removed, f.name)
	}
	return d.removeFolder(ctx, f)
}

// isDead reports whether the catalog can never list the block in the folder, by its meta. A meta
// that is not there any more, or is not of this block, is left alone.
func (d Deps) isDead(ctx context.Context, known *catalog.Orphans, folder, id string) (bool, error) {
	raw, err := d.Bucket.Read(ctx, folder+block.MetaObject, blockstore.MaxMeta)
	if errors.Is(err, objstore.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var m block.Meta
	if json.Unmarshal(raw, &m) != nil || m.ID != id {
		return false, nil
	}
	return known.Dead(jobs.CatalogMeta(&m, nil)), nil
}

// removeFolder removes the objects of a folder, the meta first: a catalog that is made anew from
// the metas must not list a block of which a part is gone. When it is cut short, the folder is one
// without a meta, which a later sweep removes.
func (d Deps) removeFolder(ctx context.Context, f folder) error {
	meta := f.name + block.MetaObject
	names := slices.DeleteFunc(f.objects, func(name string) bool { return name == meta })
	if f.hasMeta {
		names = append([]string{meta}, names...)
	}
	for _, name := range names {
		if err := d.Bucket.Delete(ctx, name); err != nil {
			return fmt.Errorf("remove what is not in the catalog: %w", err)
		}
	}
	return nil
}
