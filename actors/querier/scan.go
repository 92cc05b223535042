package querier

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/extract"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// knownResult returns the result of a job, if those of all its row groups are known; else nil. Such
// a job needs no pool.
func (d Deps) knownResult(m *jobs.BlockScanJob) *jobs.ScanResult {
	if m.Explain {
		return nil
	}
	groups, ok := d.Cache.Peek(blockKey(m.Block))
	if !ok {
		return nil
	}
	s := newBlockScan(d, m)
	from, to := m.RowGroups(groups.groups)
	for g := to - 1; g >= from; g-- {
		r, ok := s.knownGroup(d, g)
		if !ok {
			return nil
		}
		s.result.CacheHits++
		if s.addGroup(r) {
			break
		}
	}
	return s.result
}

// scanBlock evaluates a job over the row groups of its block, newest first, and keeps the result of
// each row group.
func (d Deps) scanBlock(ctx context.Context, m *jobs.BlockScanJob) (*jobs.ScanResult, error) {
	b, err := d.Blocks.Open(ctx, m.Block)
	if err != nil {
		return nil, classify(err)
	}
	reader := b.Reader()
	tables := reader.Tables()
	d.Cache.Put(blockKey(m.Block), KnownResult{groups: len(tables)}, 128)
	s := newBlockScan(d, m)
	leftOut := m.Shared.LeftOutOf(m.Block)
	from, to := m.RowGroups(len(tables))
	for g := to - 1; g >= from; g-- {
		r, ok := s.knownGroup(d, g)
		if ok {
			s.result.CacheHits++
		} else {
			before := reader.Stats().Bytes
			res, err := jobs.RunScan(ctx, tables[g:g+1], s.scan, leftOut)
			if err != nil {
				return nil, classify(err)
			}
			r = KnownResult{partial: res.Partial, oldest: oldestStart(tables[g]), newer: s.newer}
			s.result.Bytes += reader.Stats().Bytes - before
			s.result.Spans += int64(tables[g].Rows())
			d.Cache.Put(s.groupKey(g), r, res.Partial.Size()+int64(len(s.key))+256)
		}
		if s.addGroup(r) {
			break
		}
	}
	if m.Explain {
		s.result.Read = readsOf(reader)
	}
	return s.result, nil
}

// readsOf returns what a reader has read.
func readsOf(r *block.Reader) *jobs.BlockReads {
	st := r.Stats()
	out := &jobs.BlockReads{Reads: st.Reads, Waves: st.Waves, Bytes: st.Bytes}
	for _, c := range r.Columns() {
		out.Columns = append(out.Columns, jobs.ColumnRead(c))
	}
	return out
}

// KnownResult is the result of a scan of one row group. For a block it is the number of its row
// groups, and nothing else. It never changes.
type KnownResult struct {
	partial jobs.Partial
	newer   uint64 // traces that start before it were left out
	oldest  uint64 // the start of the row group's first trace; 0: not known
	groups  int
}

// blockScan is one job under way.
type blockScan struct {
	job *jobs.BlockScanJob
	// scan is the job's scan with its range clipped to the block, so that queries whose ranges
	// differ only elsewhere are the same here. It narrows as traces are found.
	scan        jobs.Scan
	key         string // begins the names of the results in the cache
	newer       uint64 // traces that start before it are not wanted
	groupsAdded int
	result      *jobs.ScanResult
}

func newBlockScan(d Deps, m *jobs.BlockScanJob) *blockScan {
	s := &blockScan{job: m, scan: m.Scan.ClippedTo(m.Block), result: &jobs.ScanResult{}}
	if s.scan.Search != nil {
		s.newer = s.scan.Search.Newer
	}
	start, end := s.scan.Range()
	s.key = blockKey(m.Block) + " " + strconv.FormatUint(m.Print, 36) + " " +
		strconv.FormatUint(start, 36) + " " + strconv.FormatUint(end, 36) + " " + m.Key + " "
	return s
}

func (s *blockScan) groupKey(group int) string { return s.key + strconv.Itoa(group) }

// blockKey names the number of row groups of a block in the cache.
func blockKey(m *blocks.BlockMeta) string { return blockstore.Key(m.GetTenant(), m.GetId()) }

