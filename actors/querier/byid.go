package querier

import (
	"context"
	"fmt"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
)

// readTrace collects what blocks hold of one trace. A block that cannot be read is named in the
// result and does not hide the others.
func (d Deps) readTrace(ctx context.Context, m *jobs.BlockTraceJob) (*jobs.TraceResult, error) {
	out := &jobs.TraceResult{}
	for _, meta := range m.Blocks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := d.readTraceOf(ctx, meta, m, out); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			out.Failed = append(out.Failed, failureOf(meta, err))
		}
		if out.Long {
			break
		}
	}
	return out, nil
}

// readTraceOf adds what one block holds of the trace, all or nothing.
func (d Deps) readTraceOf(
	ctx context.Context,
	meta *blocks.BlockMeta,
	m *jobs.BlockTraceJob,
	out *jobs.TraceResult,
) error {
	found, err := blockstore.FindTraces(ctx, d.Blocks, meta, []trace.ID{m.ID})
	if err != nil {
		return err
	}
	for _, f := range found.List {
		if err := out.AddTable(ctx, f.Table, f.Ordinal, m.MaxBytes, m.Only); err != nil {
			return fmt.Errorf("read trace: %w", err)
		}
	}
	out.Bytes += found.BytesRead()
	return nil
}

// failuresOf returns the blocks that a job could not read, as its reply names them.
func failuresOf(reply any) []jobs.BlockFailure {
	switch r := reply.(type) {
	case *jobs.TracesResult:
		return r.Failed
	case *jobs.TraceResult:
		return r.Failed
	case *jobs.KeysResult:
		return r.Failed
	}
	return nil
}

// readKeys reads the keys of a trace in blocks. A block that cannot be read is named in the result.
func (d Deps) readKeys(ctx context.Context, m *jobs.BlockKeysJob) (*jobs.KeysResult, error) {
	out := &jobs.KeysResult{}
	for home := m.At.Home; home < len(m.Blocks); home++ {
		more, err := d.readKeysOf(ctx, m, home, out)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			out.Failed = append(out.Failed, failureOf(m.Blocks[home], err))
		} else if !more {
			break
		}
	}
	return out, nil
}

// readKeysOf adds the keys of one block, as far as there is room. It reports whether there is room
// for more.
func (d Deps) readKeysOf(
	ctx context.Context, m *jobs.BlockKeysJob, home int, out *jobs.KeysResult,
) (more bool, err error) {
	found, err := blockstore.FindTraces(ctx, d.Blocks, m.Blocks[home], []trace.ID{m.ID})
	if err != nil {
		return false, err
	}
	more = true
	for _, f := range found.List {
		if more, err = out.AddKeys(ctx, f.Table, f.Ordinal, home, m.KeysWanted); err != nil {
			return false, fmt.Errorf("read keys of trace: %w", err)
		}
	}
	out.Bytes += found.BytesRead()
	return more, nil
}

// readSpans reads rows of the table of a block that holds a trace.
func (d Deps) readSpans(ctx context.Context, m *jobs.BlockSpansJob) (*jobs.SpansResult, error) {
	out := &jobs.SpansResult{}
	found, err := blockstore.FindTraces(ctx, d.Blocks, m.Block, []trace.ID{m.ID})
	if err != nil {
		return nil, classify(err)
	}
	for _, f := range found.List {
		if err := out.AddRows(ctx, f.Table, m.Rows, m.SpansWanted); err != nil {
			return nil, classify(fmt.Errorf("read rows of trace: %w", err))
		}
	}
	out.Bytes += found.BytesRead()
	return out, nil
}
