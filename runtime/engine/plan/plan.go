// Package plan decides which jobs answer a query. It goes from a version of the catalog, from what
// the live-stores say of the traces they hold, and from the query to a list of jobs: which blocks
// are read, in which parts and in which order; which live parts; and where the parts of a trace
// that has several homes are read. The query-frontend asks for one list after the other as it
// learns more (actors/queryfrontend), and sends the jobs.
//
// The order of the lists of a search:
//
//	PlanHomes      ask each live-store which of its traces have another home
//	PlanScans      scan every home in the range; traces with several homes are left out
//	PlanBatch      choose the next of these traces, and find the blocks that may hold them
//	PlanFragments  read all parts of them
//
// A trace by id needs only the last one.
//
// The package is pure and keeps nothing. The jobs themselves are described in runtime/engine/jobs.
package plan

import (
	"maps"
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Basis is what the jobs of a query are planned on. Planning changes nothing of it.
type Basis struct {
	Query *jobs.Query // its scan has the trace window
	View  *catalog.View
	// Live is what each live-store has answered to its HomesJob, by partition. Partitions that did
	// not answer are absent.
	Live map[int32]*jobs.HomesResult
}

// Homes is a question to the live-store of a partition: which of its traces have another home.
type Homes struct {
	Partition int32
	Job       jobs.HomesJob
}

// Partitions lists all partitions, ascending. Any of them may hold live spans of the query's
// traces.
func (b *Basis) Partitions() []int32 { return slices.Sorted(maps.Keys(b.View.Covered)) }

// PartitionOf returns the partition of a trace's live part.
func (b *Basis) PartitionOf(id trace.ID) int32 {
	return trace.Partition(b.Query.Tenant, id, len(b.View.Covered))
}

// SeenRange is the query's range widened by the trace window of its scan. Spans beyond it take no
// part.
func (b *Basis) SeenRange() jobs.Range { return b.Query.Range.Widen(b.Query.Scan.Window()) }

// AllLive reports whether every live-store has answered its HomesJob.
func (b *Basis) AllLive() bool { return len(b.Live) == len(b.View.Covered) }

// JobSnapshot is what the query is planned on, as jobs for live-stores name it.
func (b *Basis) JobSnapshot() jobs.Snapshot {
	return jobs.Snapshot{Version: b.View.Version, Epoch: b.View.Epoch}
}

// presentCount is the number of partitions that new records are routed by.
func (b *Basis) presentCount() []int32 { return []int32{int32(len(b.View.Covered))} }

// PlanHomes asks the live-store of each partition which of its traces have another home. counts are
// the numbers of partitions that live records were routed by, where MixedCounts has found several;
// nil: the present number, which holds until something else is known. A scan for names or values
// does not depend on homes, so its jobs name no blocks.
func (b *Basis) PlanHomes(counts []int32) []Homes {
	var inWindow []*blocks.BlockMeta
	if b.Query.Scan.JudgesTraces() {
		seen := b.SeenRange()
		inWindow = b.View.Blocks(b.Query.Tenant, seen.Start, seen.End)
	}
	partitions, present := b.Partitions(), b.presentCount()
	out := make([]Homes, len(partitions))
	for i, p := range partitions {
		others := inWindow
		if counts == nil {
			others = slices.DeleteFunc(slices.Clone(inWindow), func(m *blocks.BlockMeta) bool {
				return !jobs.MayShare(m, p, present)
			})
		}
		out[i] = Homes{Partition: p, Job: jobs.HomesJob{
			Snapshot:  b.JobSnapshot(),
			Tenant:    b.Query.Tenant,
			From:      b.View.Covered[p],
			Blocks:    others,
			Repeating: b.Query.Scan.IsSpanwise(),
			Parts:     counts,
		}}
	}
	return out
}

// MixedCounts returns the numbers of partitions that live records were routed by, if they are
// anything but the present number alone; else nil. The parts of a trace may then lie in several
// partitions, and the live-stores must be asked again with these counts.
func (b *Basis) MixedCounts() []int32 {
	var counts []int32
	for _, h := range b.Live {
		counts = append(counts, h.Parts...)
	}
	slices.Sort(counts)
	counts = slices.Compact(counts)
	if len(counts) == 0 || slices.Equal(counts, b.presentCount()) {
		return nil
	}
	return counts
}