// knownGroup returns the known result of a row group, if it holds all that is wanted.
func (s *blockScan) knownGroup(d Deps, group int) (KnownResult, bool) {
	r, ok := d.Cache.Peek(s.groupKey(group))
	return r, ok && r.newer <= s.newer && !s.job.Explain
}

// addGroup adds the result of a row group. It reports whether the row groups before it, which are
// older, cannot add anything.
func (s *blockScan) addGroup(r KnownResult) bool {
	switch s.groupsAdded++; s.groupsAdded {
	case 1:
		s.result.Partial = r.partial // shared with the cache, so it must not be changed
	case 2:
		s.result.Partial = s.result.Partial.Clone(s.job.Scan)
		fallthrough
	default:
		s.result.Partial.Merge(r.partial, s.job.Scan)
	}
	s.result.Oldest = r.oldest
	if s.job.Scan.Search == nil {
		return false
	}
	floor := s.result.Partial.Floor(s.job.Scan.Search.Limit)
	if floor == 0 {
		return false
	}
	s.scan = s.scan.Since(floor)
	s.newer = s.scan.Search.Newer
	return r.oldest > 0 && r.oldest < floor
}

// oldestStart returns the start of a row group's first trace, where it is known without a read;
// else 0. Traces are in the order of their starts.
func oldestStart(t column.Table) uint64 {
	h, ok := t.(column.Hinter)
	if !ok || !t.TimeOrdered() {
		return 0
	}
	lo, _, ok := h.Bounds(column.Start, 0)
	if !ok {
		return 0
	}
	return uint64(lo)
}

// readTraces takes columns of traces out of blocks. A block that cannot be read is named in the
// result and does not hide the others.
func (d Deps) readTraces(ctx context.Context, m *jobs.BlockTracesJob) (*jobs.TracesResult, error) {
	out := &jobs.TracesResult{}
	for _, meta := range m.Blocks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		one, err := d.readTracesOf(ctx, meta, &m.TracesAsk)
		switch {
		case err == nil:
			out.Extracts, out.Bytes = append(out.Extracts, one.Extracts...), out.Bytes+one.Bytes
		case ctx.Err() != nil:
			return nil, ctx.Err()
		default:
			out.Failed = append(out.Failed, failureOf(meta, err))
		}
	}
	return out, nil
}

// failureOf describes a block that could not be read.
func failureOf(m *blocks.BlockMeta, err error) jobs.BlockFailure {
	return jobs.BlockFailure{Block: m, Class: status.Of(classify(err)).Class.String(), Reason: err.Error()}
}

// readTracesOf takes columns of traces out of one block.
func (d Deps) readTracesOf(
	ctx context.Context, meta *blocks.BlockMeta, ask *jobs.TracesAsk,
) (*jobs.TracesResult, error) {
	ids, places := ask.Wanted()
	list, err := blockstore.FindTraces(ctx, d.Blocks, meta, ids)
	if err != nil {
		return nil, err
	}
	var tables []column.Table
	found := map[column.Table][]extract.Found{}
	for _, f := range list.List {
		if found[f.Table] == nil {
			tables = append(tables, f.Table)
		}
		found[f.Table] = append(found[f.Table], extract.Found{Ordinal: f.Ordinal, Trace: places[f.Asked]})
	}
	out := &jobs.TracesResult{}
	for _, t := range tables {
		if err := out.AddTable(ctx, t, found[t], ask); err != nil {
			return nil, fmt.Errorf("read %d traces: %w", len(found[t]), err)
		}
	}
	out.Bytes = list.BytesRead()
	return out, nil
}

// classify gives the errors of storage and of the engines their class.
func classify(err error) error {
	switch {
	case errors.Is(err, block.ErrCorrupt):
		return status.Errorf(status.Corrupt, "%w", err)
	case errors.Is(err, objstore.ErrNotFound):
		return status.Errorf(status.NotFound, "%w", err)
	case errors.Is(err, eval.ErrLimit):
		return status.Errorf(status.Limited, "%w", err)
	case errors.Is(err, eval.ErrUnsupported):
		return status.Errorf(status.Invalid, "%w", err)
	}
	return err
}
