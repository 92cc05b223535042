package backendscheduler

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/test/kit"
)

// The scheduler's decisions, as text: which cuts it takes, what becomes durable together and who is
// answered then, and what a log that is not what it was changes.
func TestDecisions(t *testing.T) {
	kit.Scripts(t, func(t *testing.T) func(kit.Event) []string {
		cfg := DefaultConfig()
		cfg.SnapshotEvery = 3
		var s *state
		var writing *batch
		return func(e kit.Event) []string {
			switch e.Name {
			case "loaded": // log=identity starts=0,0,…
				c := catalog.New()
				m := &blocks.Epoch{Id: e.Fields["log"], Log: e.Fields["log"]}
				m.Starts = numbers(t, e.Fields["starts"])
				require.NoError(t, c.Apply(&blocks.Commit{Seq: 1, Entries: []*blocks.Entry{{Epoch: m}}}))
				s = newState(cfg, c, 0)
			case "publish":
				m := &blocks.PublishCut{Epoch: e.Fields["epoch"], Partition: int32(e.Int(t, "partition")), From: e.Int(t, "from"), To: e.Int(t, "to"),
					ViewVersion: uint64(e.Int(t, "view")), Fingerprint: &blocks.Fingerprint{Crc: uint32(e.Int(t, "crc"))}}
				for _, id := range strings.Fields(strings.ReplaceAll(e.Fields["blocks"], ",", " ")) {
					b := &blocks.BlockMeta{Id: id, Tenant: "a", Epoch: m.Epoch, Partition: m.Partition, From: m.From, To: m.To}
					for _, n := range numbers(t, e.Fields["parts"]) {
						b.Parts = append(b.Parts, int32(n))
					}
					m.Blocks = append(m.Blocks, b)
				}
				if r := s.publish(&actor.PID{Id: e.Fields["by"]}, m); r != nil {
					return []string{fmt.Sprintf("refused: %s; go on from %d of %s", r.GetReason(), r.GetCovered(), r.GetEpoch())}
				}
				return []string{"taken"}
			case "write":
				b := s.take(time.Time{})
				if b == nil {
					return []string{"nothing"}
				}
				writing = b
				var out []string
				for _, entry := range writing.commit.Entries {
					out = append(out, show(entry))
				}
				return append([]string{fmt.Sprintf("entry %d", writing.seq)}, out...)
			case "durable":
				s.committed(writing)
				var out []string
				for _, w := range writing.waiters {
					r := w.reply(s).(*blocks.PublishCutReply)
					out = append(out, fmt.Sprintf("answer %s: accepted=%v covered=%d", w.from.Id, r.GetAccepted(), r.GetCovered()))
				}
				if m := s.snapshotDue(); m != nil {
					out = append(out, fmt.Sprintf("snapshot %d", m.GetSeq()))
				}
				return append(out, fmt.Sprintf("version %d covers %v, %d blocks", s.version(), s.view().Covered, s.count()))
			case "snapshot":
				var err error
				if e.Fields["err"] != "" {
					err = fmt.Errorf("%s", e.Fields["err"])
				}
				s.snapshotted(uint64(e.Int(t, "seq")), err)
			case "inspected": // version=seen log=identity bounds=start:end,…
				l := catalog.Log{Identity: e.Fields["log"]}
				for _, f := range strings.Split(e.Fields["bounds"], ",") {
					var p catalog.Partition
					_, err := fmt.Sscanf(f, "%d:%d", &p.Start, &p.End)
					require.NoError(t, err)
					if e.Fields["crc"] != "" {
						p.Last = &blocks.Fingerprint{Crc: uint32(e.Int(t, "crc"))}
					}
					l.Partitions = append(l.Partitions, p)
				}
				entries, ok := s.reconcile(time.Time{}, uint64(e.Int(t, "version")), l)
				out := []string{fmt.Sprintf("%d entries, in time=%v", len(entries), ok)}
				for _, entry := range entries {
					out = append(out, show(entry))
				}
				return out
			default:
				t.Fatalf("unknown event %s", e.Name)
			}
			return nil
		}
	})
}

func numbers(t *testing.T, list string) (out []int64) {
	for _, f := range strings.Fields(strings.ReplaceAll(list, ",", " ")) {
		n, err := strconv.ParseInt(f, 10, 64)
		require.NoError(t, err)
		out = append(out, n)
	}
	return out
}

func show(e *blocks.Entry) string {
	switch {
	case e.GetCutPublished() != nil:
		m := e.GetCutPublished()
		return fmt.Sprintf("cut of partition %d [%d, %d) with %d blocks", m.GetPartition(), m.GetFrom(), m.GetTo(), len(m.GetBlocks()))
	case e.GetEpoch() != nil:
		return fmt.Sprintf("epoch %s from %v: %s", e.GetEpoch().GetId(), e.GetEpoch().GetStarts(), e.GetEpoch().GetReason())
	case e.GetGap() != nil:
		return fmt.Sprintf("gap of partition %d [%d, %d)", e.GetGap().GetPartition(), e.GetGap().GetFrom(), e.GetGap().GetTo())
	}
	return fmt.Sprintf("%T", e)
}
