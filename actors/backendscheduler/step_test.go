package backendscheduler

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/test/kit"
)

// The scheduler's decisions, as text: each message, and everything that it causes in order.
func TestSteps(t *testing.T) {
	kit.Scripts(t, func(t *testing.T) func(kit.Event) []string {
		cfg := DefaultConfig()
		cfg.SnapshotEvery = 3
		w := &scripted{t: t, now: time.Unix(0, 0)}
		cfg.NewName = func() string { w.names++; return fmt.Sprint("lease", w.names) }
		cfg.LimitsOf = func(string) upkeep.Limits { return w.limits }
		w.state = &state{cfg: cfg, keeping: newKeeping()}
		return func(e kit.Event) []string {
			before := w.state.phase
			out := w.handle(e)
			w.state.checkInvariants()
			if after := w.state.phase; after != before {
				out = append([]string{fmt.Sprintf("(%s)", after)}, out...)
			}
			return out
		}
	})
}

// scripted is a scheduler with its journal, and the jobs that are under way.
type scripted struct {
	t       *testing.T
	now     time.Time
	state   *state
	journal []*blocks.Commit
	commit  *batch      // being written
	compare *compareJob // being compared
	names   int
	limits  upkeep.Limits
}

func (w *scripted) handle(e kit.Event) []string {
	t, s := w.t, w.state
	err := errorOf(e)
	from := &actor.PID{Id: e.Fields["by"]}
	switch e.Name {
	case "journal": // log=identity starts=0,0,…: the journal's first entry
		m := &blocks.Epoch{Id: e.Fields["log"], Log: e.Fields["log"], Starts: numbers(t, e.Fields["starts"])}
		w.write(&blocks.Entry{Epoch: m})
		return nil
	case "written-elsewhere": // by another program, of a cut without blocks
		w.write(&blocks.Entry{CutPublished: &blocks.PublishCut{Epoch: e.Fields["epoch"], Partition: int32(e.Int(t, "partition")),
			From: e.Int(t, "from"), To: e.Int(t, "to")}})
		return nil
	case "pass": // time=duration
		d, err := time.ParseDuration(e.Fields["time"])
		require.NoError(t, err)
		w.now = w.now.Add(d)
		return nil
	case "inspect":
		st := s.inspect()
		return []string{fmt.Sprint(st.State, " ", st.Detail)}
	case "started":
		return w.show(s.start(w.now))
	case "load-tick":
		return w.show(s.onLoadTick())
	case "check-tick":
		return w.show(s.onCheckTick(w.now))
	case "sweep-tick":
		return w.show(s.onSweepTick(w.now))
	case "loaded": // what the journal holds
		m := loaded{err: err, damaged: words(e.Fields["damaged"])}
		if err == nil {
			m.catalog = catalog.New()
			for _, c := range w.journal {
				require.NoError(t, m.catalog.Apply(c))
			}
		}
		return w.show(s.onLoaded(w.now, m))
	case "covered":
		m := &jobs.CoveredJob{Partition: int32(e.Int(t, "partition")), AtLeast: uint64(e.Int(t, "at-least")), Check: e.Fields["check"] != ""}
		return w.show(s.onQuestion(w.now, question{from: from, msg: m}))
	case "view":
		return w.show(s.onQuestion(w.now, question{from: from, msg: &jobs.ViewJob{AtLeast: uint64(e.Int(t, "at-least"))}}))
	case "publish":
		m := cutOf(t, e)
		if e.Fields["view"] == "" && s.ledger != nil { // it has seen all that was accepted
			m.ViewVersion = s.ledger.queuedVersion()
		}
		return w.show(s.onQuestion(w.now, question{from: from, msg: m}))
	case "committed": // err=cause, written=yes: the entry is durable nevertheless
		if w.commit == nil {
			return []string{"nothing is being written"}
		}
		if err == nil || e.Fields["written"] != "" {
			w.write(w.commit.commit.Entries...)
		}
		w.commit = nil
		return w.show(s.onCommitted(w.now, committed{err}))
	case "snapshotted":
		return w.show(s.onSnapshotted(snapshotted{seq: uint64(e.Int(t, "seq")), err: err}))
	case "inspected": // log=identity bounds=start:end,… crc=of the last covered records, newer=yes
		if w.compare == nil {
			return []string{"nothing is being compared"}
		}
		m := logInspected{version: w.compare.version, newer: e.Fields["newer"] != "", err: err}
		if err == nil {
			m.log = logOf(t, e)
		}
		w.compare = nil
		return w.show(s.onLogInspected(w.now, m))
	case "swept":
		return w.show(s.onSwept(w.now, swept{unfinished: words(e.Fields["unfinished"]), removed: words(e.Fields["removed"]),
			strays: words(e.Fields["strays"]), err: err}))
	case "next":
		return w.show(s.onQuestion(w.now, question{from: from, msg: &jobs.NextMergeJob{Worker: e.Fields["by"]}}))
	case "beat":
		return w.show(s.onQuestion(w.now, question{from: from, msg: &jobs.MergeBeat{Lease: e.Fields["lease"]}}))
	case "done": // output=id of the merged block, or failure=reason
		m := &jobs.MergeDone{Lease: e.Fields["lease"], Failure: e.Fields["failure"], Passing: e.Fields["passing"] != "",
			Damaged: words(e.Fields["damaged"]),
			Rest:    20 * time.Second}
		if id := e.Fields["output"]; id != "" {
			m.Output = &blocks.BlockMeta{Id: id, Tenant: "a", Level: 1, Lease: m.Lease, Epoch: "e", To: 99}
		}
		return w.show(s.onQuestion(w.now, question{from: from, msg: m}))
	case "keep-tick":
		return w.show(s.onKeepTick(w.now))
	case "removed":
		return w.show(s.onRemoved(w.now, removed{ids: words(e.Fields["blocks"]), err: err}))
	case "status":
		return w.show(s.onStatusAsked(w.now, from))
	case "limits": // retention=duration kept=yes
		w.limits = upkeep.Limits{Kept: e.Fields["kept"] != ""}
		if d := e.Fields["retention"]; d != "" {
			w.limits.Retention, err = time.ParseDuration(d)
			require.NoError(t, err)
		}
		return nil
	case "drain":
		return w.show(s.onDrain(from))
	}
	t.Fatalf("unknown event %s", e.Name)
	return nil
}

