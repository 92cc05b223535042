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
	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/extract"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/long"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/views"
)

// What a query decides, as text.
func TestCourses(t *testing.T) {
	kit.Scripts(t, func(t *testing.T) func(kit.Event) []string {
		c := &driver{t: t, now: time.Unix(1000, 0)}
		return c.on
	})
}

// driver drives one query. Traces are named by numbers, times are nanoseconds.
type driver struct {
	t    *testing.T
	now  time.Time
	r    *course
	sent []job
	back []job // wait to be sent again
	last *catalog.View
}

func (c *driver) on(e kit.Event) []string {
	c.now = c.now.Add(time.Duration(e.Int(c.t, "after")) * time.Millisecond)
	switch e.Name {
	case "last": // what the query before has seen
		c.last = views.Parse(c.t, e)
		return nil
	case "query":
		return c.query(e)
	case "slots":
		return c.show(c.r.onSlots(int(e.Int(c.t, "n"))))
	case "take":
		return c.show(c.r.onTake(c.now))
	case "again":
		j := c.back[0]
		c.back = c.back[1:]
		return c.show(c.r.onRetryDue(j))
	case "deadline":
		return c.show(c.r.onTimeOver())
	}
	j := c.take(e)
	m := jobEnded{job: j}
	switch e.Name {
	case "fails":
		m.err = status.Errorf(classes[e.Fields["as"]], "%s", strings.ReplaceAll(e.Fields["text"], "_", " "))
	case "view":
		m.reply = views.Parse(c.t, e)
	case "homes":
		m.reply = &jobs.HomesResult{Retained: held(c, e), Behind: e.Fields["behind"], Partition: j.task.(homesTask).Partition, UpTo: e.Int(c.t, "upto"), Watermark: e.Int(c.t, "watermark"),
			Shared: views.Extents(c.t, e.Fields["shared"]), Unread: c.failures(e.Fields["unread"])}
	case "found":
		m.reply = &jobs.ScanResult{Partial: jobs.Partial{Search: c.partial(e)}, Retained: held(c, e), Oldest: uint64(e.Int(c.t, "oldest")),
			Bytes: e.Int(c.t, "bytes")}
	case "parts":
		m.reply = c.fragments(e, j)
	case "part":
		m.reply = c.part(e)
	case "recalled":
		m.reply = notKnown{}
		if e.Fields["traces"] != "" {
			m.reply = &jobs.ScanResult{Partial: jobs.Partial{Search: c.partial(e)}, CacheHits: 1}
		}
	case "assembled":
		joined := &jobs.JoinedResult{Partial: jobs.Partial{Search: c.partial(e)}, Tied: c.tied(e)}
		if n := e.Int(c.t, "spans"); n > 0 {
			joined.Partial = jobs.Partial{Matches: &eval.SpanMatches{Spans: int(n), Places: []uint32{1}}}
		}
		m.reply = joined
	case "too-much":
		m.reply = tooMuch{}
	case "keys":
		m.reply = c.keys(e)
	case "sifted":
		task := j.task.(siftTask)
		m.reply, m.err = task.run(c.t.Context())
	case "arranged":
		task := j.task.(arrangeTask)
		m.reply, m.err = task.run(c.t.Context())
	case "spans":
		m.reply = c.spans(e, j)
	case "written":
		m.reply = []byte(e.Fields["otlp"])
		if task, ok := j.task.(outlineTask); ok {
			m.reply, m.err = task.run(c.t.Context())
		}
	case "joined":
		m.reply = joinedTrace{otlp: []byte(e.Fields["otlp"])}
	default:
		c.t.Fatalf("unknown event %s", e.Name)
	}
	return c.show(c.r.onJobEnded(c.now, m))
}

var classes = map[string]status.Class{"unavailable": status.Unavailable, "timeout": status.Timeout, "corrupt": status.Corrupt, "not-found": status.NotFound,
	"invalid": status.Invalid, "limited": status.Limited, "internal": status.Internal}

