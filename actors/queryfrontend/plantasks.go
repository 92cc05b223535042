package queryfrontend

import (
	"fmt"
	"strconv"
	"time"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
)

// viewTask reads the catalog.
type viewTask struct {
	lightTask
	*jobs.ViewJob
}

func (t viewTask) actorAddress() (kind, key string) { return kinds.BackendScheduler, "" }
func (t viewTask) jobMessage() any                  { return t.ViewJob }

// timeLimit is short where an older version of the catalog is known.
func (t viewTask) timeLimit(left time.Duration, viewKnown bool) time.Duration {
	if viewKnown {
		return min(left/3, time.Second)
	}
	return left / 3
}

func (t viewTask) takeReply(c *course, reply any) *step {
	view, ok := reply.(*catalog.View)
	if !ok {
		return unexpectedReply(t, reply)
	}
	c.basis.View, c.lastView = view, view
	return nil
}

// takeFailure goes on with an older version of the catalog. It is as exact as the newest: what it
// does not cover is in the live-stores, or they say that it is not. Without any there is no answer.
func (t viewTask) takeFailure(c *course, err error) *step {
	if c.mayUseLastView() {
		c.basis.View = c.lastView
		return nil
	}
	return &step{fail: fmt.Errorf("read catalog: %w", err)}
}

// homesTask asks a live-store which of its traces have another home, and where the query ends in
// its partition.
type homesTask struct {
	lightTask
	*plan.Homes
}

func (t homesTask) actorAddress() (kind, key string) {
	return kinds.LiveStore, strconv.Itoa(int(t.Partition))
}
func (t homesTask) jobMessage() any { return &t.Job }

func (t homesTask) takeReply(c *course, reply any) *step {
	m, ok := reply.(*jobs.HomesResult)
	if !ok {
		return unexpectedReply(t, reply)
	}
	if over := c.noteLiveStore(t.Partition, m.Retained, m.Behind); over != nil {
		return over
	}
	c.basis.Live[m.Partition] = m
	for _, f := range m.Unread {
		if !isGone(f) {
			c.missing.noteUnsearched(f.Block, f)
		} else if over := c.noteUnreadBlock(f.Block, f); over != nil {
			return over
		}
	}
	c.foundOut++
	return nil
}

func (t homesTask) takeFailure(c *course, err error) *step {
	c.missing.notePartition(t.Partition, true, err)
	return nil
}
