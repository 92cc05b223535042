package blockbuilder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// findShared lists the traces of a new block that have another home within the window.
//
// A block that cannot be read must not keep new ones from being made. One that is damaged or gone
// is passed over, because nothing of it is in an answer. One that could not be read in several
// attempts is taken to have every trace that it may have.
func (b *cutBuild) findShared(
	ctx context.Context, m *blocks.BlockMeta, traces []block.TraceExtent,
) ([]*blocks.SharedTrace, error) {
	window := jobs.Range{Start: m.GetMinStartUnixNano(), End: m.GetMaxEndUnixNano()}.Widen(b.cfg.SharedWindow)
	asked := make([]trace.ID, len(traces))
	for i, x := range traces {
		asked[i] = x.ID
	}
	found := map[trace.ID]*blocks.SharedTrace{}
	for _, other := range b.job.view.Blocks(m.GetTenant(), window.Start, window.End) {
		if !jobs.MayShare(other, m.GetPartition(), m.GetParts()) {
			continue
		}
		common, err := findCommon(ctx, b.deps.Blocks, other, traces, asked)
		damaged := errors.Is(err, block.ErrCorrupt) || errors.Is(err, objstore.ErrNotFound)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && !damaged && !b.job.lenient:
			return nil, fmt.Errorf("block %s: %w", other.GetId(), err)
		case err != nil:
			b.deps.Metrics.unread.Inc()
			b.deps.Logger.Error("block cannot be read; which of the new traces lie in it too is not known",
				"kind", kinds.BlockBuilder, "tenant", m.GetTenant(), "partition", b.job.partition,
				"block", other.GetId(), "err", err)
			if common = nil; !damaged {
				common = possibleTraces(other, traces)
			}
		}
		for _, x := range common {
			addShared(found, m, other, x)
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b *blocks.SharedTrace) int {
		return bytes.Compare(a.GetTraceId(), b.GetTraceId())
	}), nil
}

// addShared notes that another block has a trace of block m, with the extent of both parts.
func addShared(found map[trace.ID]*blocks.SharedTrace, m, other *blocks.BlockMeta, x block.TraceExtent) {
	st := found[x.ID]
	if st == nil {
		st = &blocks.SharedTrace{
			Tenant:        m.GetTenant(),
			TraceId:       bytes.Clone(x.ID[:]),
			StartUnixNano: x.Start,
			EndUnixNano:   x.End,
			Homes:         []string{m.GetId()},
		}
		found[x.ID] = st
	}
	st.StartUnixNano, st.EndUnixNano = min(st.StartUnixNano, x.Start), max(st.EndUnixNano, x.End)
	st.Homes = append(st.Homes, other.GetId())
}

// possibleTraces returns the traces that a block which cannot be read may have.
func possibleTraces(other *blocks.BlockMeta, traces []block.TraceExtent) []block.TraceExtent {
	cannotHold := func(x block.TraceExtent) bool { return !jobs.MayHold(other, x.ID) }
	return slices.DeleteFunc(slices.Clone(traces), cannotHold)
}

// findCommon returns the traces of the new block that the other block has as well, with the extent
// of both parts. asked are the ids of the traces.
func findCommon(
	ctx context.Context, opener blockstore.Opener, other *blocks.BlockMeta,
	traces []block.TraceExtent, asked []trace.ID,
) ([]block.TraceExtent, error) {
	found, err := blockstore.FindTraces(ctx, opener, other, asked)
	if err != nil {
		return nil, err
	}
	var out []block.TraceExtent
	for _, f := range found.List {
		there, err := f.Extent(ctx)
		if err != nil {
			return nil, err
		}
		here := traces[f.Asked]
		out = append(out, block.TraceExtent{
			ID:    here.ID,
			Start: min(here.Start, there.Start),
			End:   max(here.End, there.End),
		})
	}
	return out, nil
}