func (c *driver) query(e kit.Event) []string {
	cfg := DefaultConfig().ForMachine(2)
	cfg.JobSpans = 1000
	for key, to := range map[string]*int{"confirm": &cfg.Confirm, "max-jobs": &cfg.MaxJobs} {
		if n := e.Int(c.t, key); n > 0 {
			*to = int(n)
		}
	}
	if n := e.Int(c.t, "max-bytes"); n > 0 {
		cfg.MaxBytes = config.Bytes(n)
	}
	if n := e.Int(c.t, "max-result"); n > 0 {
		cfg.MaxResult = config.Bytes(n)
	}
	if n := e.Int(c.t, "max-results"); n > 0 {
		cfg.MaxResults = config.Bytes(n)
	}
	if n := e.Int(c.t, "window"); n > 0 {
		cfg.TraceWindow = time.Duration(n)
	}
	q := &jobs.Query{Tenant: "t", Range: jobs.Range{Start: uint64(e.Int(c.t, "start")), End: uint64(e.Int(c.t, "end"))}}
	q.WantsProgress = e.Fields["progress"] != ""
	switch e.Fields["op"] {
	case "trace":
		id := views.ID(e.Fields["id"])
		q.Trace = &id
	case "chunks":
		id := views.ID(e.Fields["id"])
		q.Trace, q.Chunks = &id, &jobs.Chunks{MaxBytes: e.Int(c.t, "page")}
	case "outline":
		id := views.ID(e.Fields["id"])
		q.Trace, q.Chunks = &id, &jobs.Chunks{Outline: true}
	case "matches":
		q.Range.End = 1<<64 - 1
		q.Scan.Matches = &eval.MatchesRequest{Query: parse(c.t, "{ name = `GET` }"), Trace: views.ID(e.Fields["id"])}
	case "search":
		q.Scan.Search = &eval.SearchRequest{Query: parse(c.t, "{}"), Limit: int(e.Int(c.t, "limit")), SpansPerSpanSet: 3, Start: q.Range.Start, End: q.Range.End}
	case "tags":
		q.Scan.Tags = &eval.TagsRequest{Start: q.Range.Start, End: q.Range.End}
	}
	c.r = newCourse(cfg, q, c.last)
	return c.show(c.r.beginUntil(c.now.Add(time.Minute)))
}

func parse(t *testing.T, q string) *traceql.Query {
	out, err := traceql.Parse(q)
	require.NoError(t, err)
	return out
}

// take finds the job that an event is the end of.
func (c *driver) take(e kit.Event) job {
	i := slices.IndexFunc(c.sent, func(j job) bool {
		switch t := j.task.(type) {
		case viewTask:
			return e.Name == "view" || e.Fields["job"] == "view"
		case blockScanTask:
			return e.Fields["block"] == t.Block.Block.GetId() && e.Int(c.t, "part") == int64(t.Block.Part)
		case blockTracesTask:
			return e.Fields["block"] == t.Blocks[0].GetId()
		case blockTraceTask:
			return e.Fields["block"] == t.Blocks[0].GetId()
		case recallTask:
			return e.Name == "recalled"
		case joinTask:
			return e.Name == "joined"
		case blockKeysTask:
			return e.Fields["block"] == t.Blocks[0].GetId()
		case blockSpansTask:
			return e.Fields["block"] == t.Block.GetId()
		case siftTask:
			return e.Name == "sifted"
		case arrangeTask:
			return e.Name == "arranged"
		case writeTask, outlineTask:
			return e.Name == "written"
		case *assembleTask:
			return e.Name == "assembled" || e.Name == "too-much" || e.Fields["job"] == "assemble"
		case askedTask:
			_, key := t.actorAddress()
			return e.Fields["p"] == key
		}
		return false
	})
	require.GreaterOrEqual(c.t, i, 0, "no job is under way for %s %v", e.Name, e.Fields)
	j := c.sent[i]
	c.sent = slices.Delete(c.sent, i, i+1)
	return j
}

func (c *driver) failures(s string) (out []jobs.BlockFailure) {
	for _, name := range views.List(s) {
		i := slices.IndexFunc(c.r.basis.View.Blocks("t", 0, 1<<62), func(m *blocks.BlockMeta) bool { return m.GetId() == name })
		out = append(out, jobs.BlockFailure{Block: c.r.basis.View.Blocks("t", 0, 1<<62)[i], Class: status.Internal.String(), Reason: "the page is damaged"})
	}
	return out
}

// partial reads traces=7@15,8@12 candidates=9@20: traces newest first, with their starts.
func (c *driver) partial(e kit.Event) *eval.SearchPartial {
	p := &eval.SearchPartial{}
	for _, f := range views.List(e.Fields["traces"]) {
		id, at, _ := strings.Cut(f, "@")
		p.Traces = append(p.Traces, eval.TraceMatch{ID: views.ID(id), Start: c.num(at)})
	}
	for _, f := range views.List(e.Fields["candidates"]) {
		id, at, _ := strings.Cut(f, "@")
		p.Candidates = append(p.Candidates, eval.Candidate{ID: views.ID(id), Start: c.num(at)})
	}
	return p
}

func held(c *driver, e kit.Event) jobs.Retained {
	return jobs.Retained{Floor: e.Int(c.t, "floor"), Version: uint64(e.Int(c.t, "version"))}
}

