package blockbuilder

import (
	"cmp"
	"errors"
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

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
			var err error
			if m := e.Fields["err"]; m != "" {
				err = errors.New(m)
			}
			if e.Fields["input"] != "" {
				err = fmt.Errorf("%w: %w", errInput, err)
			}
			switch e.Name {
			case "started":
				return show(s.start())
			case "tick":
				return show(s.onTick())
			case "covered":
				return show(s.onCovered(covered{reply: &jobs.CoveredResult{Epoch: e.Fields["epoch"], Covered: e.Int(t, "at")}, err: err}))
			case "cut":
				epoch, ok := e.Fields["epoch"]
				if !ok {
					epoch = s.epoch
				}
				return show(s.onCut(cutReady{cut: &jobs.CutResult{Epoch: epoch, From: e.Int(t, "from"), To: e.Int(t, "to"), Floor: e.Int(t, "floor"), Version: uint64(e.Int(t, "version")),
					Records: int(cmp.Or(e.Int(t, "records"), e.Int(t, "to")-e.Int(t, "from")))}, err: err}))
			case "viewed":
				return show(s.onViewed(viewed{view: &catalog.View{}, err: err}))
			case "built":
				return show(s.onBuilt(built{publish: &blocks.PublishCut{Epoch: s.epoch, From: e.Int(t, "from"), To: e.Int(t, "to")}, err: err}))
			case "published":
				return show(s.onPublished(published{reply: &blocks.PublishCutReply{Accepted: e.Fields["accepted"] == "yes", Covered: e.Int(t, "covered"),
					Reason: e.Fields["reason"]}, err: err}))
			case "compared":
				if e.Fields["other"] != "" {
					err = errOtherRecord
				}
				return show(s.onCompared(compared{err: err}))
			case "trimmed":
				return show(s.onTrimmed(trimmed{err: err}))
			case "drain":
				return show(s.onDrain(&actor.PID{Id: "root"}))
			}
			t.Fatalf("unknown event %s", e.Name)
			return nil
		}
	})
}

// show prints a step in the order in which it is carried out.
func show(s step) []string {
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
