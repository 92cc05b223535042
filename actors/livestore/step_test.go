package livestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// The live-store's decisions, as text: what each message has it do, in order, and the state that it
// leaves.
func TestSteps(t *testing.T) {
	kit.Scripts(t, func(t *testing.T) func(kit.Event) []string {
		cfg := DefaultConfig()
		cfg.SegmentSpans = 4
		s := &scripted{state: newState(3, cfg, nil)}
		return func(e kit.Event) []string { return s.handle(t, e) }
	})
}

// scripted is a live-store that a script speaks to.
type scripted struct {
	*state
	work tableWork // of a question about homes, under way
}

// handle has the state handle the message that an event of a script stands for.
func (s *scripted) handle(t *testing.T, e kit.Event) []string {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(durationOf(t, e.Fields["at"], 0))
	var err error
	if m := e.Fields["err"]; m != "" {
		err = errors.New(m)
	}
	snapshot := jobs.Snapshot{Epoch: e.Fields["epoch"], Version: uint64(e.Int(t, "version"))}
	where := &jobs.CoveredResult{Epoch: snapshot.Epoch, Version: snapshot.Version, Covered: e.Int(t, "covered")}
	var st step
	switch e.Name {
	case "started": // each incarnation has a state of its own
		s.state = newState(3, s.cfg, nil)
		st = s.start()
	case "tick":
		st = s.onTick()
	case "covered":
		st = s.onCovered(covered{reply: where, err: err})
	case "bounds":
		start, end := e.Int(t, "start"), e.Int(t, "end")
		st = s.onBounds(now, logBounds{began: now, covered: where, log: e.Fields["log"], start: start, end: end, err: err})
	case "read": // records=tenant,tenant:bytes,… from the next offset on
		st = s.onRead(now, batchRead{began: now, batch: batch(t, s.state, e, now), err: err})
	case "read-lost": // the log no longer has the offset that is to be read, or has another record there
		st = s.onRead(now, batchRead{began: now, err: kafkalog.ErrOutOfRange})
	case "read-corrupt":
		st = s.onRead(now, batchRead{began: now, err: kafkalog.ErrCorrupt})
	case "full": // the node's memory, when do wants to read
		st = s.onMemoryFull()
	case "poison": // the engine breaks at this offset
		s.appendSpans = func(g *segment, r kafkalog.Record) error {
			if r.Offset == e.Int(t, "offset") {
				panic("broken")
			}
			return appendSpans(g, r)
		}
		return nil
	case "coverage":
		st = s.onCoverage(now, &jobs.CoverageChanged{
			Epoch:   snapshot.Epoch,
			Version: snapshot.Version,
			Covered: map[int32]int64{3: e.Int(t, "to")},
		}, e.Fields["tight"] != "")
	case "second":
		st = s.onSecond(now, e.Fields["tight"] != "")
	case "cut":
		st = s.onCut(now, &jobs.CutJob{
			Epoch: snapshot.Epoch,
			From:  e.Int(t, "from"),
			Bytes: e.Int(t, "bytes"),
			Age:   durationOf(t, e.Fields["age"], time.Minute),
			Force: e.Fields["force"] != "",
			Most:  e.Int(t, "most"),
		}, e.Fields["fattest"] != "")
	case "ask", "ask-homes", "ask-scan":
		q := newQuestion(now, nil, t.Context(), jobOf(t, e, snapshot))
		q.patience = now.Add(durationOf(t, e.Fields["patience"], time.Minute))
		if e.Fields["gone"] != "" { // whoever asks leaves before the answer
			ctx, cancel := context.WithCancel(q.ctx)
			cancel()
			q.ctx = ctx
		}
		if st = s.onQuestion(now, q); len(st.answers) == 0 {
			return []string{"wait", showState(s.state)}
		}
	case "searched": // the end of the search under way: it found the trace of the record at an offset
		w := s.work.(searchWork)
		m := homesFound{work: w.homesWork}
		for _, b := range w.searches {
			f := foundTraces{blockSearch: b}
			if e.Fields["found"] != "" {
				id := otlp.TraceID(uint64(e.Int(t, "found")))
				x := catalog.Extent{ID: id, Start: uint64(e.Int(t, "start")), End: uint64(e.Int(t, "start")) + 5}
				f.parts = []foundPart{{Extent: x, spans: 1}}
			}
			m.found = append(m.found, f)
		}
		st = s.onHomesFound(now, m)
	case "spans-read": // the end of the reading under way: each trace has the span of the record at an offset
		w := s.work.(readWork)
		m := homesFound{work: w.homesWork}
		for _, r := range w.reads {
			for _, place := range r.places {
				r.spans = append(r.spans, sharedSpan{id: otlp.SpanID(uint64(e.Int(t, "span")) + 1), place: place})
			}
			if e.Fields["failed"] == "" {
				m.read = append(m.read, r)
			}
		}
		st = s.onHomesFound(now, m)
	case "drain":
		st = s.onDrain()
	case "stopping":
		st = s.onEnd()
	default:
		t.Fatalf("unknown event %s", e.Name)
	}
	for _, x := range st.answers {
		switch x.work.(type) {
		case searchWork, readWork:
			s.work = x.work
		}
	}
	requireOneOutstanding(t, e, st)
	requireInvariants(t, s.state)
	return append(showStep(s.state, st), showState(s.state))
}

