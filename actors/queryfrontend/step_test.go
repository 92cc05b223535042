package queryfrontend

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/test/kit"
)

// What a query decides, as text.
func TestCourses(t *testing.T) {
	kit.Scripts(t, func(t *testing.T) func(kit.Event) []string {
		c := &course{t: t, now: time.Unix(1000, 0)}
		return c.on
	})
}

// course drives one query. Traces are named by numbers, times are nanoseconds.
type course struct {
	t    *testing.T
	now  time.Time
	r    *running
	sent []job
	back []job // wait to be sent again
	last *catalog.View
}

func (c *course) on(e kit.Event) []string {
	c.now = c.now.Add(time.Duration(e.Int(c.t, "after")) * time.Millisecond)
	switch e.Name {
	case "last": // what the query before has seen
		c.last = c.view(e)
		return nil
	case "query":
		return c.query(e)
	case "slots":
		return c.show(c.r.onSlots(int(e.Int(c.t, "n"))))
	case "again":
		j := c.back[0]
		c.back = c.back[1:]
		return c.show(c.r.onAgain(j))
	case "deadline":
		return c.show(c.r.onDeadline())
	}
	j := c.take(e)
	m := ended{job: j}
	switch e.Name {
	case "fails":
		m.err = status.Errorf(classes[e.Fields["as"]], "%s", strings.ReplaceAll(e.Fields["text"], "_", " "))
	case "view":
		m.reply = c.view(e)
	case "homes":
		m.reply = &jobs.HomesResult{Held: held(c, e), Behind: e.Fields["behind"], Partition: j.partition, UpTo: e.Int(c.t, "upto"), Watermark: e.Int(c.t, "watermark"),
			Shared: c.extents(e.Fields["shared"]), Unread: c.failures(e.Fields["unread"])}
	case "found":
		m.reply = &jobs.ScanResult{Partial: jobs.Partial{Search: c.partial(e)}, Held: held(c, e), Oldest: uint64(e.Int(c.t, "oldest")),
			Bytes: e.Int(c.t, "bytes")}
	case "parts":
		m.reply = c.fragments(e, j)
	case "recalled":
		m.reply = unknown{}
		if e.Fields["traces"] != "" {
			m.reply = &jobs.ScanResult{Partial: jobs.Partial{Search: c.partial(e)}, CacheHits: 1}
		}
	case "assembled":
		m.reply = &jobs.ScanResult{Partial: jobs.Partial{Search: c.partial(e)}}
		if c.r.q.Trace != nil {
			m.reply = assembled{otlp: []byte(e.Fields["otlp"])}
		}
	default:
		c.t.Fatalf("unknown event %s", e.Name)
	}
	return c.show(c.r.onEnded(c.now, m))
}

var classes = map[string]status.Class{"unavailable": status.Unavailable, "timeout": status.Timeout, "corrupt": status.Corrupt, "not-found": status.NotFound,
	"invalid": status.Invalid, "limited": status.Limited, "internal": status.Internal}

func (c *course) query(e kit.Event) []string {
	cfg := DefaultConfig().On(2)
	cfg.JobSpans = 1000
	for key, to := range map[string]*int{"confirm": &cfg.Confirm, "max-jobs": &cfg.MaxJobs} {
		if n := e.Int(c.t, key); n > 0 {
			*to = int(n)
		}
	}
	if n := e.Int(c.t, "max-bytes"); n > 0 {
		cfg.MaxBytes = n
	}
	if n := e.Int(c.t, "max-result"); n > 0 {
		cfg.MaxResult = n
	}
	if n := e.Int(c.t, "window"); n > 0 {
		cfg.TraceWindow = time.Duration(n)
	}
	q := &jobs.Query{Tenant: "t", Range: jobs.Range{Start: uint64(e.Int(c.t, "start")), End: uint64(e.Int(c.t, "end"))}}
	q.WantsProgress = e.Fields["progress"] != ""
	switch e.Fields["op"] {
	case "trace":
		id := number(e.Fields["id"])
		q.Trace = &id
	case "search":
		q.Scan.Search = &eval.SearchRequest{Query: parse(c.t, "{}"), Limit: int(e.Int(c.t, "limit")), SpansPerSpanSet: 3, Start: q.Range.Start, End: q.Range.End}
	case "tags":
		q.Scan.Tags = &eval.TagsRequest{Start: q.Range.Start, End: q.Range.End}
	}
	c.r = newRunning(cfg, q, c.last)
	return c.show(c.r.start(c.now.Add(time.Minute)))
}

