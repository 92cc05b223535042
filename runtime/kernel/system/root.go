package system

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
)

// root is the supervisor of all kinds. It is an actor, so that spawning, failing, draining and
// stopping have one order.
type root struct {
	system   *System
	shutdown *shutdown // nil until the node drains
}

// The messages to the root supervisor, besides a shutdown.
type (
	spawnCell struct {
		cell *actorCell
		done chan struct{} // closed when it is spawned; nil when nobody waits
	}
	retireCell  struct{ cell *actorCell }
	cellDrained struct {
		cell *actorCell
		err  error
	}
	drainTimedOut struct{ err error }
)

// shutdown is one run of Drain: the kinds of each wave drain together, one wave after the other;
// then the actors stop in the reverse order of their start.
type shutdown struct {
	ctx      context.Context
	waves    [][]*actorCell
	waiting  int           // actors of the present wave that have not drained
	asked    []func(error) // end the questions that are not answered yet
	stopping bool          // the waves are over
	errs     []error
	done     chan struct{} // closed when all is stopped
}

// Receive handles one message to the root, or the end of an actor.
func (r *root) Receive(c actor.Context) {
	defer func() {
		if p := recover(); p != nil {
			r.system.reportFailure(fmt.Errorf("BUG: root supervisor: %v", p))
		}
	}()
	switch m := c.Message().(type) {
	case spawnCell:
		r.onSpawn(c, m)
	case retireCell:
		m.cell.retire()
		c.Stop(m.cell.pid)
	case *shutdown:
		r.shutdown = m
		r.drainNextWave(c)
	case cellDrained:
		r.onDrained(c, m)
	case drainTimedOut:
		r.onTimedOut(c, m.err)
	case *actor.Terminated:
		r.onTerminated(c, m.Who)
	case *actor.Stopped:
		if r.shutdown != nil {
			close(r.shutdown.done)
		}
	}
}

func (r *root) onSpawn(c actor.Context, m spawnCell) {
	if m.done != nil {
		defer close(m.done)
	}
	if r.system.isEnded() {
		r.system.forgetCell(m.cell)
		return
	}
	if _, err := c.SpawnNamed(m.cell.actorProps(), m.cell.name); err != nil {
		r.system.reportFailure(fmt.Errorf("spawn %s: %w", m.cell.name, err))
	}
}

// drainNextWave drains the next kinds, or begins to stop when there are none.
func (r *root) drainNextWave(c actor.Context) {
	d := r.shutdown
	for len(d.waves) > 0 && d.waiting == 0 {
		wave := d.waves[0]
		d.waves = d.waves[1:]
		for _, cell := range wave {
			if st := cell.currentState(); st == stateStopped || st == stateStopping {
				continue
			}
			d.waiting++
			self := c.Self()
			cancel := ask.Begin(d.ctx, r.system.actors, cell.pid, supervise.Drain{}, func(_ any, err error) {
				r.system.actors.Root.Send(self, cellDrained{cell, err})
			})
			d.asked = append(d.asked, cancel)
		}
	}
	if d.waiting == 0 {
		r.stopNext(c)
	}
}

func (r *root) onDrained(c actor.Context, m cellDrained) {
	d := r.shutdown
	if d == nil || d.stopping {
		return
	}
	if m.err != nil {
		d.errs = append(d.errs, fmt.Errorf("drain %s: %w", m.cell.name, m.err))
	}
	d.waiting--
	if d.waiting == 0 {
		r.drainNextWave(c)
	}
}

// onTimedOut goes on to stopping, although actors have not drained.
func (r *root) onTimedOut(c actor.Context, err error) {
	d := r.shutdown
	if d == nil || d.stopping {
		return
	}
	d.errs = append(d.errs, fmt.Errorf("drain: %d actors have not finished: %w", d.waiting, err))
	r.stopNext(c)
	for _, cancel := range d.asked {
		cancel(err)
	}
}

// stopNext stops the actor that was started last, or the root itself when no other is left.
func (r *root) stopNext(c actor.Context) {
	r.shutdown.stopping = true
	r.system.markEnded()
	for _, cell := range slices.Backward(r.system.allCells()) {
		if cell.parent == nil && slices.ContainsFunc(c.Children(), cell.pid.Equal) {
			c.Stop(cell.pid)
			return
		}
	}
	c.Stop(c.Self())
}

// onTerminated notices the end of an actor. An actor that was not told to end has failed, and is
// spawned again as its policy says.
func (r *root) onTerminated(c actor.Context, pid *actor.PID) {
	s := r.system
	cell := s.byPID(pid)
	if r.shutdown != nil && r.shutdown.stopping {
		if cell != nil {
			s.forgetCell(cell)
		}
		r.stopNext(c)
		return
	}
	if cell == nil {
		return
	}
	if cell.isRetired() {
		s.forgetCell(cell)
		return
	}
	d, pause := s.judgeFailure(cell, errors.New("stopped without being told to"))
	if d == supervise.GiveUp {
		s.forgetCell(cell)
		return
	}
	self := c.Self()
	s.opt.Clock.AfterFunc(pause, func() { s.actors.Root.Send(self, spawnCell{cell: cell}) })
}

// strategy is how every supervisor treats its children: by the policy of the kind that failed.
type strategy struct{ system *System }

// HandleFailure starts a failed actor again after its pause, or gives up. The actor's mailbox stays
// suspended meanwhile.
func (t strategy) HandleFailure(_ *actor.ActorSystem, sup actor.Supervisor, child *actor.PID,
	_ *actor.RestartStatistics, reason, message any) {
	s := t.system
	c := s.byPID(child)
	if c == nil {
		sup.StopChildren(child)
		return
	}
	c.endIncarnation()
	d, pause := s.judgeFailure(c, reason)
	switch {
	case d == supervise.AwaitRestart:
	case d == supervise.Restart:
		s.opt.Clock.AfterFunc(pause, func() { sup.RestartChildren(child) })
	case c.parent != nil && c.kind.Policy.Then == supervise.Escalate:
		sup.EscalateFailure(fmt.Errorf("%s gave up: %s", c.name, supervise.Cause(reason)), message)
	default:
		c.retire()
		sup.StopChildren(child)
	}
}

// judgeFailure counts and logs a failure. It returns what happens to the actor, and for a Restart
// the pause before it. An actor of the table that gives up ends the process.
func (s *System) judgeFailure(c *actorCell, reason any) (d supervise.Decision, pause time.Duration) {
	d, count := c.noteFailure(s.opt.Clock.Now(), reason)
	cause := supervise.Cause(reason)
	log := s.opt.Logger.With("kind", c.kind.Name, "key", c.key, "err", cause)
	policy := c.kind.Policy
	switch d {
	case supervise.GiveUp:
		log.Error("actor gives up", "restarts", count-1)
		if c.parent == nil && policy.Then == supervise.Escalate {
			s.reportFailure(fmt.Errorf("%s: failed %d times within %s and is not started again: %s",
				c.name, count, policy.Within, cause))
		}
	case supervise.Restart:
		pause = s.restartPause(policy.Backoff, count)
		c.count.restarts.Inc()
		log.Warn("actor failed and is started again", "failure", count, "after", pause)
	}
	return d, pause
}
