package query

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/telemetry"
	"github.com/troupe-tracing/troupe/test/kit/frontend"
)

var now = time.Unix(1_000_000, 0)

// newService is a service over a query-frontend that answers as the test says, with a clock that
// stands.
func newService(t *testing.T, change func(*Deps)) (*frontend.Frontend, *Service) {
	t.Helper()
	f := frontend.New(t)
	d := Deps{Asker: f, Directory: f, Now: func() time.Time { return now }, Config: DefaultConfig()}
	if change != nil {
		change(&d)
	}
	return f, New(d)
}

// found is an answer with traces, which start at their numbers.
func found(numbers ...int) *jobs.Answer {
	p := &eval.SearchPartial{}
	for _, n := range numbers {
		p.Traces = append(p.Traces, eval.TraceMatch{ID: trace.ID{15: byte(n)}, Start: uint64(n) * 1e9})
	}
	return &jobs.Answer{Complete: true, Partial: jobs.Partial{Search: p}}
}

// The header names the tenants only where multitenancy is on; the node's own traces can be read
// without it.
func TestTenantsOf(t *testing.T) {
	many := strings.Repeat("t|", maxTenants) + "t"
	for _, c := range []struct {
		name, header string
		change       func(*Deps)
		want         []string
		err          string
	}{
		{name: "one", header: "a|b", want: []string{tenant.Single}},
		{name: "several", header: "a|b", change: func(d *Deps) { d.Multitenancy = true }, want: []string{"a", "b"}},
		{name: "missing", header: "", change: func(d *Deps) { d.Multitenancy = true }, err: tenant.ErrMissing.Error()},
		{name: "not allowed", header: "a|b", change: func(d *Deps) { d.Multitenancy, d.Config.MultiTenant = true, false },
			err: "multiple org IDs present"},
		{name: "own, without a tracer", header: telemetry.SelfTenant, want: []string{tenant.Single}},
	} {
		_, s := newService(t, c.change)
		got, err := s.TenantsOf(c.header)
		if c.err != "" {
			require.EqualError(t, err, c.err, c.name)
			continue
		}
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, got, c.name)
	}
	_, s := newService(t, func(d *Deps) { d.Multitenancy = true })
	got, err := s.TenantsOf(many) // names that come twice count once
	require.NoError(t, err)
	require.Equal(t, []string{"t"}, got)
}

// Of several tenants the strictest limit holds, and the configuration's where no tenant has one.
func TestLimitsFor(t *testing.T) {
	_, s := newService(t, func(d *Deps) {
		d.Limits = func(tenant string) Limits {
			return map[string]Limits{
				"a": {MaxSearchDuration: time.Hour, LeftPadTraceIDs: true},
				"b": {MaxSearchDuration: time.Minute, MaxTagBytes: 10},
			}[tenant]
		}
	})
	defaults := DefaultConfig()
	a := s.limitsFor([]string{"a"})
	require.Equal(t, Limits{MaxSearchDuration: time.Hour, MaxMetricsDuration: defaults.Metrics.MaxDuration,
		MaxTagBytes: defaults.MaxTagBytes, LeftPadTraceIDs: true}, a)
	both := s.limitsFor([]string{"a", "b"})
	require.Equal(t, Limits{MaxSearchDuration: time.Minute, MaxMetricsDuration: defaults.Metrics.MaxDuration, MaxTagBytes: 10}, both)
	require.Equal(t, both, s.limitsFor([]string{"b", "a"}))
}

