package backendworker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/test/kit"
)

// The worker's decisions, as text: what each message has it do, in order.
func TestSteps(t *testing.T) {
	kit.Scripts(t, func(t *testing.T) func(kit.Event) []string {
		s := &state{cfg: DefaultConfig(), name: "w"}
		return func(e kit.Event) []string {
			before := s.phase
			out := showStep(handle(t, s, e))
			if s.phase != before {
				out = append([]string{fmt.Sprintf("(%s)", s.phase)}, out...)
			}
			return out
		}
	})
}

// handle has the state handle the message that an event of a script stands for.
func handle(t *testing.T, s *state, e kit.Event) step {
	var err error
	switch m := e.Fields["err"]; m {
	case "":
	case "canceled":
		err = context.Canceled
	case "damaged":
		err = fmt.Errorf("page 7: %w", block.ErrCorrupt)
	default:
		err = errors.New(m)
	}
	lease := e.Fields["lease"]
	reply := &jobs.MergeReply{Valid: e.Fields["valid"] == "yes", Reason: e.Fields["reason"]}
	switch e.Name {
	case "started":
		return s.start()
	case "rest-tick":
		return s.onRestTick()
	case "leased":
		return s.onLeased(leased{lease: &jobs.MergeLease{Lease: lease}, err: err})
	case "beat-tick":
		return s.onBeatTick(lease)
	case "beaten":
		return s.onBeaten(beaten{lease: lease, reply: reply, err: err})
	case "merged":
		m := merged{lease: lease, err: err}
		if took := e.Fields["took"]; took != "" {
			d, err := time.ParseDuration(took)
			require.NoError(t, err)
			m.took = d
		}
		if err == nil {
			m.output = &blocks.BlockMeta{Id: "out"}
		}
		return s.onMerged(m)
	case "reported":
		return s.onReported(reported{reply: reply, err: err})
	case "drain":
		return s.onDrain(&actor.PID{Id: "root"})
	}
	t.Fatalf("unknown event %s", e.Name)
	return step{}
}

// showStep prints a step in the order in which it is carried out.
func showStep(s step) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if s.cancel {
		add("end the merge")
	}
	if s.next != nil {
		add("ask for a lease as %s", s.next.Worker)
	}
	if s.merge != nil {
		add("merge under %s", s.merge.Lease)
	}
	if s.beat != nil {
		add("beat for %s", s.beat.Lease)
	}
	if m := s.done; m != nil {
		add("report %s: output %q, failure %q, passing %v", m.Lease, m.Output.GetId(), m.Failure, m.Passing)
	}
	if s.ended != nil {
		add("ended with %q: %s", s.ended.output.GetId(), s.ended.reason)
	}
	if s.drained != nil {
		add("drained %s", s.drained.Id)
	}
	if s.rest > 0 {
		add("rest-tick after %s", s.rest)
	}
	if s.beatIn > 0 {
		add("beat-tick after %s", s.beatIn)
	}
	return out
}
