package distributor

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/limits"
	"github.com/troupe-tracing/troupe/test/kit"
)

// Admission, as text: what each message has the distributor do, and the bytes that it counts then.
func TestSteps(t *testing.T) {
	kit.Scripts(t, func(t *testing.T) func(kit.Event) []string {
		cfg := Config{MaxInflightBytes: 100, MaxBacklogBytes: 50, MaxWait: time.Second, RetryAfter: 5 * time.Second}
		s := newState(cfg, func(tenant string) limits.Ingestion {
			if tenant == "slow" {
				return limited(10, 10)
			}
			return limits.Ingestion{}
		})
		return func(e kit.Event) []string { return handle(t, s, e) }
	})
}

// handle has the state handle the message that an event of a script stands for.
func handle(t *testing.T, s *state, e kit.Event) []string {
	now := noon
	if at := e.Fields["at"]; at != "" {
		after, err := time.ParseDuration(at + "s")
		require.NoError(t, err)
		now = noon.Add(after)
	}
	var st step
	switch e.Name {
	case "push":
		m := &ingest.PushSpans{Tenant: e.Fields["tenant"], Otlp: make([]byte, e.Int(t, "bytes"))}
		st = s.onPush(now, request{from: &actor.PID{Id: e.Fields["id"]}, push: m, since: now})
	case "written": // bytes=of the request to=partition:next:bytes,…
		m := pushed{bytes: e.Int(t, "bytes")}
		for _, f := range strings.Split(e.Fields["to"], ",") {
			var a ack
			if f != "" {
				_, err := fmt.Sscanf(f, "%d:%d:%d", &a.partition, &a.next, &a.bytes)
				require.NoError(t, err)
				m.acks = append(m.acks, a)
			}
		}
		if e.Fields["fail"] != "" {
			m.fail = errors.New(e.Fields["fail"])
		}
		st = s.onPushed(now, m)
	case "appended":
		st = s.onAppended(now, &jobs.Appended{
			Partition: int32(e.Int(t, "partition")),
			Epoch:     e.Fields["epoch"],
			Next:      e.Int(t, "next"),
		})
	case "tick":
		st = s.onTick(now)
	case "drain":
		st = s.onDrain(&actor.PID{Id: "root"})
	default:
		t.Fatalf("unknown event %s", e.Name)
	}
	return append(showStep(st), fmt.Sprintf("in flight %d, of them running %d, not yet searchable %d, waiting %d",
		s.inflight, s.running, s.backlog, len(s.waiting)))
}

// showStep prints a step in the order in which it is carried out.
func showStep(s step) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if s.fail != nil {
		add("fail: %v", s.fail)
	}
	for _, r := range s.refused {
		add("refuse %s, %s, come back after %s: %v", r.from.Id, r.reason, r.err.RetryAfter, r.err)
	}
	for _, r := range s.write {
		add("write %s", r.from.Id)
	}
	if s.tick {
		add("tick")
	}
	if s.drained != nil {
		add("drained")
	}
	return out
}
