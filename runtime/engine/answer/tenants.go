package answer

import (
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// JoinTenants joins the answers of several tenants to the same query, in the order of names, into
// one; its warnings name their tenant. The answers stay as they are; a single one is returned
// itself.
func JoinTenants(names []string, answers []*jobs.Answer, scan jobs.Scan) (*jobs.Answer, error) {
	if len(answers) == 1 {
		return answers[0], nil
	}
	out := &jobs.Answer{Complete: true}
	var c trace.Collector
	var searches []*eval.SearchPartial
	for i, a := range answers {
		out.Done += a.Done
		out.Jobs += a.Jobs
		out.Blocks += a.Blocks
		out.BlockBytes += a.BlockBytes
		out.Bytes += a.Bytes
		out.Spans += a.Spans
		out.CacheHits += a.CacheHits
		out.Complete = out.Complete && a.Complete
		out.Long = out.Long || a.Long
		if a.Next != nil {
			out.Next = a.Next
		}
		out.Partials = append(out.Partials, a.Partials...)
		for _, w := range a.Warnings {
			out.Warnings = append(out.Warnings, "tenant "+names[i]+": "+w)
		}
		if i == 0 || a.Watermark < out.Watermark {
			out.Watermark = a.Watermark
		}
		if err := c.Add(a.Trace); err != nil {
			return nil, err
		}
		switch p := a.Partial; {
		case p.Search != nil:
			searches = append(searches, p.Search)
		default:
			out.Partial.Merge(p, scan)
		}
	}
	if len(searches) > 0 {
		out.Partial.Search = MergeSearch(scan.Search.Limit, searches...)
	}
	for _, id := range c.IDs() {
		out.Trace = trace.Assemble(c.Fragments(id)) // a span that several tenants have appears once
	}
	return out, nil
}