func parse(t *testing.T, q string) *traceql.Query {
	out, err := traceql.Parse(q)
	require.NoError(t, err)
	return out
}

// take finds the job that an event is the end of.
func (c *course) take(e kit.Event) job {
	i := slices.IndexFunc(c.sent, func(j job) bool {
		switch m := j.msg.(type) {
		case *jobs.ViewJob:
			return e.Name == "view" || e.Fields["job"] == "view"
		case *jobs.BlockScanJob:
			return e.Fields["block"] == m.Block.GetId() && e.Int(c.t, "part") == int64(m.Part)
		case *jobs.BlockTracesJob:
			return e.Fields["block"] == m.Blocks[0].GetId()
		case recallJob:
			return e.Name == "recalled"
		case *assembleJob:
			return e.Name == "assembled" || e.Fields["job"] == "assemble"
		}
		return e.Fields["p"] == j.key && e.Fields["p"] != ""
	})
	require.GreaterOrEqual(c.t, i, 0, "no job is under way for %s %v", e.Name, e.Fields)
	j := c.sent[i]
	c.sent = slices.Delete(c.sent, i, i+1)
	return j
}

// view makes a catalog. covered=100,200 blocks=a:10-20@0/500: block a of partition 0 holds 500
// spans from 10 to 20.
func (c *course) view(e kit.Event) *catalog.View {
	s := catalog.New()
	first := &blocks.Entry{Epoch: &blocks.Epoch{Id: "e"}}
	for _, f := range split(e.Fields["covered"]) {
		first.Epoch.Starts = append(first.Epoch.Starts, int64(num(c.t, f)))
	}
	add := &blocks.BlocksReplaced{Tenant: "t"}
	for _, f := range split(e.Fields["blocks"]) {
		add.Outputs = append(add.Outputs, c.block(f))
	}
	for _, x := range c.extents(e.Fields["shared"]) {
		m := &blocks.SharedTrace{Tenant: "t", TraceId: x.ID[:], StartUnixNano: x.Start, EndUnixNano: x.End}
		for _, b := range add.Outputs {
			m.Homes = append(m.Homes, b.GetId())
		}
		add.Shared = append(add.Shared, m)
	}
	entries := []*blocks.Entry{first, {BlocksReplaced: add}}
	if f := e.Fields["gap"]; f != "" { // gap=0:100-150@5-25
		p, rest, _ := strings.Cut(f, ":")
		offsets, arrival, _ := strings.Cut(rest, "@")
		from, to := span(c.t, offsets)
		lo, hi := span(c.t, arrival)
		first.Epoch.Starts[num(c.t, p)] = int64(from)
		entries = append(entries, &blocks.Entry{Gap: &blocks.Gap{Epoch: "e", Partition: int32(num(c.t, p)), From: int64(from), To: int64(to),
			MinArrivalUnixNano: int64(lo), MaxArrivalUnixNano: int64(hi)}})
	}
	if f := e.Fields["aside"]; f != "" { // aside=tenant:100-150@5-25: one record of the tenant, of any where it is -
		tenant, rest, _ := strings.Cut(f, ":")
		offsets, arrival, _ := strings.Cut(rest, "@")
		from, to := span(c.t, offsets)
		lo, hi := span(c.t, arrival)
		first.Epoch.Starts[0] = int64(from)
		entries = append(entries, &blocks.Entry{CutPublished: &blocks.PublishCut{Epoch: "e", From: int64(from), To: int64(to), SetAside: []*blocks.SetAside{{Epoch: "e",
			Tenant: strings.Trim(tenant, "-"), From: int64(from), To: int64(to), Records: 1, MinArrivalUnixNano: int64(lo), MaxArrivalUnixNano: int64(hi), Reason: "it broke the engine"}}}})
	}
	require.NoError(c.t, s.Apply(&blocks.Commit{Seq: 1, Entries: entries}))
	for v := e.Int(c.t, "version"); s.View().Version < uint64(v); {
		require.NoError(c.t, s.Apply(&blocks.Commit{Seq: s.View().Version + 1}))
	}
	return s.View()
}

