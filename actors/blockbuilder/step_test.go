package blockbuilder

import (
	"cmp"
	"errors"
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/test/kit"
)

// The block-builder's decisions, as text: what each message has it do, in order.
func TestSteps(t *testing.T) {
	kit.Scripts(t, func(t *testing.T) func(kit.Event) []string {
		s := newState(3, DefaultConfig(), nil)
		return func(e kit.Event) []string {
			st := handle(t, s, e)
			requireOneOutstanding(t, e, st)
			return showStep(st)
		}
	})
}

// handle has the state handle the message that an event of a script stands for.
func handle(t *testing.T, s *state, e kit.Event) step {
	var err error
	if m := e.Fields["err"]; m != "" {
		err = errors.New(m)
	}
	if e.Fields["input"] != "" {
		err = fmt.Errorf("%w: %w", errInput, err)
	}
	from, to := e.Int(t, "from"), e.Int(t, "to")
	switch e.Name {
	case "started":
		return s.start()
	case "tick":
		return s.onTick()
	case "covered":
		where := &jobs.CoveredResult{Epoch: e.Fields["epoch"], Covered: e.Int(t, "at")}
		return s.onCovered(covered{reply: where, err: err})
	case "cut":
		epoch, ok := e.Fields["epoch"]
		if !ok {
			epoch = s.epoch
		}
		return s.onCut(cutReady{err: err, cut: &jobs.CutResult{
			Epoch:   epoch,
			From:    from,
			To:      to,
			Floor:   e.Int(t, "floor"),
			Version: uint64(e.Int(t, "version")),
			Records: int(cmp.Or(e.Int(t, "records"), to-from)),
		}})
	case "viewed":
		return s.onViewed(viewed{view: &catalog.View{}, err: err})
	case "built":
		return s.onBuilt(built{publish: &blocks.PublishCut{Epoch: s.epoch, From: from, To: to}, err: err})
	case "published":
		return s.onPublished(published{err: err, reply: &blocks.PublishCutReply{
			Accepted: e.Fields["accepted"] == "yes",
			Covered:  e.Int(t, "covered"),
			Reason:   e.Fields["reason"],
		}})
	case "compared":
		if e.Fields["other"] != "" {
			err = errOtherRecord
		}
		return s.onCompared(compared{err: err})
	case "trimmed":
		return s.onTrimmed(trimmed{err: err})
	case "drain":
		return s.onDrain(&actor.PID{Id: "root"})
	}
	t.Fatalf("unknown event %s", e.Name)
	return step{}
}

// requireOneOutstanding checks that whatever ends an ask, a job or a pause begins exactly one of
// these, unless the drain has ended.
func requireOneOutstanding(t *testing.T, e kit.Event, st step) {
	begun := 0
	asks := []bool{st.locate != nil, st.cut != nil, st.view, st.publish != nil}
	for _, is := range append(asks, st.build != nil, st.compare != nil, st.after > 0) {
		if is {
			begun++
		}
	}
	want := 1
	if e.Name == "trimmed" || e.Name == "drain" && !st.wake || st.drained != nil && st.warn != nil {
		want = 0
	}
	require.Equal(t, want, begun, "what %s begins", e.Name)
}

// showStep prints a step in the order in which it is carried out.
func showStep(s step) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if s.wake {
		add("end the pause")
	}
	if s.warn != nil {
		add("warn %v", s.warn)
	}
	if s.locate != nil {
		if s.locate.AtLeast > 0 {
			add("ask covered at-least=%d", s.locate.AtLeast)
		} else {
			add("ask covered")
		}
	}
	switch {
	case s.cut == nil:
	case s.cut.Most > 0:
		add("ask cut from=%d force=%v most=%d", s.cut.From, s.cut.Force, s.cut.Most)
	default:
		add("ask cut from=%d force=%v", s.cut.From, s.cut.Force)
	}
	if s.view {
		add("ask view")
	}
	if s.publish != nil {
		add("publish [%d, %d)", s.publish.From, s.publish.To)
	}
	if s.build != nil && s.build.aside != "" {
		add("set aside [%d, %d): %s", s.build.cut.From, s.build.cut.To, s.build.aside)
	} else if s.build != nil {
		add("build [%d, %d) attempt=%d", s.build.cut.From, s.build.cut.To, s.build.attempt)
	}
	if s.compare != nil {
		add("compare [%d, %d) with the log", s.compare.From, s.compare.To)
	}
	if s.trim != nil {
		add("trim to=%d", s.trim.GetTo())
	}
	if s.untrimmed != nil {
		add("warn not trimmed: %v", s.untrimmed)
	}
	if s.done != nil {
		add("log published [%d, %d)", s.done.From, s.done.To)
	}
	if s.drained != nil {
		add("drained")
	}
	if s.after > 0 {
		add("tick after=%s", s.after)
	}
	return out
}
