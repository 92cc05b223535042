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
		where := &jobs.CoveredResult{Epoch: e.Fields["epoch"], Covered: e.Int(t, "at"), Version: uint64(e.Int(t, "version"))}
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
		return s.onViewed(viewed{view: &catalog.View{Version: uint64(e.Int(t, "version"))}, err: err})
	case "built": // view=version, gone=a block that was to be looked in
		m := &builtCut{
			publish: &blocks.PublishCut{Epoch: s.epoch, From: from, To: to, ViewVersion: uint64(e.Int(t, "view"))},
			job:     &buildJob{cut: &jobs.CutResult{From: from, To: to, Records: int(to - from)}},
		}
		if s.built != nil {
			m.looks = s.built.looks
		}
		if id := e.Fields["gone"]; id != "" {
			m.tenants = []tenantBlock{{sharing: &sharing{gone: map[string]bool{id: true}}}}
		}
		return s.onBuilt(built{cut: m, err: err})
	case "published":
		return s.onPublished(published{err: err, reply: &blocks.PublishCutReply{
			Accepted:  e.Fields["accepted"] == "yes",
			Covered:   e.Int(t, "covered"),
			Reason:    e.Fields["reason"],
			Version:   uint64(e.Int(t, "version")),
			StaleView: e.Fields["stale"] == "yes",
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
	asks := []bool{st.locate != nil, st.cut != nil, st.view != nil, st.publish != nil}
	for _, is := range append(asks, st.build != nil, st.look != nil, st.compare != nil, st.after > 0) {
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
	switch {
	case s.view == nil:
	case s.view.AtLeast > 0:
		add("ask view at-least=%d", s.view.AtLeast)
	default:
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
	if l := s.look; l != nil {
		add("look again for other homes of [%d, %d) in version %d", l.built.publish.From, l.built.publish.To, l.view.Version)
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
