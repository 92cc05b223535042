package query

import (
	"context"
	"math"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/answer"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// Tags asks for names of attributes.
type Tags struct {
	Scope, Query string // Query may be incomplete: clients ask while their user types
	Limit        int    // 0: all
	Seconds      Seconds
}

// Tags lists names, v1.
func (s *Service) Tags(ctx context.Context, tenants []string, q Tags, each func(*api.SearchTagsResponse) error) (*api.SearchTagsResponse, error) {
	q.Query = "" // v1 knows no filter
	return names(ctx, s, tenants, q, answer.RenderTags, each)
}

// TagsV2 lists names by scope.
func (s *Service) TagsV2(ctx context.Context, tenants []string, q Tags, each func(*api.SearchTagsV2Response) error) (*api.SearchTagsV2Response, error) {
	return names(ctx, s, tenants, q, answer.RenderTagsV2, each)
}

func names[T any](ctx context.Context, s *Service, tenants []string, q Tags, render func(*jobs.Answer, answer.TagsRequest) T, each func(T) error) (zero T, err error) {
	if !answer.IsKnownScope(q.Scope) {
		return zero, invalid("invalid scope: %s", q.Scope)
	}
	limits := s.limits(tenants)
	span, err := s.nanos(q.Seconds, limits.MaxSearchDuration, true)
	if err != nil {
		return zero, err
	}
	r := answer.TagsRequest{Scope: q.Scope, Limit: q.Limit, MaxBytes: limits.MaxTagBytes}
	if r.NeedsNoScan() {
		return render(&jobs.Answer{Complete: true}, r), nil
	}
	filter, err := s.filter(q.Query)
	if err != nil {
		return zero, err
	}
	pq := jobs.Query{Range: span, Text: q.Query, Scan: jobs.Scan{Tags: &eval.TagsRequest{Query: filter, Start: span.Start, End: span.End}}}
	var progress func(*jobs.Answer) error
	if each != nil {
		progress = func(a *jobs.Answer) error { return each(render(a, r)) }
	}
	a, err := s.ask(ctx, tenants, pq, progress)
	if err != nil {
		return zero, invalidQuery("", err)
	}
	return render(a, r), nil
}

// Values asks for the values of an attribute.
type Values struct {
	Name, Query string
	Limit       int // 0: all
	Seconds     Seconds
}

// Values lists values, v1: of an attribute of any scope, or of a few well-known names.
func (s *Service) Values(ctx context.Context, tenants []string, q Values, each func(*api.SearchTagValuesResponse) error) (*api.SearchTagValuesResponse, error) {
	q.Query = "" // v1 knows no filter
	if q.Name == "" {
		return nil, invalid("please provide a non-empty tagName")
	}
	field := &traceql.Field{Scope: traceql.ScopeNone, Name: q.Name}
	var fixed []string
	switch q.Name {
	case "name":
		field = &traceql.Field{Scope: traceql.ScopeIntrinsic, Name: "name"}
	case "root.name":
		field = &traceql.Field{Scope: traceql.ScopeIntrinsic, Name: "rootName"}
	case "root.service.name":
		field = &traceql.Field{Scope: traceql.ScopeIntrinsic, Name: "rootServiceName"}
	case "service.name":
		field = &traceql.Field{Scope: traceql.ScopeResource, Name: "service.name"}
	case "status.code":
		field, fixed = nil, []string{"error", "ok", "unset"}
	case "error":
		field, fixed = nil, []string{"true"}
	}
	render := func(a *jobs.Answer) *api.SearchTagValuesResponse { return answer.RenderValues(a, fixed, q.Limit) }
	return values(ctx, s, tenants, q, field, render, each)
}

// ValuesV2 lists values with their types. The name is a field as it stands in a query.
func (s *Service) ValuesV2(ctx context.Context, tenants []string, q Values, each func(*api.SearchTagValuesV2Response) error) (*api.SearchTagValuesV2Response, error) {
	if q.Name == "" {
		return nil, invalid("please provide a non-empty tagName")
	}
	field, err := traceql.ParseField(q.Name)
	if err != nil {
		return nil, invalid("please provide a valid tagName: failed to parse identifier %s: %s", q.Name, err)
	}
	fixed, known := answer.ListFixedValues(field)
	if known && (len(fixed) == 0 || q.Query == "") {
		field = nil
	} else {
		fixed = nil // with a filter, those that occur
	}
	render := func(a *jobs.Answer) *api.SearchTagValuesV2Response { return answer.RenderValuesV2(a, fixed, q.Limit) }
	return values(ctx, s, tenants, q, field, render, each)
}

// values asks for the values of field; nil asks nobody.
func values[T any](ctx context.Context, s *Service, tenants []string, q Values, field *traceql.Field, render func(*jobs.Answer) T, each func(T) error) (zero T, err error) {
	limits := s.limits(tenants)
	span, err := s.nanos(q.Seconds, limits.MaxSearchDuration, true)
	if err != nil {
		return zero, err
	}
	filter, err := s.filter(q.Query)
	if err != nil {
		return zero, err
	}
	if field == nil {
		return render(&jobs.Answer{Complete: true}), nil
	}
	filter = traceql.WithoutField(filter, field)
	pq := jobs.Query{Range: span, Text: q.Name + " " + q.Query, Scan: jobs.Scan{Values: &eval.ValuesRequest{Field: field, Query: filter,
		Start: span.Start, End: span.End, MaxBytes: limits.MaxTagBytes}}}
	var progress func(*jobs.Answer) error
	if each != nil {
		progress = func(a *jobs.Answer) error { return each(render(a)) }
	}
	a, err := s.ask(ctx, tenants, pq, progress)
	if err != nil {
		return zero, invalidQuery("", err)
	}
	return render(a), nil
}

// filter reads a query that may not be complete; what cannot be read does not filter.
func (s *Service) filter(q string) (*traceql.Query, error) {
	if q == "" {
		return nil, nil
	}
	if len(q) > int(s.Config.MaxQueryBytes) {
		return nil, invalid("invalid TraceQL query: query of %d bytes is longer than the limit of %d", len(q), int(s.Config.MaxQueryBytes))
	}
	if whole, err := traceql.Parse(q); err == nil {
		if most := s.Config.Search.MaxConditionGroups; most > 0 && groups(whole) > float64(most) {
			return nil, invalid("maximum condition groups reached (limit: %d). Reduce the number of OR conditions in the query", most)
		}
	}
	return traceql.ParseFilter(q), nil
}

// groups counts the alternatives of a filter once || is taken to the top.
func groups(q *traceql.Query) float64 {
	p, ok := q.Root.(*traceql.Pipeline)
	if !ok {
		return alternatives(q.Root)
	}
	n := 1.0
	for _, st := range p.Stages {
		n = math.Max(n, alternatives(st))
	}
	return n
}

func alternatives(n traceql.Node) float64 {
	switch n := n.(type) {
	case *traceql.Filter:
		if n.Expr == nil {
			return 1
		}
		return alternatives(n.Expr)
	case *traceql.Binary:
		switch n.Op {
		case "||":
			return alternatives(n.Left) + alternatives(n.Right)
		case "&&":
			return alternatives(n.Left) * alternatives(n.Right)
		}
	}
	return 1
}
