package jobs

import (
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// NextMergeJob is a backend-worker's question to the backend-scheduler for work. It is answered
// with a MergeLease. A worker that asks again, because an answer was lost or because it has
// restarted, gets the lease that it has already.
type NextMergeJob struct{ Worker string }

// MergeLease gives blocks to a worker, which merges them to one. The zero value means that no merge
// is due.
type MergeLease struct {
	Lease  string
	Tenant string
	Inputs []*blocks.BlockMeta // in the order in which the output's ranges are named
	Level  int                 // of the output
}

// MergeBeat tells the backend-scheduler that a worker is at work under a lease. It is answered with
// a MergeReply. A lease of which nothing is heard for a minute is closed.
type MergeBeat struct{ Lease string }

// MergeDone ends a lease: with the merged block, whose objects are durable, or with the reason why
// there is none. It is answered with a MergeReply once that is durable. It may be repeated.
type MergeDone struct {
	Lease   string
	Output  *blocks.BlockMeta // nil: the merge has failed
	Failure string
	Damaged []string      // the inputs because of which it has failed, as far as that is known
	Passing bool          // it is no fault of the blocks: the store has failed, or the worker was stopped
	Rest    time.Duration // of the worker, before it asks again
}

// MergeReply answers MergeBeat and MergeDone.
type MergeReply struct {
	Valid  bool   // the lease is open; of MergeDone: the block is in the catalog
	Reason string // why it is not
}