// tied reads tied=1/7: spans by the ids of their traces and their own.
func (c *driver) tied(e kit.Event) (out []extract.Span) {
	for _, f := range views.List(e.Fields["tied"]) {
		id, span, _ := strings.Cut(f, "/")
		i := slices.Index(c.r.batch.IDs, views.ID(id))
		require.GreaterOrEqual(c.t, i, 0)
		out = append(out, extract.Span{Trace: uint32(i), ID: int64(c.num(span))})
	}
	return out
}

// showOnly prints the spans whose contents are asked for.
func showOnly(a jobs.TracesAsk) (out string) {
	for _, s := range a.Only {
		out += fmt.Sprintf(" only %d/%d", a.IDs[s.Trace][15], s.ID)
	}
	return out
}

// fragments reads ids=1,2: one part of each trace is held; failed=b: blocks that could not be read.
func (c *driver) fragments(e kit.Event, j job) *jobs.TracesResult {
	var ids []trace.ID
	out := &jobs.TracesResult{Retained: held(c, e), Bytes: 10}
	switch t := j.task.(type) {
	case liveTracesTask:
		ids = t.Job.IDs
	case blockTracesTask:
		ids = t.IDs
	}
	for _, f := range views.List(e.Fields["ids"]) {
		i := slices.Index(ids, views.ID(f))
		require.GreaterOrEqual(c.t, i, 0)
		part := &extract.Extract{Traces: []uint32{uint32(i)}}
		if n := e.Int(c.t, "bytes"); n > 0 {
			part.Contents = []trace.Fragment{{Span: make([]byte, n)}}
		}
		out.Extracts = append(out.Extracts, part)
	}
	out.Failed = c.failures(e.Fields["failed"])
	return out
}

// part reads bytes=8: a home holds that much of the trace; long=y: more than may be.
func (c *driver) part(e kit.Event) *jobs.TraceResult {
	n := e.Int(c.t, "bytes")
	out := &jobs.TraceResult{Retained: held(c, e), Watermark: e.Int(c.t, "watermark"), Bytes: 10, Size: n, Long: e.Fields["long"] != ""}
	if n > 0 {
		out.Fragments = [][]trace.Fragment{{{Span: make([]byte, n)}}}
	}
	out.Failed = c.failures(e.Fields["failed"])
	return out
}

// keys reads starts=3,7: a home has spans of these starts, in rows from first on; next=5: and more
// from that row on.
func (c *driver) keys(e kit.Event) *jobs.KeysResult {
	out := &jobs.KeysResult{Retained: held(c, e), Watermark: e.Int(c.t, "watermark"), UpTo: e.Int(c.t, "upto")}
	k := &long.Keys{Sent: []long.Place{{Group: uint32(e.Int(c.t, "first"))}}, Resources: []long.Digest{{}}, Scopes: []long.Digest{{}}}
	for i, s := range views.List(e.Fields["starts"]) {
		start := c.num(s)
		k.Rows, k.Places = append(k.Rows, uint32(i)+uint32(e.Int(c.t, "first"))), append(k.Places, 0)
		k.Starts, k.IDs = append(k.Starts, start), append(k.IDs, trace.SpanID{7: byte(start)})
	}
	out.Keys = []jobs.HomeKeys{{Keys: k}}
	if c.r.query.Chunks.Outline {
		n := len(k.Rows)
		k.Details = &long.Details{Durations: make([]int64, n), Parents: make([]trace.SpanID, n), Names: make([]uint32, n),
			Flags: make([]long.Flags, n), Texts: []string{"GET"}, Services: []string{"cart"}}
	}
	if n := e.Int(c.t, "next"); n > 0 {
		out.Next = &jobs.KeysFrom{Row: int(n)}
	}
	return out
}

// spans answers with the rows that were asked for; too-large=y: they have too many bytes.
func (c *driver) spans(e kit.Event, j job) *jobs.SpansResult {
	out := &jobs.SpansResult{Retained: held(c, e), TooLarge: e.Fields["too-large"] != ""}
	add := func(rows []uint32) {
		var fs []trace.Fragment
		var cs []long.Content
		for _, r := range rows {
			f := trace.Fragment{Span: []byte{byte(r)}}
			fs, cs = append(fs, f), append(cs, long.ContentOf(f.Span))
		}
		out.Fragments, out.Contents = append(out.Fragments, fs), append(out.Contents, cs)
	}
	switch t := j.task.(type) {
	case blockSpansTask:
		add(t.Rows)
	case *liveSpansTask:
		for _, h := range t.Rows {
			add(h.Rows)
		}
	}
	return out
}

