package answer

import (
	"cmp"
	"maps"
	"slices"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// intrinsics are the names that autocomplete offers, the usual ones first: a limit of tags v1 keeps
// those.
var intrinsics = []string{"duration", "name", "status", "statusMessage", "kind", "rootServiceName", "rootName", "traceDuration", "event:name",
	"event:timeSinceStart", "link:spanID", "link:traceID", "instrumentation:name", "instrumentation:version", "trace:id", "span:id", "span:parentID",
	"span:status", "span:statusMessage", "span:duration", "span:name", "span:kind", "trace:rootName", "trace:rootService", "trace:duration"}

// scopes of attributes, in the order of answers.
var scopes = []string{"span", "resource", "event", "link", "instrumentation"}

// ScopeIntrinsic is the scope of names that are no attributes.
const ScopeIntrinsic = "intrinsic"

// IsKnownScope reports whether names can be asked for in a scope; the empty one, like "none", is all.
func IsKnownScope(scope string) bool {
	return scope == "" || scope == "none" || scope == "trace" || scope == ScopeIntrinsic || slices.Contains(scopes, scope)
}

// TagsRequest says which names an answer holds.
type TagsRequest struct {
	Scope    string
	Limit    int // names of each scope, in v1 of all together; 0: all
	MaxBytes int // of all names together; 0: no limit
}

// NeedsNoScan reports whether nothing has to be read for the answer.
func (r TagsRequest) NeedsNoScan() bool { return r.Scope == ScopeIntrinsic || r.Scope == "trace" }

func (r TagsRequest) includesScope(scope string) bool {
	return r.Scope == "" || r.Scope == "none" || r.Scope == scope
}

// textBudget takes from a number of bytes until one text does not fit any more.
type textBudget struct {
	left int
	unlimited  bool // no limit
}

func newTextBudget(bytes int) *textBudget { return &textBudget{left: bytes, unlimited: bytes <= 0} }

func (b *textBudget) admitText(n int) bool {
	if b.unlimited {
		return true
	}
	b.left -= n
	return b.left >= 0
}

// RenderTags makes the answer of tags v1: names of all scopes, sorted. Intrinsics are named only when
// they are asked for.
func RenderTags(a *jobs.Answer, r TagsRequest) *api.SearchTagsResponse {
	out := &api.SearchTagsResponse{Metrics: metadataMetricsOf(a), Complete: &a.Complete, Warnings: validTexts(a.Warnings), Watermark: uint64(a.Watermark)}
	all := map[string]struct{}{}
	for scope, names := range a.Partial.Tags {
		if r.includesScope(scope) {
			for n := range names {
				all[validText(n)] = struct{}{}
			}
		}
	}
	names := slices.Sorted(maps.Keys(all))
	if r.Scope == ScopeIntrinsic {
		names = intrinsics
	}
	b := newTextBudget(r.MaxBytes)
	for _, n := range names {
		if r.Limit > 0 && len(out.TagNames) == r.Limit || !b.admitText(len(n)) {
			break
		}
		out.TagNames = append(out.TagNames, n)
	}
	slices.Sort(out.TagNames)
	return out
}

// RenderTagsV2 makes the answer of tags v2: names by scope, sorted; the limit holds for each scope of
// attributes.
func RenderTagsV2(a *jobs.Answer, r TagsRequest) *api.SearchTagsV2Response {
	out := &api.SearchTagsV2Response{Metrics: metadataMetricsOf(a), Complete: &a.Complete, Warnings: validTexts(a.Warnings), Watermark: uint64(a.Watermark)}
	b := newTextBudget(r.MaxBytes)
	if r.includesScope(ScopeIntrinsic) {
		for _, n := range intrinsics {
			b.admitText(len(n))
		}
	}
	for _, scope := range scopes {
		if !r.includesScope(scope) {
			continue
		}
		s := &api.SearchTagsV2Scope{Name: scope}
		for _, n := range slices.Sorted(maps.Keys(a.Partial.Tags[scope])) {
			if n = validText(n); r.Limit > 0 && len(s.Tags) == r.Limit || !b.admitText(len(n)) {
				break
			}
			s.Tags = append(s.Tags, n)
		}
		if len(s.Tags) > 0 {
			out.Scopes = append(out.Scopes, s)
		}
	}
	if r.includesScope(ScopeIntrinsic) {
		out.Scopes = append(out.Scopes, &api.SearchTagsV2Scope{Name: ScopeIntrinsic, Tags: slices.Sorted(slices.Values(intrinsics))})
	}
	return out
}

// ListFixedValues are the values of a field that are known without looking: words of status and kind,
// and none where every value is different. ok says that the field is such a one.
func ListFixedValues(f *traceql.Field) (words []string, ok bool) {
	if f.Scope != traceql.ScopeIntrinsic {
		return nil, false
	}
	switch f.Name {
	case "status":
		return []string{"error", "ok", "unset"}, true
	case "kind":
		return []string{"client", "consumer", "internal", "producer", "server", "unspecified"}, true
	case "duration", "traceDuration", "trace:id", "span:id", "span:parentID", "link:traceID", "link:spanID", "parent":
		return nil, true
	}
	return nil, false
}

// RenderValuesV2 makes the answer of tag values v2, sorted by value and type; limit 0 is all. fixed are
// those of ListFixedValues.
func RenderValuesV2(a *jobs.Answer, fixed []string, limit int) *api.SearchTagValuesV2Response {
	out := &api.SearchTagValuesV2Response{Metrics: metadataMetricsOf(a), Complete: &a.Complete, Warnings: valueWarnings(a), Watermark: uint64(a.Watermark)}
	for _, w := range fixed {
		out.TagValues = append(out.TagValues, &api.TagValue{Type: "keyword", Value: w})
	}
	if a.Partial.Values != nil {
		for v := range a.Partial.Values.Values {
			out.TagValues = append(out.TagValues, &api.TagValue{Type: v.Type, Value: validText(v.Value)})
		}
	}
	slices.SortFunc(out.TagValues, func(x, y *api.TagValue) int {
		return cmp.Or(cmp.Compare(x.Value, y.Value), cmp.Compare(x.Type, y.Type))
	})
	if limit > 0 {
		out.TagValues = out.TagValues[:min(limit, len(out.TagValues))]
	}
	return out
}

// RenderValues makes the answer of tag values v1: texts, sorted, each once.
func RenderValues(a *jobs.Answer, fixed []string, limit int) *api.SearchTagValuesResponse {
	out := &api.SearchTagValuesResponse{Metrics: metadataMetricsOf(a), Complete: &a.Complete, Warnings: valueWarnings(a), Watermark: uint64(a.Watermark)}
	all := map[string]struct{}{}
	for _, w := range fixed {
		all[w] = struct{}{}
	}
	if a.Partial.Values != nil {
		for v := range a.Partial.Values.Values {
			all[validText(v.Value)] = struct{}{}
		}
	}
	out.TagValues = slices.Sorted(maps.Keys(all))
	if limit > 0 {
		out.TagValues = out.TagValues[:min(limit, len(out.TagValues))]
	}
	return out
}

// valueWarnings also names a cut at the limit of bytes; it does not make the answer incomplete: the
// client set no such limit, the operator did.
func valueWarnings(a *jobs.Answer) []string {
	w := validTexts(a.Warnings)
	if a.Partial.Values != nil && a.Partial.Values.Truncated {
		w = append(w, "values: more than max_bytes_per_tag_values_query; narrow the filter or the time range, or raise the limit")
	}
	return w
}
