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

// TagsParams asks for names of attributes.
type TagsParams struct {
	Scope   string
	Query   string // may be incomplete, because clients ask while their user types
	Limit   int    // 0: all
	Seconds Seconds
}

// ListTags lists names as version 1 of the API does. each is as in SearchTraces.
func (s *Service) ListTags(
	ctx context.Context,
	tenants []string,
	q TagsParams,
	each func(*api.SearchTagsResponse) error,
) (*api.SearchTagsResponse, error) {
	q.Query = "" // version 1 has no filter
	return askNames(ctx, s, tenants, q, answer.RenderTags, each)
}

// ListTagsV2 lists names by scope. each is as in SearchTraces.
func (s *Service) ListTagsV2(
	ctx context.Context,
	tenants []string,
	q TagsParams,
	each func(*api.SearchTagsV2Response) error,
) (*api.SearchTagsV2Response, error) {
	return askNames(ctx, s, tenants, q, answer.RenderTagsV2, each)
}

func askNames[T any](
	ctx context.Context,
	s *Service,
	tenants []string,
	q TagsParams,
	render func(*jobs.Answer, answer.TagsRequest) T,
	each func(T) error,
) (zero T, err error) {
	if !answer.IsKnownScope(q.Scope) {
		return zero, invalidf("invalid scope: %s", q.Scope)
	}
	limits := s.limitsFor(tenants)
	span, err := s.resolveRange(q.Seconds, limits.MaxSearchDuration, true)
	if err != nil {
		return zero, err
	}
	r := answer.TagsRequest{Scope: q.Scope, Limit: q.Limit, MaxBytes: limits.MaxTagBytes}
	if r.NeedsNoScan() {
		return render(&jobs.Answer{Complete: true}, r), nil
	}
	filter, err := s.parseFilter(q.Query)
	if err != nil {
		return zero, err
	}
	jq := jobs.Query{Range: span, Text: q.Query, Scan: jobs.Scan{Tags: &eval.TagsRequest{
		Query: filter,
		Start: span.Start,
		End:   span.End,
	}}}
	return askFor(ctx, s, tenants, jq, func(a *jobs.Answer) (T, error) { return render(a, r), nil }, each)
}

// ValuesParams asks for the values of an attribute.
type ValuesParams struct {
	Name    string // of the attribute
	Query   string // as in TagsParams
	Limit   int    // 0: all
	Seconds Seconds
}

// ListValues lists values as version 1 of the API does: of an attribute of any scope, or of a few
// well-known names. each is as in SearchTraces.
func (s *Service) ListValues(
	ctx context.Context,
	tenants []string,
	q ValuesParams,
	each func(*api.SearchTagValuesResponse) error,
) (*api.SearchTagValuesResponse, error) {
	q.Query = "" // version 1 has no filter
	if q.Name == "" {
		return nil, invalidf("please provide a non-empty tagName")
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
	return askValues(ctx, s, tenants, q, field, render, each)
}

// ListValuesV2 lists values with their types. The name is a field as it stands in a query. each is
// as in SearchTraces.
func (s *Service) ListValuesV2(
	ctx context.Context,
	tenants []string,
	q ValuesParams,
	each func(*api.SearchTagValuesV2Response) error,
) (*api.SearchTagValuesV2Response, error) {
	if q.Name == "" {
		return nil, invalidf("please provide a non-empty tagName")
	}
	field, err := traceql.ParseField(q.Name)
	if err != nil {
		return nil, invalidf("please provide a valid tagName: failed to parse identifier %s: %s", q.Name, err)
	}
	fixed, known := answer.ListFixedValues(field)
	if known && (len(fixed) == 0 || q.Query == "") {
		field = nil
	} else {
		fixed = nil // with a filter only the values that occur are listed
	}
	render := func(a *jobs.Answer) *api.SearchTagValuesV2Response { return answer.RenderValuesV2(a, fixed, q.Limit) }
	return askValues(ctx, s, tenants, q, field, render, each)
}

// askValues asks for the values of field. Where field is nil nobody is asked: render knows the
// values.
func askValues[T any](
	ctx context.Context,
	s *Service,
	tenants []string,
	q ValuesParams,
	field *traceql.Field,
	render func(*jobs.Answer) T,
	each func(T) error,
) (zero T, err error) {
	limits := s.limitsFor(tenants)
	span, err := s.resolveRange(q.Seconds, limits.MaxSearchDuration, true)
	if err != nil {
		return zero, err
	}
	filter, err := s.parseFilter(q.Query)
	if err != nil {
		return zero, err
	}
	if field == nil {
		return render(&jobs.Answer{Complete: true}), nil
	}
	jq := jobs.Query{Range: span, Text: q.Name + " " + q.Query, Scan: jobs.Scan{Values: &eval.ValuesRequest{
		Field:    field,
		Query:    traceql.WithoutField(filter, field),
		Start:    span.Start,
		End:      span.End,
		MaxBytes: limits.MaxTagBytes,
	}}}
	return askFor(ctx, s, tenants, jq, func(a *jobs.Answer) (T, error) { return render(a), nil }, each)
}

// parseFilter reads the filter of a question for names or values. The filter may be incomplete,
// because clients ask while their user types; the parts that cannot be read do not filter.
func (s *Service) parseFilter(q string) (*traceql.Query, error) {
	if q == "" {
		return nil, nil
	}
	if len(q) > int(s.Config.MaxQueryBytes) {
		return nil, invalidf("invalid TraceQL query: query of %d bytes is longer than the limit of %d",
			len(q), int(s.Config.MaxQueryBytes))
	}
	most := s.Config.Search.MaxConditionGroups
	if whole, err := traceql.Parse(q); err == nil && most > 0 && conditionGroups(whole) > float64(most) {
		return nil, invalidf("maximum condition groups reached (limit: %d). "+
			"Reduce the number of OR conditions in the query", most)
	}
	return traceql.ParseFilter(q), nil
}

// conditionGroups counts the alternatives that a filter has once every || in it is moved to the
// top.
func conditionGroups(q *traceql.Query) float64 {
	p, ok := q.Root.(*traceql.Pipeline)
	if !ok {
		return countAlternatives(q.Root)
	}
	n := 1.0
	for _, st := range p.Stages {
		n = math.Max(n, countAlternatives(st))
	}
	return n
}

func countAlternatives(n traceql.Node) float64 {
	switch n := n.(type) {
	case *traceql.Filter:
		if n.Expr == nil {
			return 1
		}
		return countAlternatives(n.Expr)
	case *traceql.Binary:
		switch n.Op {
		case "||":
			return countAlternatives(n.Left) + countAlternatives(n.Right)
		case "&&":
			return countAlternatives(n.Left) * countAlternatives(n.Right)
		}
	}
	return 1
}
