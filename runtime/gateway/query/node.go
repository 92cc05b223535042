package query

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"sync"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
)

// NodeStatus is what a node says of itself to one who asks for some tenants.
type NodeStatus struct {
	Partitions []PartitionStatus
	Version    uint64 // of the catalog
	Blocks     []*blocks.BlockMeta
	Gaps       int
	SetAside   int // ranges of records in no block
	Queries    []jobs.QueryStatus
	Memory     int64 // bytes that the process has
	Limit      int64 // bytes that it is to have at most
}

// PartitionStatus is how far one partition of the log is read.
type PartitionStatus struct {
	Partition     int32
	Covered, Head int64         // offsets; Head is 0 where the live-store does not answer
	Lag           time.Duration // since what was read arrived; negative: not known
	Spans         int64         // of the tenants, in [Covered, Head)
	Trouble       string        // why it is not read on, or its live-store does not answer
}

// statusTimeout is how long a live-store may take to say how far it has read.
const statusTimeout = 3 * time.Second

// DescribeNode says how far the log is read, which blocks the tenants have, and what runs. Errors:
// Unavailable where the catalog does not answer.
func (s *Service) DescribeNode(ctx context.Context, tenants []string) (*NodeStatus, error) {
	view, err := s.currentView(ctx)
	if err != nil {
		return nil, err
	}
	out := &NodeStatus{
		Version:  view.Version,
		Gaps:     len(view.Gaps),
		SetAside: len(view.SetAside),
		Memory:   processMemory(),
		Limit:    debug.SetMemoryLimit(-1),
	}
	for _, t := range tenants {
		out.Blocks = append(out.Blocks, view.All(t)...)
	}
	out.Partitions = make([]PartitionStatus, len(view.Covered))
	var asked sync.WaitGroup
	for p := range out.Partitions {
		asked.Go(func() { out.Partitions[p] = s.describePartition(ctx, tenants, view, int32(p)) })
	}
	asked.Wait()
	out.Queries, err = s.ListQueries(ctx, tenants)
	return out, err
}

// ListBlocks returns the blocks of the tenants that hold spans in [start, end), of each tenant the
// newest first, and the version of the catalog that lists them.
func (s *Service) ListBlocks(
	ctx context.Context, tenants []string, start, end uint64,
) (list []*blocks.BlockMeta, version uint64, err error) {
	view, err := s.currentView(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, t := range tenants {
		list = append(list, view.Blocks(t, start, end)...)
	}
	return list, view.Version, nil
}

func (s *Service) currentView(ctx context.Context) (*catalog.View, error) {
	to, err := s.Directory.Find(kinds.BackendScheduler, "")
	if err != nil {
		return nil, err
	}
	return ask.Ask[*catalog.View](ctx, s.Asker, to, &jobs.ViewJob{})
}

// describePartition asks the live-store of a partition how far it has read.
func (s *Service) describePartition(
	ctx context.Context, tenants []string, view *catalog.View, p int32,
) PartitionStatus {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	out := PartitionStatus{Partition: p, Covered: view.Covered[p], Lag: -1}
	to, err := s.Directory.Find(kinds.LiveStore, strconv.Itoa(int(p)))
	for _, t := range tenants {
		var h *jobs.HomesResult
		if err == nil {
			h, err = ask.Ask[*jobs.HomesResult](ctx, s.Asker, to, &jobs.HomesJob{
				Snapshot: jobs.Snapshot{Version: view.Version, Epoch: view.Epoch},
				Tenant:   t,
				From:     view.Covered[p],
			})
		}
		if err != nil {
			out.Trouble = err.Error()
			return out
		}
		out.Head, out.Trouble = h.UpTo, h.Behind
		if h.Watermark > 0 {
			out.Lag = max(s.Now().Sub(time.Unix(0, h.Watermark)), 0)
		}
		out.Spans += h.Spans
	}
	return out
}

// processMemory is the memory that the process has from the system and has not given back.
func processMemory() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(sample)
	return int64(min(sample[0].Value.Uint64()-sample[1].Value.Uint64(), math.MaxInt64))
}
