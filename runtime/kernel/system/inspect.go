package system

import (
	"context"
	"time"

	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
)

// Inspect asks an actor for an ActorStatus with its State and Detail. The kernel fills in the rest.
type Inspect struct{}

// ActorStatus is one actor as /status/actors shows it.
type ActorStatus struct {
	Kind, Key string
	// State is the actor's own word. It is "busy" when the actor does not answer, and "restarting"
	// between a failure and the next start.
	State        string
	Detail       map[string]string
	MailboxDepth int64
	Restarts     int64
	LastError    string
	Handled      int64 // messages since the actor was spawned
	Loses        string
	Children     []*ActorStatus
}

// inspectWithin is how long an actor has to answer Inspect, before it is shown as busy.
const inspectWithin = 100 * time.Millisecond

// Inspect returns the tree of actors, in the order of start. An actor that has not answered within
// 100 ms of the call is shown as busy.
func (s *System) Inspect(ctx context.Context) []*ActorStatus {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := s.opt.Clock.AfterFunc(inspectWithin, cancel)
	defer timer.Stop()

	cells := s.allCells()
	type answer struct {
		reply any
		done  chan struct{}
		end   func(error)
	}
	answers := make([]*answer, len(cells))
	for i, c := range cells {
		if c.currentState() != stateRunning {
			continue
		}
		a := &answer{done: make(chan struct{})}
		answers[i] = a
		a.end = ask.Begin(ctx, s.actors, c.pid, Inspect{}, func(reply any, _ error) {
			a.reply = reply
			close(a.done)
		})
	}
	var roots []*ActorStatus
	made := map[*actorCell]*ActorStatus{}
	for i, c := range cells {
		st := &ActorStatus{State: c.currentState()}
		if a := answers[i]; a != nil {
			if err := s.Await(ctx, a.done); err != nil {
				a.end(err)
				<-a.done
			}
			if r, ok := a.reply.(*ActorStatus); ok && r != nil {
				st.State, st.Detail = r.State, r.Detail
			} else {
				st.State = "busy"
			}
		}
		c.describeIn(st)
		made[c] = st
		if p := made[c.parent]; p != nil {
			p.Children = append(p.Children, st)
		} else {
			roots = append(roots, st)
		}
	}
	return roots
}
