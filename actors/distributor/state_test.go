package distributor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/test/kit"
)

// Admission, as text: what is taken, held and refused while the live-stores are behind.
func TestAdmission(t *testing.T) {
	kit.Scripts(t, func(t *testing.T) func(kit.Event) []string {
		s := newState(Config{MaxInflightBytes: 100, MaxBacklogBytes: 50, MaxWait: time.Second})
		began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		return func(e kit.Event) []string {
			var now time.Time
			after, err := time.ParseDuration(e.Fields["at"] + "s")
			if e.Fields["at"] != "" {
				require.NoError(t, err)
			}
			now = began.Add(after)
			var out []string
			switch e.Name {
			case "push":
				if !s.fits(e.Int(t, "bytes")) {
					out = append(out, "refused "+e.Fields["id"])
					break
				}
				s.take(request{from: &actor.PID{Id: e.Fields["id"]}, bytes: e.Int(t, "bytes"), since: now})
			case "written": // bytes=of the request to=partition:next:bytes,…
				var acks []ack
				for _, f := range strings.Split(e.Fields["to"], ",") {
					var a ack
					if f != "" {
						_, err := fmt.Sscanf(f, "%d:%d:%d", &a.partition, &a.next, &a.bytes)
						require.NoError(t, err)
						acks = append(acks, a)
					}
				}
				s.done(e.Int(t, "bytes"), acks)
			case "appended":
				s.appended(&jobs.Appended{Partition: int32(e.Int(t, "partition")), Epoch: e.Fields["epoch"], Next: e.Int(t, "next")})
			case "tick":
			default:
				t.Fatalf("unknown event %s", e.Name)
			}
			run, late := s.next(now)
			for _, r := range run {
				out = append(out, "write "+r.from.Id)
			}
			for _, r := range late {
				out = append(out, "refused late "+r.from.Id)
			}
			return append(out, fmt.Sprintf("in flight %d, of them running %d, not yet searchable %d, waiting %d", s.inflight, s.running, s.backlog, len(s.waiting)))
		}
	})
}
