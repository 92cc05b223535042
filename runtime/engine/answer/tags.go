package answer

import (
	"cmp"
	"maps"
	"slices"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// intrinsics are the names of intrinsics that autocomplete offers. The usual ones come first,
// because the limit of tags v1 keeps the first ones.
var intrinsics = []string{
	"duration", "name", "status", "statusMessage", "kind",
	"rootServiceName", "rootName", "traceDuration",
	"event:name", "event:timeSinceStart",
	"link:spanID", "link:traceID",
	"instrumentation:name", "instrumentation:version",
	"trace:id",
	"span:id", "span:parentID", "span:status", "span:statusMessage", "span:duration", "span:name", "span:kind",
	"trace:rootName", "trace:rootService", "trace:duration",
}

// scopes are the scopes of attributes, in the order in which answers list them.
var scopes = []string{"span", "resource", "event", "link", "instrumentation"}

// ScopeIntrinsic is the scope of the names of intrinsics.
const ScopeIntrinsic = "intrinsic"

// IsKnownScope reports whether a client may ask for the names of a scope. The empty scope and
// "none" stand for all of them.
func IsKnownScope(scope string) bool {
	switch scope {
	case "", "none", "trace", ScopeIntrinsic:
		return true
	}
	return slices.Contains(scopes, scope)
}

// TagsRequest selects the names of an answer.
type TagsRequest struct {
	Scope    string // see IsKnownScope
	Limit    int    // at most so many names: v1 in all, v2 for each scope; 0: no limit
	MaxBytes int    // at most so many bytes of names in all; 0: no limit
}

// NeedsNoScan reports whether the answer is known without reading any span.
func (r TagsRequest) NeedsNoScan() bool { return r.Scope == ScopeIntrinsic || r.Scope == "trace" }

func (r TagsRequest) includesScope(scope string) bool {
	return r.Scope == "" || r.Scope == "none" || r.Scope == scope
}

// textBudget is how many bytes of text an answer may still hold. Once a text did not fit, no later
// text does.
type textBudget struct {
	left      int
	unlimited bool
}

func newTextBudget(bytes int) *textBudget { return &textBudget{left: bytes, unlimited: bytes <= 0} }

// admitText takes a text of n bytes from the budget and reports whether it fits.
func (b *textBudget) admitText(n int) bool {
	if b.unlimited {
		return true
	}
	b.left -= n
	return b.left >= 0
}

// RenderTags makes the answer of tags v1: the names of all scopes together, sorted. It has
// intrinsics only if the request names their scope.
func RenderTags(a *jobs.Answer, r TagsRequest) *api.SearchTagsResponse {
	out := &api.SearchTagsResponse{
		Metrics:   metadataMetricsOf(a),
		Complete:  &a.Complete,
		Warnings:  validTexts(a.Warnings),
		Watermark: uint64(a.Watermark),
	}
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

// RenderTagsV2 makes the answer of tags v2: the names of each scope, sorted. The limit does not
// apply to intrinsics, but their bytes are taken from the budget first.
func RenderTagsV2(a *jobs.Answer, r TagsRequest) *api.SearchTagsV2Response {
	out := &api.SearchTagsV2Response{
		Metrics:   metadataMetricsOf(a),
		Complete:  &a.Complete,
		Warnings:  validTexts(a.Warnings),
		Watermark: uint64(a.Watermark),
	}
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
		out.Scopes = append(out.Scopes, &api.SearchTagsV2Scope{
			Name: ScopeIntrinsic,
			Tags: slices.Sorted(slices.Values(intrinsics)),
		})
	}
	return out
}

// ListFixedValues returns the values of a field that are known without reading any span: the words
// of status and kind, and no values for fields that are different in every span. ok reports whether
// the field is one of these.
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

// RenderValuesV2 makes the answer of tag values v2: the values found and the fixed ones (see
// ListFixedValues), sorted by value and type, at most limit; limit 0 stands for all.
func RenderValuesV2(a *jobs.Answer, fixed []string, limit int) *api.SearchTagValuesV2Response {
	out := &api.SearchTagValuesV2Response{
		Metrics:   metadataMetricsOf(a),
		Complete:  &a.Complete,
		Warnings:  valueWarnings(a),
		Watermark: uint64(a.Watermark),
	}
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

// RenderValues makes the answer of tag values v1: the values found and the fixed ones as texts,
// each once and sorted, at most limit; limit 0 stands for all.
func RenderValues(a *jobs.Answer, fixed []string, limit int) *api.SearchTagValuesResponse {
	out := &api.SearchTagValuesResponse{
		Metrics:   metadataMetricsOf(a),
		Complete:  &a.Complete,
		Warnings:  valueWarnings(a),
		Watermark: uint64(a.Watermark),
	}
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

// valueWarnings returns the warnings of an answer, and one more if values were left out because of
// the limit of bytes. That does not make the answer incomplete: every span in range was read.
func valueWarnings(a *jobs.Answer) []string {
	w := validTexts(a.Warnings)
	if a.Partial.Values != nil && a.Partial.Values.Truncated {
		w = append(w, "values: more than max_bytes_per_tag_values_query; "+
			"narrow the filter or the time range, or raise the limit")
	}
	return w
}