// write appends a commit to the journal.
func (w *scripted) write(entries ...*blocks.Entry) {
	w.journal = append(w.journal, &blocks.Commit{Seq: uint64(len(w.journal)) + 1, Entries: entries})
}

func errorOf(e kit.Event) error {
	if e.Fields["err"] == "" {
		return nil
	}
	err := errors.New(strings.ReplaceAll(e.Fields["err"], "-", " "))
	switch {
	case e.Fields["taken"] != "":
		return fmt.Errorf("%w: %w", err, journal.ErrTaken)
	case e.Fields["foreign"] != "":
		return fmt.Errorf("%w: %w", err, errForeign)
	}
	return err
}

func cutOf(t *testing.T, e kit.Event) *blocks.PublishCut {
	m := &blocks.PublishCut{Epoch: e.Fields["epoch"], Partition: int32(e.Int(t, "partition")), From: e.Int(t, "from"), To: e.Int(t, "to"),
		ViewVersion: uint64(e.Int(t, "view")), Fingerprint: &blocks.Fingerprint{Crc: uint32(e.Int(t, "crc"))}}
	for _, id := range words(e.Fields["blocks"]) {
		b := &blocks.BlockMeta{Id: id, Tenant: "a", Epoch: m.Epoch, Partition: m.Partition, From: m.From, To: m.To, Bytes: 1000}
		if at := e.Fields["arrived"]; at != "" {
			d, err := time.ParseDuration(at)
			require.NoError(t, err)
			b.MinArrivalUnixNano, b.MaxArrivalUnixNano = int64(d), int64(d)
		}
		for _, n := range numbers(t, e.Fields["parts"]) {
			b.Parts = append(b.Parts, int32(n))
		}
		m.Blocks = append(m.Blocks, b)
	}
	return m
}

func logOf(t *testing.T, e kit.Event) catalog.Log {
	l := catalog.Log{Identity: e.Fields["log"]}
	for _, f := range words(e.Fields["bounds"]) {
		var p catalog.Partition
		_, err := fmt.Sscanf(f, "%d:%d", &p.Start, &p.End)
		require.NoError(t, err)
		if e.Fields["crc"] != "" {
			p.Last = &blocks.Fingerprint{Crc: uint32(e.Int(t, "crc"))}
		}
		l.Partitions = append(l.Partitions, p)
	}
	return l
}

func words(list string) []string { return strings.Fields(strings.ReplaceAll(list, ",", " ")) }

func numbers(t *testing.T, list string) (out []int64) {
	for _, f := range words(list) {
		n, err := strconv.ParseInt(f, 10, 64)
		require.NoError(t, err)
		out = append(out, n)
	}
	return out
}