// requireOneOutstanding checks that whatever ends an ask, a read of the log or a pause begins
// exactly one of these, and that nothing else does.
func requireOneOutstanding(t *testing.T, e kit.Event, st step) {
	begun := 0
	for _, is := range []bool{st.locate != nil, st.bounds != nil, st.read != nil, st.after > 0} {
		if is {
			begun++
		}
	}
	want := 0
	switch e.Name {
	case "started", "tick", "covered", "bounds", "read", "read-lost", "full":
		want = 1
	}
	require.Equal(t, want, begun, "what %s begins", e.Name)
}

func requireInvariants(t *testing.T, s *state) {
	require.LessOrEqual(t, s.floor, s.next)
	require.LessOrEqual(t, s.lastCut.from, s.lastCut.to)
	require.LessOrEqual(t, s.lastCut.to, s.next)
	require.LessOrEqual(t, s.usage.free, s.usage.segments)
	if s.phase.attached() {
		require.Equal(t, s.phase == ready, s.next >= s.target)
	}
	byOffset := func(a, b record) int { return cmp.Compare(a.offset, b.offset) }
	require.True(t, slices.IsSortedFunc(s.records.list, byOffset))
	for _, tenant := range s.tenants {
		for i, g := range tenant.segments {
			require.True(t, g.Sealed() || i == len(tenant.segments)-1, "only the last segment is open")
		}
	}
}

