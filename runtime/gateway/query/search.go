package query

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/answer"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// SearchParams asks for traces, by a query or by tags.
type SearchParams struct {
	Query           string // TraceQL
	Tags            string // logfmt; all of them have to match
	MinDuration     time.Duration
	MaxDuration     time.Duration
	Limit           int // 0: the configured default
	SpansPerSpanSet int // 0: the configured default
	Seconds         Seconds
}

// Seconds is a time range in unix seconds, both ends included. Where both are zero the range begins
// Config.Search.DefaultRange ago and ends at DefaultEnd.
type Seconds struct {
	Start, End uint64
	Asked      time.Duration // the length of the range that the client asked for, if it named no end; else 0
}

// DefaultEnd is the end of every range for which the client names none. It lies an hour ahead, so
// that an answer has the spans of machines whose clocks are ahead.
func DefaultEnd(now time.Time) time.Time { return now.Add(time.Hour) }

var errOneSided = errors.New("error parsing date range: only one of start and end provided: " +
	"must provide both or neither")

// resolveRange checks a range, which must not be longer than most, and returns it in nanoseconds.
// The end of the result is excluded.
func (s *Service) resolveRange(r Seconds, most time.Duration, mayBeEmpty bool) (jobs.Range, error) {
	switch {
	case r.Start == 0 && r.End == 0:
		now, back := s.Now(), s.Config.Search.DefaultRange
		if back == 0 {
			back = defaultRange
		}
		return jobs.Range{Start: uint64(now.Add(-back).UnixNano()), End: uint64(DefaultEnd(now).UnixNano())}, nil
	case r.Start == 0 || r.End == 0:
		return jobs.Range{}, status.Errorf(status.Invalid, "%w", errOneSided)
	case r.Start > r.End, r.Start == r.End && !mayBeEmpty:
		return jobs.Range{}, invalidf("http parameter start must be before end. received start=%d end=%d",
			r.Start, r.End)
	case most > 0 && (r.Asked == 0 && r.End-r.Start > uint64(most/time.Second) || r.Asked > most):
		return jobs.Range{}, invalidf("range specified by start and end exceeds %s. received start=%d end=%d",
			most, r.Start, r.End)
	}
	return jobs.Range{Start: nanosOf(r.Start), End: nanosOf(r.End) + 1}, nil
}

// nanosOf returns unix seconds in nanoseconds, or the last second of time.
func nanosOf(s uint64) uint64 {
	if s > math.MaxUint64/uint64(time.Second)-1 {
		return math.MaxUint64 - 1
	}
	return s * uint64(time.Second)
}

// SearchTraces finds traces. each may be nil; otherwise it is called from time to time with what is
// known so far.
func (s *Service) SearchTraces(
	ctx context.Context,
	tenants []string,
	q SearchParams,
	each func(*api.SearchResponse) error,
) (*api.SearchResponse, error) {
	limits := s.limitsFor(tenants)
	r, text, err := s.searchRequest(q, limits)
	if err != nil {
		return nil, err
	}
	jq := jobs.Query{Range: jobs.Range{Start: r.Start, End: r.End}, Scan: jobs.Scan{Search: r}, Text: text}
	return askFor(ctx, s, tenants, jq, func(a *jobs.Answer) (*api.SearchResponse, error) {
		return answer.RenderSearch(a, r, limits.LeftPadTraceIDs), nil
	}, each)
}

// searchRequest checks what a client asks and makes the scan of it, with its text for lists and
// logs.
func (s *Service) searchRequest(q SearchParams, l Limits) (r *eval.SearchRequest, text string, err error) {
	c := s.Config.Search
	r = &eval.SearchRequest{Limit: q.Limit, SpansPerSpanSet: q.SpansPerSpanSet}
	if r.Limit == 0 {
		r.Limit = c.DefaultLimit
	}
	if r.SpansPerSpanSet == 0 {
		r.SpansPerSpanSet = c.DefaultSpansPerSet
	}
	switch {
	case c.MaxLimit > 0 && r.Limit > c.MaxLimit:
		return nil, "", invalidf("limit %d exceeds max limit %d", r.Limit, c.MaxLimit)
	case c.MaxSpansPerSet > 0 && r.SpansPerSpanSet > c.MaxSpansPerSet:
		return nil, "", invalidf("spans per span set exceeds %d. received %d", c.MaxSpansPerSet, r.SpansPerSpanSet)
	case q.MaxDuration > 0 && q.MaxDuration <= q.MinDuration:
		return nil, "", invalidf("invalid maxDuration: must be greater than minDuration")
	case q.Query != "" && q.Tags != "":
		return nil, "", invalidf("invalid request: can't specify tags and q in the same query")
	}
	span, err := s.resolveRange(q.Seconds, l.MaxSearchDuration, false)
	if err != nil {
		return nil, "", err
	}
	r.Start, r.End = span.Start, span.End
	if q.Query != "" {
		if r.Query, err = traceql.ParseMax(q.Query, int(s.Config.MaxQueryBytes)); err != nil {
			return nil, "", invalidQuery("invalid TraceQL query: ", err)
		}
		return r, q.Query, nil
	}
	if len(q.Tags) > int(s.Config.MaxQueryBytes) {
		return nil, "", invalidf("invalid tags: %d bytes are more than the limit of %d", len(q.Tags),
			int(s.Config.MaxQueryBytes))
	}
	r.Bare = true
	if r.Query, err = traceql.ParseTags(q.Tags, q.MinDuration, q.MaxDuration); err != nil {
		return nil, "", invalidQuery("invalid tags: ", err)
	}
	return r, r.Query.String(), nil
}

// invalidQuery gives an error of the language, or of its evaluation, the class of a client's
// mistake. An error that has a class keeps it.
func invalidQuery(prefix string, err error) error {
	if err == nil {
		return nil
	}
	var own *status.Error
	if errors.As(err, &own) && own.Class != status.Internal {
		return err
	}
	var syntax *traceql.SyntaxError
	switch {
	case prefix != "", errors.As(err, &syntax), errors.Is(err, eval.ErrUnsupported), errors.Is(err, eval.ErrLimit):
		return status.Errorf(status.Invalid, "%s%w", prefix, err)
	}
	return err
}