// show prints a step in the order in which it is carried out.
func (c *driver) show(s step) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for range s.keep {
		add("keep")
	}
	if s.chunk != nil {
		add("chunk %q", s.chunk.Bytes)
	}
	if s.fail != nil {
		add("fail %s: %v", status.Of(s.fail).Class, s.fail)
		return out
	}
	answer := func(name string, a *jobs.Answer) {
		line := name
		if m := a.Partial.Matches; m != nil {
			line += fmt.Sprintf(" spans=%d matches=%d", m.Spans, m.Places)
		}
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
		if a.Long {
			line += " long"
		}
		if a.Next != nil {
			line += fmt.Sprintf(" next=%d+%d", a.Next.Start, a.Next.Items)
		}
		line += fmt.Sprintf(" jobs=%d/%d complete=%v watermark=%d", a.Done, a.Jobs, a.Complete, a.Watermark)
		if len(a.Partials) > 0 {
			line += " partial=" + views.Numbers(a.Partials)
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
	if s.retry != nil {
		c.back = append(c.back, *s.retry)
		add("again after=%s", s.retryAfter)
	}
	if s.unusedSlots > 0 {
		add("unused %d", s.unusedSlots)
	}
	if s.demandChanged {
		n, _ := c.r.slotDemand()
		add("want %d", n)
	}
	return out
}

func (c *driver) showJob(j job) string {
	switch t := j.task.(type) {
	case viewTask:
		if t.AtLeast > 0 {
			return fmt.Sprintf("scheduler view at-least=%d", t.AtLeast)
		}
		return "scheduler view"
	case homesTask:
		return fmt.Sprintf("live-store %d homes from=%d blocks=%d", t.Partition, t.Job.From, len(t.Job.Blocks))
	case liveScanTask:
		return fmt.Sprintf("live-store %d scan [%d, %d)%s", t.Partition, t.Live.From, t.Live.UpTo, newer(t.Live.Scan))
	case liveTracesTask:
		return fmt.Sprintf("live-store %d traces [%d, %d) %s", t.Partition, t.Job.From, t.Job.UpTo, views.Numbers(t.Job.IDs)) + showOnly(t.Job.TracesAsk)
	case blockScanTask:
		return fmt.Sprintf("querier scan %s %d/%d%s", t.Block.Block.GetId(), t.Block.Part, t.Block.Parts, newer(t.Block.Scan))
	case blockTracesTask:
		var names []string
		for _, b := range t.Blocks {
			names = append(names, b.GetId())
		}
		return fmt.Sprintf("querier traces %s %s", strings.Join(names, ","), views.Numbers(t.IDs)) + showOnly(t.TracesAsk)
	case *assembleTask:
		parts := make([]int, len(t.parts.IDs))
		for _, e := range t.parts.Extracts {
			for _, n := range e.Traces {
				parts[n]++
			}
		}
		return "pool assemble parts=" + strings.Trim(fmt.Sprint(parts), "[]")
	case liveTraceTask:
		return fmt.Sprintf("live-store %d trace from=%d %d", t.Partition, t.Job.From, t.Job.ID[15])
	case blockTraceTask:
		var names []string
		for _, b := range t.Blocks {
			names = append(names, b.GetId())
		}
		return fmt.Sprintf("querier trace %s %d", strings.Join(names, ","), t.ID[15])
	case liveKeysTask:
		return fmt.Sprintf("live-store %d keys [%d, %d) at=%d", t.partition, t.From, t.UpTo, t.At.Row) + showDetails(t.KeysWanted)
	case blockKeysTask:
		return fmt.Sprintf("querier keys %s at=%d", t.Blocks[0].GetId(), t.At.Row) + showDetails(t.KeysWanted)
	case *liveSpansTask:
		return fmt.Sprintf("live-store %d rows [%d, %d) %v contents=%v", t.partition, t.From, t.UpTo, t.Rows, t.ContentsOnly)
	case blockSpansTask:
		return fmt.Sprintf("querier rows %s %v contents=%v", t.Block.GetId(), t.Rows, t.ContentsOnly)
	case siftTask:
		return "pool sift"
	case arrangeTask:
		return "pool arrange"
	case outlineTask:
		return fmt.Sprintf("pool write outline header=%v", t.header != nil)
	case writeTask:
		return fmt.Sprintf("pool write spans=%d", t.chunk.Spans)
	case joinTask:
		return fmt.Sprintf("pool join parts=%d", len(t.homes))
	case recallTask:
		return "cache recall " + views.Numbers(c.r.batch.IDs)
	}
	return fmt.Sprintf("%T", j.task)
}

func showDetails(w jobs.KeysWanted) string {
	if !w.Details {
		return ""
	}
	return " details"
}

func newer(s jobs.Scan) string {
	if s.Search == nil || s.Search.Newer == 0 {
		return ""
	}
	return fmt.Sprint(" newer=", s.Search.Newer)
}

func (c *driver) num(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	require.NoError(c.t, err)
	return n
}