func durationOf(t *testing.T, text string, absent time.Duration) time.Duration {
	if text == "" {
		return absent
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d
}

// jobOf returns the job of an event that asks a question.
func jobOf(t *testing.T, e kit.Event, at jobs.Snapshot) any {
	tenant, from, upTo := cmp.Or(e.Fields["tenant"], "a"), e.Int(t, "from"), int64(-1)
	if e.Fields["upto"] != "" {
		upTo = e.Int(t, "upto")
	}
	switch e.Name {
	case "ask-homes":
		m := &jobs.HomesJob{Snapshot: at, Tenant: tenant, From: from, Repeating: e.Fields["repeating"] != ""}
		if id := e.Fields["block"]; id != "" {
			m.Blocks = []*blocks.BlockMeta{{Id: id, Epoch: at.Epoch, Partition: 3, To: e.Int(t, "to")}}
		}
		return m
	case "ask-scan":
		return &jobs.LiveScanJob{Snapshot: at, Tenant: tenant, From: from, UpTo: upTo}
	}
	if upTo < 0 {
		return &jobs.LiveTraceJob{Snapshot: at, Tenant: tenant, From: from}
	}
	return &jobs.LiveTracesJob{Snapshot: at, Tenant: tenant, From: from, UpTo: upTo}
}

// batch makes records: tenant, tenant:size, or one of the words below.
func batch(t *testing.T, s *state, e kit.Event, now time.Time) kafkalog.Batch {
	b := kafkalog.Batch{Next: s.next, Last: kafkalog.Fingerprint{CRC: uint32(e.Int(t, "crc"))}}
	if e.Fields["offset"] != "" {
		b.Next = e.Int(t, "offset")
	}
	for _, f := range strings.Split(e.Fields["records"], ",") {
		if f == "" {
			continue
		}
		name, size, _ := strings.Cut(f, ":")
		r := kafkalog.Record{Offset: b.Next, Tenant: name, Format: kafkalog.FormatOTLP, Parts: 8, Time: now}
		n := 0
		if size != "" {
			_, err := fmt.Sscan(size, &n)
			require.NoError(t, err)
		}
		id := uint64(b.Next)
		long := strings.Repeat("x", n)
		r.Value = otlp.Encode(&otlp.Span{Trace: otlp.TraceID(id), ID: otlp.SpanID(id + 1), Name: long})
		switch name {
		case "foreign":
			r.Format = ""
		case "broken":
			r.Value = []byte("\xff")
		case "skewed":
			r.Time = now.Add(time.Hour)
		case "slash":
			r.Tenant = "a/../b"
		}
		b.Records = append(b.Records, r)
		b.Next++
	}
	if e.Fields["next"] != "" {
		b.Next = e.Int(t, "next")
	}
	b.End = b.Next + e.Int(t, "more")
	return b
}

// showState prints what a message has left.
func showState(s *state) string {
	var segments []string
	for _, name := range slices.Sorted(maps.Keys(s.tenants)) {
		for _, g := range s.tenants[name].segments {
			segments = append(segments, fmt.Sprintf("%s[%d,%d)", name, g.From(), g.Next()))
		}
	}
	if n := len(s.waiting); n > 0 {
		segments = append(segments, fmt.Sprintf("waiting=%d", n))
	}
	free, cut := s.uncoveredBytes()
	return fmt.Sprintf("%s epoch=%s version=%d [%d, %d) covered=%d uncovered=%d+%d aside=%d %s",
		s.phase, s.epoch, s.version, s.floor, s.next, s.covered, free, cut, s.setAside, strings.Join(segments, " "))
}

// showStep prints a step in the order in which it is carried out.
func showStep(s *state, st step) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	r := st.report
	if r.notAttached != nil {
		add("warn: not attached: %v", r.notAttached)
	}
	if r.attached {
		add("log attached")
	}
	if r.outOfRange != nil {
		add("warn: %v", r.outOfRange)
	}
	if r.unread != nil {
		add("warn: not read: %v", r.unread)
	}
	for _, err := range r.setAside {
		add("aside: %v", err)
	}
	if r.paused {
		add("count a paused read")
	}
	if r.gauges {
		add("set gauges")
	}
	if st.fail != nil {
		add("fail: %v", st.fail)
	}
	switch m := st.reply.(type) {
	case nil:
	case *jobs.CutResult:
		out = append(append(out, showCut(m)), showAside(jobs.SummarizeSetAside(m.Epoch, s.partition, m.Aside))...)
	default:
		add("reply %T", m)
	}
	if m := st.memory; m != nil && *m == (memory{}) {
		add("hold no memory")
	} else if m != nil {
		add("note memory")
	}
	if m := st.announce; m != nil {
		add("announce epoch=%s next=%d", m.Epoch, m.Next)
	}
	for _, x := range st.answers {
		out = append(out, showAnswer(x)...)
	}
	if m := st.locate; m != nil {
		add("ask covered check=%v", m.Check)
	}
	if m := st.bounds; m != nil {
		add("read bounds, to start at %d", m.Covered)
	}
	if st.after > 0 {
		add("tick after=%s", st.after)
	}
	if st.nextSecond {
		add("next second")
	}
	if m := st.read; m != nil && m.last != nil {
		add("read from=%d, after offset %d", m.from, m.last.offset)
	} else if m != nil {
		add("read from=%d", m.from)
	}
	return out
}

