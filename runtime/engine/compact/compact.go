// Package compact plans which blocks of a tenant are merged to one.
//
// A block of a cut is small: merging makes few large blocks of many small ones, so that queries
// open few and the catalog stays small. A span is written at most four times: in its cut, in at
// most two merges of neighbours of one size, and once more when the day is over.
//
// Only blocks of one day meet. The day of a block is that of its arrival, in UTC, so retention
// takes whole blocks. During the day the neighbours of one partition meet, so their traces do too,
// because all spans of a trace arrive in one partition:
//
//	cuts of a partition, in the order of their offsets; the numbers are thousands of spans
//
//	level 0   20 22 19 21   24 20 18 25   20 22
//	           \_________/   \_________/   wait for two more neighbours
//	level 1       82             87
//	                \__ wait for two more of their size
//
// An hour after the day, what is left of it is merged as far as a block may have so many spans;
// partitions with few spans are merged with each other.
//
// The package is pure. The backend-scheduler leases the jobs, and backend-workers do them.
package compact

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// Limits bound merges.
type Limits struct {
	MaxSpans int64 // of a merged block
}

const (
	// fewestInputs and mostInputs bound the inputs of a merge of neighbours during the day. With
	// fewer a span would be written too often, with more it would wait too long.
	fewestInputs = 4
	mostInputs   = 8

	// mostDayInputs bounds the inputs of a merge when the day is over.
	mostDayInputs = 64

	// sizeFactor is how many times as many spans one input may have as another during the day.
	sizeFactor = 4

	// dayLevel is the level of blocks that were merged when their day was over. They are not merged
	// again. Merges of neighbours end two levels below it.
	dayLevel = 3

	// fewSpans is how many spans of a day a partition may have to be merged with other partitions.
	fewSpans = 256 << 10

	// mostRanges bounds the ranges of offsets of a block, of which it has one for each partition.
	mostRanges = 256

	// settleTime is how long after the end of a day its blocks are merged once more. Until then the
	// last cuts of the day are published.
	settleTime = time.Hour
)

// Job is a merge of blocks to one.
type Job struct {
	Inputs []*blocks.BlockMeta // at least two, by epoch, partition and offset
	Day    bool                // of a day that is over
}

// Bytes returns how large the inputs are.
func (j Job) Bytes() (n int64) {
	for _, m := range j.Inputs {
		n += m.GetBytes()
	}
	return n
}

// Level returns the level of the output.
func (j Job) Level() (level int32) {
	if j.Day {
		return dayLevel
	}
	for _, m := range j.Inputs {
		level = max(level, m.GetLevel()+1)
	}
	return level
}

// DayOf returns the day of arrival that a block belongs to, in days since 1970, UTC. A block that
// was cut across midnight belongs to the later day, so that nothing of it goes too early.
func DayOf(m *blocks.BlockMeta) int64 { return DayAt(m.GetMaxArrivalUnixNano()) }

// DayAt returns the day of an arrival in unix ns, in days since 1970, UTC.
func DayAt(arrival int64) int64 { return arrival / int64(24*time.Hour) }

// EndOfDay returns when a day ends.
func EndOfDay(day int64) time.Time { return time.Unix(0, (day+1)*int64(24*time.Hour)).UTC() }

// Plan returns the merges that are due among the live blocks of one tenant, those of the newest day
// first. isTaken reports that a block is being merged or must not be. The order of the list does
// not matter.
func Plan(list []*blocks.BlockMeta, isTaken func(*blocks.BlockMeta) bool, l Limits, now time.Time) (due []Job) {
	for _, d := range splitByDay(list) {
		if now.Before(SettledAt(d.day)) {
			for _, p := range d.partitions {
				due = appendNeighbours(due, p, isTaken, l)
			}
		} else {
			due = appendDay(due, d, isTaken, l)
		}
	}
	return due
}

// dayBlocks are the blocks of one day.
type dayBlocks struct {
	day        int64
	partitions [][]*blocks.BlockMeta // of one epoch and partition each, by offset
}