// block reads name:start-end@partition/spans.
func (c *course) block(f string) *blocks.BlockMeta {
	name, rest, _ := strings.Cut(f, ":")
	times, rest, _ := strings.Cut(rest, "@")
	p, spans, _ := strings.Cut(rest, "/")
	lo, hi := span(c.t, times)
	m := &blocks.BlockMeta{Id: name, Tenant: "t", Epoch: "e", Partition: -1, MinStartUnixNano: lo, MaxEndUnixNano: hi, Spans: 500, Bytes: 1000}
	if p != "" {
		m.Partition, m.Parts = int32(num(c.t, p)), []int32{2}
	}
	if spans != "" {
		m.Spans = int64(num(c.t, spans))
	}
	return m
}

func (c *course) failures(s string) (out []jobs.BlockFailure) {
	for _, name := range split(s) {
		i := slices.IndexFunc(c.r.view.Blocks("t", 0, 1<<62), func(m *blocks.BlockMeta) bool { return m.GetId() == name })
		out = append(out, jobs.BlockFailure{Block: c.r.view.Blocks("t", 0, 1<<62)[i], Class: status.Internal.String(), Reason: "the page is damaged"})
	}
	return out
}

// extents reads 1:10-20,2:30-40.
func (c *course) extents(s string) (out []catalog.Extent) {
	for _, f := range split(s) {
		id, times, _ := strings.Cut(f, ":")
		lo, hi := span(c.t, times)
		out = append(out, catalog.Extent{ID: number(id), Start: lo, End: hi})
	}
	return out
}

// partial reads traces=7@15,8@12 candidates=9@20: traces newest first, with their starts.
func (c *course) partial(e kit.Event) *eval.SearchPartial {
	p := &eval.SearchPartial{}
	for _, f := range split(e.Fields["traces"]) {
		id, at, _ := strings.Cut(f, "@")
		p.Traces = append(p.Traces, eval.TraceMatch{ID: number(id), Start: num(c.t, at)})
	}
	for _, f := range split(e.Fields["candidates"]) {
		id, at, _ := strings.Cut(f, "@")
		p.Candidates = append(p.Candidates, eval.Candidate{ID: number(id), Start: num(c.t, at)})
	}
	return p
}

func held(c *course, e kit.Event) jobs.Held {
	return jobs.Held{Floor: e.Int(c.t, "floor"), Version: uint64(e.Int(c.t, "version"))}
}

// fragments reads ids=1,2: one part of each trace is held; failed=b: blocks that could not be read.
func (c *course) fragments(e kit.Event, j job) *jobs.TracesResult {
	var ids []trace.ID
	out := &jobs.TracesResult{Held: held(c, e), Watermark: e.Int(c.t, "watermark"), Bytes: 10}
	switch m := j.msg.(type) {
	case *jobs.LiveTracesJob:
		ids = m.IDs
	case *jobs.BlockTracesJob:
		ids = m.IDs
	}
	out.Fragments = make([][][]trace.Fragment, len(ids))
	for _, f := range split(e.Fields["ids"]) {
		i := slices.Index(ids, number(f))
		require.GreaterOrEqual(c.t, i, 0)
		out.Fragments[i] = [][]trace.Fragment{{{Span: make([]byte, e.Int(c.t, "bytes"))}}}
	}
	out.Failed = c.failures(e.Fields["failed"])
	return out
}