// show prints a step in the order in which it is carried out, and notes the jobs that it starts.
func (w *scripted) show(st step) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if st.fail != nil {
		add("fail: %v", st.fail)
	}
	for _, l := range st.lines {
		add("%s: %s %v", strings.ToLower(l.level.String()), l.text, l.args)
	}
	for _, e := range st.report {
		add("report %s", showEntry(e))
	}
	for _, r := range st.replies {
		add("reply %s: %s", r.to.Id, showReply(r.msg))
	}
	if v := st.announce; v != nil {
		add("announce version %d of %s covers %v, %d blocks", v.Version, v.Epoch, v.Covered, v.Count())
	}
	if st.snapshot != nil {
		add("write snapshot %d", st.snapshot.Seq)
	}
	if st.load != nil {
		add("load adopted=%v", st.load.adopted)
	}
	if st.commit != nil {
		w.commit = st.commit
		add("write entry %d", st.commit.seq)
		for _, e := range st.commit.commit.Entries {
			add("  %s", showEntry(e))
		}
	}
	if st.compare != nil {
		w.compare = st.compare
		add("compare version %d with the log", st.compare.version)
	}
	if st.sweep != nil {
		add("sweep expired=%v", st.sweep.expired)
	}
	if st.remove != nil {
		ids := []string{}
		for _, m := range st.remove.blocks {
			ids = append(ids, m.GetId())
		}
		add("remove the objects of %v", ids)
	}
	if st.drained != nil {
		add("drained %s", st.drained.Id)
	}
	for _, tick := range []struct {
		name  string
		after time.Duration
	}{{"load", st.after.load}, {"check", st.after.check}, {"sweep", st.after.sweep}} {
		if tick.after > 0 {
			add("%s-tick after %s", tick.name, tick.after)
		}
	}
	return out
}

func showReply(msg any) string {
	switch m := msg.(type) {
	case *jobs.CoveredResult:
		return fmt.Sprintf("covered=%d in version %d of %s", m.Covered, m.Version, m.Epoch)
	case *catalog.View:
		return fmt.Sprintf("view of version %d", m.Version)
	case *blocks.PublishCutReply:
		if m.GetAccepted() {
			return fmt.Sprintf("accepted, covered=%d", m.GetCovered())
		}
		if m.GetStaleView() {
			return fmt.Sprintf("refused: %s; look again in version %d", m.GetReason(), m.GetVersion())
		}
		return fmt.Sprintf("refused: %s; go on from %d of %s", m.GetReason(), m.GetCovered(), m.GetEpoch())
	case *jobs.MergeLease:
		ids := []string{}
		for _, b := range m.Inputs {
			ids = append(ids, b.GetId())
		}
		return fmt.Sprintf("lease %q of %v, level %d", m.Lease, ids, m.Level)
	case *jobs.MergeReply:
		return fmt.Sprintf("valid=%v %s", m.Valid, m.Reason)
	case *upkeep.Status:
		return showStatus(m)
	case *status.Error:
		return fmt.Sprintf("%s: %v", m.Class, m)
	}
	return fmt.Sprintf("%T", msg)
}

func showStatus(m *upkeep.Status) string {
	out := fmt.Sprintf("debt %d blocks (%s), waiting %d, set aside %d, retired %d", m.Total.Debt.Blocks,
		m.Total.Cause.Text, m.Total.Waiting.Blocks, m.Total.SetAside.Blocks, m.Total.Retired.Blocks)
	if m.Merging.ETAKnown {
		out += fmt.Sprintf(", ETA %.0f s", m.Merging.ETASeconds)
	}
	for _, j := range m.Jobs {
		out += fmt.Sprintf("; job %s of %v by %s for %s", j.Lease, j.Inputs, j.Worker, m.At.Sub(j.Began))
	}
	if !m.Retention.NextRemoval.IsZero() {
		out += "; removal in " + m.Retention.NextRemoval.Sub(m.At).String()
	}
	for _, f := range m.Failures {
		out += fmt.Sprintf("; failed: %s %v %s", f.What, f.Inputs, f.Reason)
	}
	return out
}

func showEntry(e *blocks.Entry) string {
	switch {
	case e.GetCutPublished() != nil:
		m := e.GetCutPublished()
		return fmt.Sprintf("cut of partition %d [%d, %d) with %d blocks", m.GetPartition(), m.GetFrom(), m.GetTo(), len(m.GetBlocks()))
	case e.GetEpoch() != nil:
		return fmt.Sprintf("epoch %s from %v: %s", e.GetEpoch().GetId(), e.GetEpoch().GetStarts(), e.GetEpoch().GetReason())
	case e.GetGap() != nil:
		return fmt.Sprintf("gap of partition %d [%d, %d)", e.GetGap().GetPartition(), e.GetGap().GetFrom(), e.GetGap().GetTo())
	}
	switch {
	case e.GetJobLeased() != nil:
		m := e.GetJobLeased()
		return fmt.Sprintf("lease %s of %v to %s, attempt %d", m.GetLease(), m.GetInputs(), m.GetWorker(), m.GetAttempt())
	case e.GetJobClosed() != nil:
		m := e.GetJobClosed()
		return fmt.Sprintf("lease %s closed, set aside %v: %s", m.GetLease(), m.GetUnmerged(), m.GetReason())
	case e.GetBlocksReplaced() != nil:
		m := e.GetBlocksReplaced()
		return fmt.Sprintf("%v replaced under lease %s", m.GetInputs(), m.GetLease())
	case e.GetBlocksRetired() != nil:
		return fmt.Sprintf("%v retired", e.GetBlocksRetired().GetBlocks())
	case e.GetForgotten() != nil:
		return fmt.Sprintf("%v forgotten", e.GetForgotten().GetBlocks())
	}
	return fmt.Sprintf("%T", e)
}