// splitByDay sorts the blocks into days, newest first, and into partitions.
func splitByDay(list []*blocks.BlockMeta) (days []dayBlocks) {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b *blocks.BlockMeta) int {
		return cmp.Or(
			cmp.Compare(DayOf(b), DayOf(a)),
			strings.Compare(a.GetEpoch(), b.GetEpoch()),
			cmp.Compare(a.GetPartition(), b.GetPartition()),
			cmp.Compare(a.GetFrom(), b.GetFrom()),
			strings.Compare(a.GetId(), b.GetId()),
		)
	})
	for i, m := range list {
		if i == 0 || DayOf(m) != days[len(days)-1].day {
			days = append(days, dayBlocks{day: DayOf(m)})
		}
		d := &days[len(days)-1]
		n := len(d.partitions) - 1
		if n < 0 || !isSamePartition(d.partitions[n][0], m) {
			d.partitions = append(d.partitions, nil)
			n++
		}
		d.partitions[n] = append(d.partitions[n], m)
	}
	return days
}

// appendNeighbours appends the merges of neighbours of a partition that have about the same size.
func appendNeighbours(due []Job, list []*blocks.BlockMeta, isTaken func(*blocks.BlockMeta) bool, l Limits) []Job {
	mergeable := func(m *blocks.BlockMeta) bool { return m.GetLevel() < dayLevel-1 && !isTaken(m) }
	for i := 0; i < len(list); {
		r := run{limits: l, most: mostInputs}
		for k := i; k < len(list) && mergeable(list[k]) && r.isOfSize(list[k]) && r.add(list[k]); k++ {
		}
		if len(r.inputs) < fewestInputs && !(r.full && len(r.inputs) > 1) {
			i++
			continue
		}
		due = append(due, Job{Inputs: r.inputs})
		i += len(r.inputs)
	}
	return due
}

// appendDay appends the merges of what is left of a day that is over.
func appendDay(due []Job, d dayBlocks, isTaken func(*blocks.BlockMeta) bool, l Limits) []Job {
	var few []*blocks.BlockMeta // of partitions with few spans
	for _, p := range d.partitions {
		if spansOf(p) < fewSpans {
			few = append(few, p...)
		} else {
			due = appendPacked(due, p, isTaken, l)
		}
	}
	return appendPacked(due, few, isTaken, l)
}

// appendPacked appends merges of neighbours, each as large as it may be.
func appendPacked(due []Job, list []*blocks.BlockMeta, isTaken func(*blocks.BlockMeta) bool, l Limits) []Job {
	for i := 0; i < len(list); {
		r := run{limits: l, most: mostDayInputs}
		k := i
		for ; k < len(list) && list[k].GetLevel() < dayLevel && !isTaken(list[k]) && r.add(list[k]); k++ {
		}
		if len(r.inputs) > 1 {
			due = append(due, Job{Inputs: r.inputs, Day: true})
		}
		i = max(k, i+1)
	}
	return due
}

func spansOf(list []*blocks.BlockMeta) (n int64) {
	for _, m := range list {
		n += m.GetSpans()
	}
	return n
}

// run is the inputs of a merge while they are chosen.
type run struct {
	limits          Limits
	most            int
	inputs          []*blocks.BlockMeta
	spans           int64
	fewest, largest int64 // spans of one input
	ranges          int
	full            bool // the next block was too large
}

func isSamePartition(a, b *blocks.BlockMeta) bool {
	return a.GetEpoch() == b.GetEpoch() && a.GetPartition() == b.GetPartition()
}

// isOfSize reports whether a block has about as many spans as the others.
func (r *run) isOfSize(m *blocks.BlockMeta) bool {
	n := max(m.GetSpans(), 1)
	return len(r.inputs) == 0 || n <= sizeFactor*r.fewest && sizeFactor*n >= r.largest
}

// add adds a block, if the output may have it too.
func (r *run) add(m *blocks.BlockMeta) bool {
	n := max(m.GetSpans(), 1)
	ranges := r.ranges
	if len(r.inputs) == 0 || !isSamePartition(r.inputs[len(r.inputs)-1], m) {
		ranges++
	}
	r.full = r.spans+n > r.limits.MaxSpans || ranges > mostRanges
	if r.full || len(r.inputs) == r.most {
		return false
	}
	if len(r.inputs) == 0 {
		r.fewest = n
	}
	r.inputs = append(r.inputs, m)
	r.spans, r.ranges = r.spans+n, ranges
	r.fewest, r.largest = min(r.fewest, n), max(r.largest, n)
	return true
}
