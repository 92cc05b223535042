package queryfrontend

import (
	"context"
	"fmt"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// job is one piece of a query's work. It waits for a slot, is under way, or waits to be tried
// again.
type job struct {
	task
	number int // identifies the job in its course, over all attempts; 0 until it is sent
	tries  int // how often nobody was found to do it
}

// task is what a job is to do. There is one type for each kind of job, and it knows what jobs of
// its kind cost, how long they may take, and what their end means for the course of the query.
// Tasks that another actor does are askedTasks, those of the pool of the node poolTasks; the cache
// does recallTask.
type task interface {
	// needsSlot reports whether the job needs a slot: it looks at spans.
	needsSlot() bool
	// expectedCost is the slot time that the query is charged until the job has ended.
	expectedCost() time.Duration
	// timeLimit is how long the job may take of the time that is left, so that some is left to go
	// on without it. viewKnown reports that the query could go on with an older catalog.
	timeLimit(left time.Duration, viewKnown bool) time.Duration
	// isCounted reports whether the answer counts the job among its jobs.
	isCounted() bool

	// takeReply takes what the job has found. It returns nil where the course goes on, else the
	// step that takes the place of whatever would follow.
	takeReply(c *course, reply any) (over *step)
	// takeFailure takes the error that the job ended in, and returns what takeReply does. Errors
	// that fail any query (failsQuery) do not come here.
	takeFailure(c *course, err error) (over *step)
	// noteUnread notes that the job has not ended in time, where it reads the one trace that is
	// asked for by its id: the answer is what the others have read of it.
	noteUnread(m *missing, late error)
}

// askedTask is a task that another actor does.
type askedTask interface {
	task
	// actorAddress returns the kind and the key of the actor. A job for a querier has the id of a
	// block for its key: of several queriers each block has its own.
	actorAddress() (kind, key string)
	jobMessage() any
}

// poolTask is a task that the pool of the node does.
type poolTask interface {
	task
	run(ctx context.Context) (any, error)
}

// scanTask is the task of a scan. A search may narrow it or give it up, as other scans find traces.
type scanTask interface {
	task
	// isNeedless reports whether the scan cannot add anything to the answer of a search any more.
	isNeedless(c *course) bool
	// startingSince returns the task of a search without the traces that start before newer.
	startingSince(newer uint64) task
	// describeStep fills in where the scan looks, for a client that asks how its answer is found.
	describeStep(s *jobs.Step)
}

// lightTask has what all tasks have in common that look at no spans.
type lightTask struct{}

func (lightTask) needsSlot() bool                                    { return false }
func (lightTask) expectedCost() time.Duration                        { return costOf(0) }
func (lightTask) timeLimit(left time.Duration, _ bool) time.Duration { return left / 3 }
func (lightTask) isCounted() bool                                    { return false }
func (lightTask) noteUnread(*missing, error)                         {}

// slotTask has what all tasks have in common that look at spans.
type slotTask struct{}

func (slotTask) needsSlot() bool                                    { return true }
func (slotTask) expectedCost() time.Duration                        { return costOf(0) }
func (slotTask) timeLimit(left time.Duration, _ bool) time.Duration { return left * 3 / 4 }
func (slotTask) isCounted() bool                                    { return false }
func (slotTask) noteUnread(*missing, error)                         {}

// costOf is what a job is expected to take that looks at so many spans.
func costOf(spans int64) time.Duration {
	return 50*time.Microsecond + time.Duration(spans)*10*time.Nanosecond
}

// failsQuery reports whether the error of a job is the query's own: a question that is wrong is
// wrong everywhere, and a limit that one scan has hit is the query's.
func failsQuery(t task, err error) bool {
	class := status.Of(err).Class
	return class == status.Invalid || class == status.Limited && t.needsSlot()
}

// unexpectedReply is the end of a query where a job was answered with something else than its kind
// is answered with.
func unexpectedReply(t task, reply any) *step {
	return &step{fail: status.Errorf(status.Internal, "BUG: unexpected reply %T to %T", reply, t)}
}

func liveStoreName(partition int32) string {
	return fmt.Sprintf("live-store of partition %d", partition)
}
