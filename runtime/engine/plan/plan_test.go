package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/views"
)

// What is planned, as text.
func TestPlans(t *testing.T) {
	kit.Scripts(t, func(t *testing.T) func(kit.Event) []string {
		p := &planner{t: t}
		return p.on
	})
}

// planner plans one query. Traces are named by numbers, times are nanoseconds.
type planner struct {
	t      *testing.T
	basis  Basis
	shared *jobs.Shared
	batch  Batch
}

func (p *planner) on(e kit.Event) []string {
	switch e.Name {
	case "query":
		p.basis = Basis{Query: p.query(e), Live: map[int32]*jobs.HomesResult{}}
		return nil
	case "view":
		p.basis.View = views.Parse(p.t, e)
		return nil
	case "live": // what a live-store has answered to its HomesJob
		partition := int32(e.Int(p.t, "p"))
		p.basis.Live[partition] = &jobs.HomesResult{Partition: partition, UpTo: e.Int(p.t, "upto"), Spans: e.Int(p.t, "spans"),
			Shared: views.Extents(p.t, e.Fields["shared"]), Parts: p.counts(e.Fields["counts"])}
		return nil
	case "homes":
		return p.homes(p.basis.PlanHomes(p.counts(e.Fields["counts"])))
	case "mixed":
		return []string{fmt.Sprint("counts ", p.basis.MixedCounts())}
	case "scans":
		return p.scans(p.basis.PlanScans(ScanOptions{SpansPerJob: e.Int(p.t, "spans-per-job"), Skip: named(e.Fields["skip"])}))
	case "order": // candidates=1@20: trace 1 starts at 20 at the latest
		var out []string
		for _, c := range p.basis.OrderCandidates(p.bounds(e), p.shared) {
			out = append(out, fmt.Sprintf("%d@%d", c.ID[15], c.Start))
		}
		return out
	case "size":
		list := p.basis.OrderCandidates(p.bounds(e), p.shared)
		return []string{fmt.Sprint(p.basis.BatchSize(list, p.shared, int(e.Int(p.t, "last")), int(e.Int(p.t, "most"))))}
	case "batch":
		p.batch = p.basis.PlanBatch(p.basis.OrderCandidates(p.bounds(e), p.shared), p.shared, named(e.Fields["unread"]))
		return []string{fmt.Sprintf("traces %s from %d to %d in %s settled=%v beyond=%v", views.Numbers(p.batch.IDs), p.batch.First, p.batch.Last,
			blockNames(p.batch.Blocks), p.batch.Settled, p.batch.Beyond)}
	case "fragments":
		return p.fragments(p.basis.PlanFragments(p.batch, jobs.TracesAsk{IDs: p.batch.IDs}, int(e.Int(p.t, "slots"))))
	case "trace":
		return p.reads(p.basis.PlanTrace(int(e.Int(p.t, "slots")), 100))
	}
	p.t.Fatalf("unknown event %s", e.Name)
	return nil
}

func (p *planner) query(e kit.Event) *jobs.Query {
	q := &jobs.Query{Tenant: "t", Explain: e.Fields["explain"] != "", Range: jobs.Range{Start: uint64(e.Int(p.t, "start")), End: uint64(e.Int(p.t, "end"))}}
	switch e.Fields["op"] {
	case "trace":
		id := views.ID(e.Fields["id"])
		q.Trace = &id
	case "search":
		q.Scan.Search = &eval.SearchRequest{Limit: int(e.Int(p.t, "limit")), Start: q.Range.Start, End: q.Range.End}
	case "metrics":
		q.Scan.Metrics = p.metrics(q, `{ } | rate() by (rootName)`)
	case "spanwise":
		q.Scan.Metrics = p.metrics(q, `{ } | rate() by (name)`)
	case "tags":
		q.Scan.Tags = &eval.TagsRequest{Start: q.Range.Start, End: q.Range.End}
	}
	q.Scan = q.Scan.WithTraceWindow(time.Duration(e.Int(p.t, "window")))
	return q
}