// show prints a step in the order in which it is carried out.
func (c *course) show(s step) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if s.fail != nil {
		add("fail %s: %v", status.Of(s.fail).Class, s.fail)
		return out
	}
	answer := func(name string, a *jobs.Answer) {
		line := name
		if a.Partial.Search != nil {
			var ids []string
			for _, m := range a.Partial.Search.Traces {
				ids = append(ids, fmt.Sprintf("%d@%d", m.ID[15], m.Start))
			}
			line += " traces=" + strings.Join(ids, ",")
		}
		if a.Trace != nil {
			line += " otlp=" + string(a.Trace)
		}
		line += fmt.Sprintf(" jobs=%d/%d complete=%v watermark=%d", a.Done, a.Jobs, a.Complete, a.Watermark)
		if len(a.Partials) > 0 {
			line += " partial=" + numbers(a.Partials)
		}
		out = append(out, line)
		for _, w := range a.Warnings {
			add("  %s", w)
		}
	}
	if s.answer != nil {
		answer("answer", s.answer)
		return out
	}
	if s.progress != nil {
		answer("progress", s.progress)
	}
	for _, j := range s.jobs {
		c.sent = append(c.sent, j)
		add("ask %s", c.showJob(j))
	}
	if s.again != nil {
		c.back = append(c.back, *s.again)
		add("again after=%s", s.after)
	}
	if s.unused > 0 {
		add("unused %d", s.unused)
	}
	if s.wants {
		n, _ := c.r.waiting()
		add("want %d", n)
	}
	return out
}

func (c *course) showJob(j job) string {
	switch m := j.msg.(type) {
	case *jobs.ViewJob:
		if m.AtLeast > 0 {
			return fmt.Sprintf("scheduler view at-least=%d", m.AtLeast)
		}
		return "scheduler view"
	case *jobs.HomesJob:
		return fmt.Sprintf("live-store %s homes from=%d blocks=%d", j.key, m.From, len(m.Blocks))
	case *jobs.LiveScanJob:
		return fmt.Sprintf("live-store %s scan [%d, %d)%s", j.key, m.From, m.UpTo, newer(m.Scan))
	case *jobs.LiveTracesJob:
		return fmt.Sprintf("live-store %s traces [%d, %d) %s", j.key, m.From, m.UpTo, numbers(m.IDs))
	case *jobs.BlockScanJob:
		return fmt.Sprintf("querier scan %s %d/%d%s", m.Block.GetId(), m.Part, m.Parts, newer(m.Scan))
	case *jobs.BlockTracesJob:
		var names []string
		for _, b := range m.Blocks {
			names = append(names, b.GetId())
		}
		return fmt.Sprintf("querier traces %s %s", strings.Join(names, ","), numbers(m.IDs))
	case *assembleJob:
		var parts []string
		for _, homes := range m.traces {
			parts = append(parts, strconv.Itoa(len(homes)))
		}
		keep := ""
		if m.name != "" {
			keep = " keep"
		}
		return "pool assemble parts=" + strings.Join(parts, ",") + keep
	case recallJob:
		return "cache recall " + numbers(c.r.ids)
	}
	return fmt.Sprintf("%T", j.msg)
}

func newer(s jobs.Scan) string {
	if s.Search == nil || s.Search.Newer == 0 {
		return ""
	}
	return fmt.Sprint(" newer=", s.Search.Newer)
}

func number(s string) (id trace.ID) {
	n, _ := strconv.Atoi(s)
	id[15] = byte(n)
	return id
}

func numbers(ids []trace.ID) string {
	var out []string
	for _, id := range ids {
		out = append(out, strconv.Itoa(int(id[15])))
	}
	return strings.Join(out, ",")
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func num(t *testing.T, s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	require.NoError(t, err)
	return n
}

func span(t *testing.T, s string) (lo, hi uint64) {
	a, b, _ := strings.Cut(s, "-")
	return num(t, a), num(t, b)
}