// showAnswer prints a reply, or the work that makes one.
func showAnswer(x answer) []string {
	basis := func(verb string, h jobs.Retained) []string {
		return append([]string{fmt.Sprintf("%s floor=%d version=%d", verb, h.Floor, h.Version)}, showAside(h.Aside)...)
	}
	var out []string
	switch m := x.reply.(type) {
	case *jobs.TracesResult:
		out = basis("answer: plan again,", m.Retained)
	case *jobs.TraceResult:
		out = basis("answer: plan again,", m.Retained)
	case *jobs.ScanResult:
		out = basis("answer: plan again,", m.Retained)
	case *jobs.HomesResult:
		verb := "answer"
		if m.Behind != "" {
			verb = "behind: " + m.Behind + "\n" + verb
		}
		if m.Floor > x.job.(*jobs.HomesJob).From {
			verb = "answer: plan again,"
		}
		out = append(basis(verb, m.Retained),
			fmt.Sprintf("up to %d, spans=%d parts=%v shared=%d", m.UpTo, m.Spans, m.Parts, len(m.Shared)))
	}
	switch w := x.work.(type) {
	case *tracesWork:
		out = basis("answer", w.retained)
	case *traceWork:
		out = basis("answer", w.retained)
		if w.behind != "" {
			out = append(out, "behind: "+w.behind)
		}
	case *scanWork:
		out = basis(fmt.Sprintf("scan %d tables, then answer", len(w.tables)), w.retained)
	case searchWork:
		for _, b := range w.searches {
			out = append(out, fmt.Sprintf("search %d traces in %s", len(b.ids), b.meta.GetId()))
		}
	case readWork:
		for _, r := range w.reads {
			out = append(out, fmt.Sprintf("read the spans of %d traces in %s", len(r.ids), r.meta.GetId()))
		}
	}
	return out
}

func showAside(list []*blocks.SetAside) (out []string) {
	for _, m := range list {
		out = append(out, fmt.Sprintf("%d records of [%d, %d) of tenant %q set aside: %s",
			m.GetRecords(), m.GetFrom(), m.GetTo(), m.GetTenant(), m.GetReason()))
	}
	return out
}

func showCut(c *jobs.CutResult) string {
	if c.To == c.From {
		return fmt.Sprintf("not due: %d bytes, epoch=%s floor=%d version=%d", c.Bytes, c.Epoch, c.Floor, c.Version)
	}
	var tables []string
	for _, name := range slices.Sorted(maps.Keys(c.Tables)) {
		rows := 0
		for _, t := range c.Tables[name] {
			rows += t.Rows()
		}
		tables = append(tables, fmt.Sprintf("%s=%d", name, rows))
	}
	if c.Last == nil {
		return fmt.Sprintf("cut [%d, %d) of %d bytes, crc of %d is %d, spans %s",
			c.From, c.To, c.Bytes, c.Later, c.LaterPrint.GetCrc(), strings.Join(tables, " "))
	}
	return fmt.Sprintf("cut [%d, %d) of %d bytes, last=%d parts=%v spans %s",
		c.From, c.To, c.Bytes, c.Last.GetCrc(), c.Parts, strings.Join(tables, " "))
}

// A cut has the rows of its records, and the answers beside it have all other rows: no row is in
// both or in neither, wherever in a segment the cut ends.
func TestCutAndRestAreAll(t *testing.T) {
	cfg := DefaultConfig()
	cfg.SegmentSpans = 5
	for covered := range int64(23) {
		s := newState(0, cfg, nil)
		s.startReplay(logBounds{covered: &jobs.CoveredResult{Epoch: "e"}})
		for i := range int64(23) {
			v := otlp.Encode(&otlp.Span{Trace: otlp.TraceID(uint64(i % 7)), ID: otlp.SpanID(uint64(i + 1)), Name: "x"})
			appendOne(s, time.Time{}, "a", v)
		}
		rows := func(tables []column.Table) (n int) {
			for _, t := range tables {
				n += t.Rows()
			}
			return n
		}
		require.EqualValues(t, covered, rows(s.snapshotsOf("a", 0, covered)))
		require.EqualValues(t, 23-covered, rows(s.snapshotsOf("a", covered, 23)))
	}
}