func (p *planner) metrics(q *jobs.Query, text string) *eval.MetricsRequest {
	parsed, err := traceql.Parse(text)
	require.NoError(p.t, err)
	return &eval.MetricsRequest{Query: parsed, Start: int64(q.Range.Start), End: int64(q.Range.End)}
}

func (p *planner) homes(list []Homes) (out []string) {
	for _, h := range list {
		line := fmt.Sprintf("live-store %d from=%d blocks=%s counts=%v", h.Partition, h.Job.From, blockNames(h.Job.Blocks), h.Job.Parts)
		if h.Job.Repeating {
			line += " repeating"
		}
		out = append(out, line)
	}
	return out
}

func (p *planner) scans(s Scans) []string {
	p.shared = s.Shared
	out := []string{fmt.Sprintf("blocks=%d bytes=%d out-of-range=%d", s.Blocks, s.BlockBytes, s.OutOfRange)}
	for _, c := range s.Straddling.NewestFirst() {
		out = append(out, fmt.Sprintf("candidate %d@%d", c.ID[15], c.Start))
	}
	for _, j := range s.Jobs {
		out = append(out, showScan(j))
	}
	for _, f := range s.Folds {
		out = append(out, "fold")
		for _, j := range f.Scans {
			out = append(out, "  "+showScan(j))
		}
	}
	return out
}

func showScan(j Scan) string {
	if j.Block == nil {
		return fmt.Sprintf("live-store %d [%d, %d) spans=%d", j.Partition, j.Live.From, j.Live.UpTo, j.Spans)
	}
	leavesOut := ""
	if j.Block.Print != 0 {
		leavesOut = " leaves-out"
	}
	return fmt.Sprintf("block %s %d/%d spans=%d%s", j.Block.Block.GetId(), j.Block.Part, j.Block.Parts, j.Spans, leavesOut)
}

func (p *planner) fragments(f Fragments) []string {
	asked := 0
	for _, b := range f.BlockJobs {
		asked += len(b.Blocks)
	}
	out := []string{fmt.Sprintf("blocks=%d", asked)}
	for _, l := range f.Live {
		out = append(out, fmt.Sprintf("live-store %d [%d, %d) %s", l.Partition, l.Job.From, l.Job.UpTo, views.Numbers(l.Job.IDs)))
	}
	for _, b := range f.BlockJobs {
		out = append(out, fmt.Sprintf("blocks %s %s", blockNames(b.Blocks), views.Numbers(b.IDs)))
	}
	return out
}

func (p *planner) reads(f TraceReads) []string {
	out := []string{fmt.Sprintf("blocks=%d", f.BlocksAsked)}
	for _, l := range f.Live {
		out = append(out, fmt.Sprintf("live-store %d from=%d %d", l.Partition, l.Job.From, l.Job.ID[15]))
	}
	for _, b := range f.BlockJobs {
		out = append(out, fmt.Sprintf("blocks %s %d", blockNames(b.Blocks), b.ID[15]))
	}
	return out
}

// bounds reads candidates=1@20,2@30.
func (p *planner) bounds(e kit.Event) jobs.StartBounds {
	out := jobs.StartBounds{}
	for _, f := range views.List(e.Fields["candidates"]) {
		id, start, _ := strings.Cut(f, "@")
		at, err := strconv.ParseUint(start, 10, 64)
		require.NoError(p.t, err)
		out.Add(views.ID(id), at)
	}
	return out
}

func (p *planner) counts(s string) (out []int32) {
	for _, f := range views.List(s) {
		n, err := strconv.Atoi(f)
		require.NoError(p.t, err)
		out = append(out, int32(n))
	}
	return out
}

func named(list string) func(*blocks.BlockMeta) bool {
	return func(m *blocks.BlockMeta) bool { return slices.Contains(views.List(list), m.GetId()) }
}

func blockNames(list []*blocks.BlockMeta) string {
	var out []string
	for _, m := range list {
		out = append(out, m.GetId())
	}
	return strings.Join(out, ",")
}