// A range has both ends or none, is not turned round, and not longer than the limit. A client that
// names its length without an end is held to the length that it named.
func TestResolveRange(t *testing.T) {
	_, s := newService(t, nil)
	hour := uint64(3600)
	for _, c := range []struct {
		seconds Seconds
		most    time.Duration
		empty   bool // is allowed
		want    jobs.Range
		err     string
	}{
		{seconds: Seconds{}, want: jobs.Range{Start: uint64(now.Add(-15 * time.Minute).UnixNano()), End: uint64(now.Add(time.Hour).UnixNano())}},
		{seconds: Seconds{Start: 10, End: 20}, want: jobs.Range{Start: 10e9, End: 20e9 + 1}},
		{seconds: Seconds{Start: 10}, err: errOneSided.Error()},
		{seconds: Seconds{End: 10}, err: errOneSided.Error()},
		{seconds: Seconds{Start: 20, End: 10}, err: "http parameter start must be before end. received start=20 end=10"},
		{seconds: Seconds{Start: 20, End: 20}, err: "http parameter start must be before end. received start=20 end=20"},
		{seconds: Seconds{Start: 20, End: 20}, empty: true, want: jobs.Range{Start: 20e9, End: 20e9 + 1}},
		{seconds: Seconds{Start: 1, End: 1 + hour}, most: time.Hour, want: jobs.Range{Start: 1e9, End: (1+hour)*1e9 + 1}},
		{seconds: Seconds{Start: 1, End: 2 + hour}, most: time.Hour, err: "range specified by start and end exceeds 1h0m0s. received start=1 end=3602"},
		{seconds: Seconds{Start: 1, End: 2 + hour, Asked: time.Minute}, most: time.Hour, want: jobs.Range{Start: 1e9, End: (2+hour)*1e9 + 1}},
		{seconds: Seconds{Start: 1, End: 2, Asked: 2 * time.Hour}, most: time.Hour, err: "range specified by start and end exceeds 1h0m0s. received start=1 end=2"},
	} {
		got, err := s.resolveRange(c.seconds, c.most, c.empty)
		if c.err != "" {
			require.EqualError(t, err, c.err)
			require.Equal(t, status.Invalid, status.Of(err).Class)
			continue
		}
		require.NoError(t, err, "%+v", c.seconds)
		require.Equal(t, c.want, got, "%+v", c.seconds)
	}
}

// What is wrong with a search is told before anybody is asked.
func TestSearchIsChecked(t *testing.T) {
	f, s := newService(t, func(d *Deps) { d.Config.MaxQueryBytes = 20 })
	for want, q := range map[string]SearchParams{
		"limit 300000 exceeds max limit 262144":                                                      {Limit: 300_000},
		"spans per span set exceeds 100. received 101":                                               {SpansPerSpanSet: 101},
		"invalid maxDuration: must be greater than minDuration":                                      {MinDuration: 2, MaxDuration: 2},
		"invalid request: can't specify tags and q in the same query":                                {Query: "{}", Tags: "a=b"},
		"invalid tags: 24 bytes are more than the limit of 20":                                       {Tags: "a=" + strings.Repeat("b", 22)},
		"http parameter start must be before end. received start=20 end=10":                          {Seconds: Seconds{Start: 20, End: 10}},
		"error parsing date range: only one of start and end provided: must provide both or neither": {Seconds: Seconds{Start: 20}},
	} {
		_, err := s.SearchTraces(t.Context(), []string{"t"}, q, nil)
		require.EqualError(t, err, want)
		require.Equal(t, status.Invalid, status.Of(err).Class)
	}
	_, err := s.SearchTraces(t.Context(), []string{"t"}, SearchParams{Query: "{ broken"}, nil)
	require.ErrorContains(t, err, "invalid TraceQL query: ")
	require.Equal(t, status.Invalid, status.Of(err).Class)
	require.Empty(t, f.Asked())
}

// Each tenant is asked on its own, and the answers are joined.
func TestTenantsAreJoined(t *testing.T) {
	f, s := newService(t, nil)
	f.Query = func(_ context.Context, q *jobs.Query) (*jobs.Answer, error) {
		return map[string]*jobs.Answer{"a": found(3, 1), "b": found(2)}[q.Tenant], nil
	}
	m, err := s.SearchTraces(t.Context(), []string{"a", "b"}, SearchParams{Query: "{}"}, nil)
	require.NoError(t, err)
	require.Len(t, m.Traces, 3)
	require.Len(t, f.Asked(), 2)
	for _, q := range f.Asked() {
		require.False(t, q.WantsProgress)
	}
}

// The first error is the answer, and ends the questions to the other tenants.
func TestFirstErrorIsTheAnswer(t *testing.T) {
	f, s := newService(t, nil)
	f.Query = func(ctx context.Context, q *jobs.Query) (*jobs.Answer, error) {
		if q.Tenant == "a" {
			return nil, status.Errorf(status.Limited, "too much")
		}
		<-ctx.Done() // b ends only because a has failed
		return nil, ctx.Err()
	}
	_, err := s.SearchTraces(t.Context(), []string{"a", "b"}, SearchParams{Query: "{}"}, nil)
	require.EqualError(t, err, "too much")
	require.Equal(t, status.Limited, status.Of(err).Class)
}

