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
	s     *System
	drain *drain
}

// What the root supervisor is told.
type (
	spawn struct {
		cell *cell
		done chan struct{} // closed when it is spawned; nil when nobody waits
	}
	retire  struct{ cell *cell }
	drained struct {
		cell *cell
		err  error
	}
	cut struct{ err error }
)

// drain is one run of Drain: the kinds of each wave drain together, one wave after the other; then
// the actors stop in the reverse order of their start.
type drain struct {
	ctx      context.Context
	waves    [][]*cell
	waiting  int
	asked    []func(error) // end the questions that are not answered yet
	stopping bool
	errs     []error
	done     chan struct{}
}

// Receive carries out what the root is told and notices what ends.
func (r *root) Receive(c actor.Context) {
	defer func() {
		if p := recover(); p != nil {
			r.s.fail(fmt.Errorf("BUG: root supervisor: %v", p))
		}
	}()
	switch m := c.Message().(type) {
	case spawn:
		r.spawn(c, m)
	case retire:
		m.cell.retire()
		c.Stop(m.cell.pid)
	case *drain:
		r.drain = m
		r.wave(c)
	case drained:
		if r.drain == nil || r.drain.stopping {
			return
		}
		if m.err != nil {
			r.drain.errs = append(r.drain.errs, fmt.Errorf("drain %s: %w", m.cell.name, m.err))
		}
		if r.drain.waiting--; r.drain.waiting == 0 {
			r.wave(c)
		}
	case cut:
		if r.drain != nil && !r.drain.stopping {
			r.drain.errs = append(r.drain.errs, fmt.Errorf("drain: %d actors have not finished: %w", r.drain.waiting, m.err))
			r.stopNext(c)
			for _, end := range r.drain.asked {
				end(m.err)
			}
		}
	case *actor.Terminated:
		r.terminated(c, m.Who)
	case *actor.Stopped:
		if r.drain != nil {
			close(r.drain.done)
		}
	}
}

func (r *root) spawn(c actor.Context, m spawn) {
	if m.done != nil {
		defer close(m.done)
	}
	if r.s.isEnded() {
		r.s.forget(m.cell)
		return
	}
	if _, err := c.SpawnNamed(m.cell.props(), m.cell.name); err != nil {
		r.s.fail(fmt.Errorf("spawn %s: %w", m.cell.name, err))
	}
}

// wave drains the next kinds, or begins to stop when there are none.
func (r *root) wave(c actor.Context) {
	d := r.drain
	for len(d.waves) > 0 && d.waiting == 0 {
		now := d.waves[0]
		d.waves = d.waves[1:]
		for _, cell := range now {
			if st := cell.is(); st == stateStopped || st == stateStopping {
				continue
			}
			d.waiting++
			self := c.Self()
			d.asked = append(d.asked, ask.Begin(d.ctx, r.s.actors, cell.pid, supervise.Drain{},
				func(_ any, err error) { r.s.actors.Root.Send(self, drained{cell, err}) }))
		}
	}
	if d.waiting == 0 {
		r.stopNext(c)
	}
}

// stopNext stops the actor that was started last; when none is left, the root itself.
func (r *root) stopNext(c actor.Context) {
	r.drain.stopping = true
	r.s.end()
	for _, cell := range slices.Backward(r.s.all()) {
		if cell.parent == nil && slices.ContainsFunc(c.Children(), cell.pid.Equal) {
			c.Stop(cell.pid)
			return
		}
	}
	c.Stop(c.Self())
}

// terminated notices the end of an actor. One that was not told to end has failed, and is spawned
// again as its policy says.
func (r *root) terminated(c actor.Context, pid *actor.PID) {
	s := r.s
	cell := s.byPID(pid)
	if r.drain != nil && r.drain.stopping {
		if cell != nil {
			s.forget(cell)
		}
		r.stopNext(c)
		return
	}
	if cell == nil {
		return
	}
	cell.mu.Lock()
	retired := cell.retired || cell.kind.Policy.Then == supervise.Stop
	cell.mu.Unlock()
	if retired {
		s.forget(cell)
		return
	}
	delay, again := policy{s}.judge(cell, errors.New("stopped without being told to"))
	if !again {
		s.forget(cell)
		return
	}
	self := c.Self()
	s.opt.Clock.AfterFunc(delay, func() { s.actors.Root.Send(self, spawn{cell: cell}) })
}

// policy is the strategy of every supervisor: the declared one of the kind that failed.
type policy struct{ s *System }

// HandleFailure starts a failed actor again after its pause, or gives up. The mailbox stays
// suspended meanwhile.
func (p policy) HandleFailure(_ *actor.ActorSystem, sup actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, message any) {
	c := p.s.byPID(child)
	if c == nil {
		sup.StopChildren(child)
		return
	}
	c.endCurrent()
	delay, again := p.judge(c, reason)
	switch {
	case again && delay < 0: // a restart is on its way
	case again:
		p.s.opt.Clock.AfterFunc(delay, func() { sup.RestartChildren(child) })
	case c.parent != nil && c.kind.Policy.Then == supervise.Escalate:
		sup.EscalateFailure(fmt.Errorf("%s gave up: %s", c.name, supervise.Cause(reason)), message)
	default:
		c.retire()
		sup.StopChildren(child)
	}
}

// judge counts a failure and says whether the actor starts again, and after which pause; negative
// when a start is on its way.
func (p policy) judge(c *cell, reason any) (delay time.Duration, again bool) {
	s := p.s
	n, giveUp, pending, delay := c.onFailure(s.opt.Clock.Now(), reason)
	log := s.opt.Logger.With("kind", c.kind.Name, "key", c.key, "err", supervise.Cause(reason))
	switch {
	case giveUp:
		log.Error("actor gives up", "restarts", n-1)
		if c.parent == nil && c.kind.Policy.Then == supervise.Escalate {
			s.fail(fmt.Errorf("%s: failed %d times within %s and is not started again: %s", c.name, n, c.kind.Policy.Within, supervise.Cause(reason)))
		}
		return 0, false
	case pending:
		return -1, true
	}
	c.mu.Lock()
	c.restarts++
	c.mu.Unlock()
	c.count.restarts.Inc()
	log.Warn("actor failed and is started again", "failure", n, "after", delay)
	return delay, true
}
