package queryfrontend

import (
	"math"
	"strconv"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
)

// job is one question to another kind, or one assembly on the pool.
type job struct {
	kind, key string
	partition int32 // of live-store jobs
	msg       any
	number    int   // of a job that is sent, for the query
	tries     int   // that found nobody
	spans     int64 // expected to be looked at
}

func liveJob(p int32, msg any) job {
	return job{kind: kinds.LiveStore, key: strconv.Itoa(int(p)), partition: p, msg: msg}
}

// blockJob is keyed by the block, which so comes to the same querier every time.
func blockJob(m *blocks.BlockMeta, msg any) job {
	return job{kind: kinds.Querier, key: m.GetId(), msg: msg}
}

// newest is about where the job's newest span is, as if a block's spans lay evenly in its time: a
// search begins with the newest parts of all blocks, and where these hold enough it does not read
// the others. Live-stores hold what is newer than blocks.
func (j job) newest() uint64 {
	m, ok := j.msg.(*jobs.BlockScanJob)
	if !ok {
		return math.MaxUint64
	}
	start, end := m.Block.GetMinStartUnixNano(), m.Block.GetMaxEndUnixNano()
	return end - (max(end, start)-start)/uint64(m.Parts)*uint64(m.Parts-1-m.Part)
}

// slotted reports whether the job needs a slot: it looks at spans.
func (j job) slotted() bool {
	switch j.msg.(type) {
	case *jobs.ViewJob, *jobs.HomesJob, recallJob:
		return false
	}
	return true
}

// timeout is how long a job may take of the time that is left, so that there is some left to go on
// without it. The catalog is not waited for long where an older version of it is known.
func (j job) timeout(left time.Duration, last bool) time.Duration {
	switch {
	case j.slotted():
		return left * 3 / 4
	case j.kind == kinds.BackendScheduler && last:
		return min(left/3, time.Second)
	}
	return left / 3
}

// cost is what a job is expected to take: what is charged for it until it has ended.
func (j job) cost() time.Duration {
	return 50*time.Microsecond + time.Duration(j.spans)*10*time.Nanosecond
}

// recallJob asks the cache what a batch of traces adds to the answer; it answers a
// *jobs.ScanResult, or unknown.
type recallJob struct{ name string }

type unknown struct{}