// A stream tells what is known so far of all tenants together, and an error of its receiver ends
// the query.
func TestProgress(t *testing.T) {
	f, s := newService(t, func(d *Deps) { d.Config.FirstPacket, d.Config.Packet = time.Millisecond, time.Millisecond })
	told := make(chan struct{})
	f.Query = func(_ context.Context, q *jobs.Query) (*jobs.Answer, error) {
		if q.Tenant == "a" {
			f.Tell(q, found(3))
		}
		<-told // nobody is done before the client has heard of it
		return map[string]*jobs.Answer{"a": found(3, 1), "b": found(2)}[q.Tenant], nil
	}
	var packets []int
	m, err := s.SearchTraces(t.Context(), []string{"a", "b"}, SearchParams{Query: "{}"}, func(m *api.SearchResponse) error {
		if packets = append(packets, len(m.Traces)); len(packets) == 1 {
			close(told)
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 1, packets[0])
	require.Len(t, m.Traces, 3)

	gone := errors.New("the client is gone")
	f.Query = func(ctx context.Context, q *jobs.Query) (*jobs.Answer, error) {
		f.Tell(q, found(3))
		<-ctx.Done()
		return nil, ctx.Err()
	}
	_, err = s.SearchTraces(t.Context(), []string{"a"}, SearchParams{Query: "{}"}, func(*api.SearchResponse) error { return gone })
	require.ErrorIs(t, err, gone)
}

// A filter of names may be incomplete and then filters by what can be read of it; one that is too
// long, or has too many alternatives, is refused.
func TestParseFilter(t *testing.T) {
	_, s := newService(t, func(d *Deps) { d.Config.MaxQueryBytes, d.Config.Search.MaxConditionGroups = 60, 2 })
	none, err := s.parseFilter("")
	require.NoError(t, err)
	require.Nil(t, none)
	cut, err := s.parseFilter(`{ span.a = "x" && span.b = `)
	require.NoError(t, err)
	require.Equal(t, "{ (span.a = `x`) && true }", cut.String())
	_, err = s.parseFilter("{ " + strings.Repeat("a", 60) + " }")
	require.ErrorContains(t, err, "is longer than the limit of 60")
	_, err = s.parseFilter("{ span.a = 1 || span.b = 1 || span.c = 1 }")
	require.ErrorContains(t, err, "maximum condition groups reached (limit: 2)")
}

// Whoever looks for a trace gets its bytes and what the answer lacks.
func TestFindTrace(t *testing.T) {
	f, s := newService(t, nil)
	f.Query = func(context.Context, *jobs.Query) (*jobs.Answer, error) {
		return &jobs.Answer{Warnings: []string{"block a: gone", "block b: gone"}, Bytes: 7, Watermark: 9}, nil
	}
	otlp, m, err := s.FindTrace(t.Context(), []string{"t"}, trace.ID{15: 1}, nil)
	require.NoError(t, err)
	require.Nil(t, otlp)
	require.Equal(t, api.PartialStatus_PARTIAL, m.Status)
	require.Equal(t, "block a: gone; block b: gone", m.Message)
	require.EqualValues(t, 7, m.Metrics.InspectedBytes)
	require.False(t, m.GetComplete())
	require.EqualError(t, RequireComplete(m), "incomplete answer: block a: gone; block b: gone")
}

// A running query is ended in the tenant that it belongs to.
func TestCancelQuery(t *testing.T) {
	f, s := newService(t, nil)
	f.Cancel = func(m *jobs.CancelQuery) error {
		if m.Tenant == "b" && m.ID == "1" {
			return nil
		}
		return status.Errorf(status.NotFound, "query %s: it does not run", m.ID)
	}
	require.NoError(t, s.CancelQuery(t.Context(), []string{"a", "b"}, "1"))
	err := s.CancelQuery(t.Context(), []string{"a", "b"}, "2")
	require.Equal(t, status.NotFound, status.Of(err).Class)
}
