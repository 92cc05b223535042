package grpcapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/test/kit/frontend"
)

func newAPI(t *testing.T, change func(*Deps)) (*frontend.Frontend, api.StreamingQuerierClient) {
	t.Helper()
	f := frontend.New(t)
	d := Deps{Asker: f, Directory: f, Config: query.DefaultConfig()}
	d.Config.FirstPacket, d.Config.Packet = 0, time.Millisecond
	if change != nil {
		change(&d)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := grpc.NewServer()
	Register(s, d)
	go func() { _ = s.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(); s.Stop() })
	return f, api.NewStreamingQuerierClient(conn)
}

// receive reads a stream to its end.
func receive[M any](t *testing.T, s grpc.ServerStreamingClient[M], err error) ([]*M, error) {
	t.Helper()
	require.NoError(t, err)
	var out []*M
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, m)
	}
}

func found(matched int, ids ...byte) *jobs.Answer {
	p := &eval.SearchPartial{}
	for _, id := range ids {
		p.Traces = append(p.Traces, eval.TraceMatch{ID: trace.ID{15: id}, Start: uint64(id), SpanSets: []eval.SpanSet{{Matched: matched}}})
	}
	return &jobs.Answer{Complete: true, Jobs: 3, Done: len(ids), Partial: jobs.Partial{Search: p}}
}

func ids(m *api.SearchResponse) (out []string) {
	for _, t := range m.Traces {
		out = append(out, t.TraceID)
	}
	return out
}

// A search streams traces that are new or have changed, with growing metrics, and at last
// everything.
func TestSearchStream(t *testing.T) {
	f, c := newAPI(t, nil)
	next := make(chan struct{})
	f.Query = func(_ context.Context, q *jobs.Query) (*jobs.Answer, error) {
		f.Tell(q, found(1, 1, 2))
		<-next
		a := found(1, 3, 1, 2)
		a.Partial.Search.Traces[1].SpanSets[0].Matched = 9
		f.Tell(q, a)
		<-next
		return found(9, 3, 2, 1), nil
	}
	s, err := c.Search(t.Context(), &api.SearchRequest{Query: "{}", Limit: 5, SpansPerSpanSet: 2, Start: 100, End: 200})
	require.NoError(t, err)
	first, err := s.Recv()
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2"}, ids(first))
	require.EqualValues(t, 2, first.Metrics.CompletedJobs)
	require.Nil(t, first.Complete)
	next <- struct{}{}
	second, err := s.Recv()
	require.NoError(t, err)
	require.Equal(t, []string{"3", "1"}, ids(second), "the new one, and the one that has changed, whole")
	require.EqualValues(t, 9, second.Traces[1].SpanSets[0].Matched)
	require.EqualValues(t, 3, second.Metrics.CompletedJobs)
	next <- struct{}{}
	rest, err := receive(t, s, nil)
	require.NoError(t, err)
	final := rest[len(rest)-1]
	require.Equal(t, []string{"3", "2", "1"}, ids(final))
	require.True(t, final.GetComplete())
	r := f.Asked()[0].Scan.Search
	require.Equal(t, []any{5, 2, uint64(100e9), uint64(200e9 + 1)}, []any{r.Limit, r.SpansPerSpanSet, r.Start, r.End})
}

// Names and values stream what is new, then all; series come only when they are settled.
func TestOtherStreams(t *testing.T) {
	f, c := newAPI(t, nil)
	next := make(chan struct{})
	var answers []*jobs.Answer
	f.Query = func(_ context.Context, q *jobs.Query) (*jobs.Answer, error) {
		f.Tell(q, answers[0])
		<-next
		return answers[1], nil
	}
	tags := func(names ...string) *jobs.Answer {
		set := map[string]struct{}{}
		for _, n := range names {
			set[n] = struct{}{}
		}
		return &jobs.Answer{Complete: true, Partial: jobs.Partial{Tags: eval.TagNames{"span": set}}}
	}
	answers = []*jobs.Answer{tags("a"), tags("a", "b")}
	s, err := c.SearchTagsV2(t.Context(), &api.SearchTagsRequest{Scope: "span"})
	require.NoError(t, err)
	m, err := s.Recv()
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, m.Scopes[0].Tags)
	next <- struct{}{}
	all, err := receive(t, s, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, all[len(all)-1].Scopes[0].Tags)

	values := func(vs ...string) *jobs.Answer {
		v := &eval.TagValues{Values: map[eval.TagValue]struct{}{}}
		for _, s := range vs {
			v.Values[eval.TagValue{Type: "string", Value: s}] = struct{}{}
		}
		return &jobs.Answer{Complete: true, Partial: jobs.Partial{Values: v}}
	}
	answers = []*jobs.Answer{values("x"), values("x", "y")}
	sv, err := c.SearchTagValuesV2(t.Context(), &api.SearchTagValuesRequest{TagName: "span.a"})
	require.NoError(t, err)
	mv, err := sv.Recv()
	require.NoError(t, err)
	require.Len(t, mv.TagValues, 1)
	next <- struct{}{}
	allv, err := receive(t, sv, nil)
	require.NoError(t, err)
	require.Len(t, allv[len(allv)-1].TagValues, 2)

	answers = []*jobs.Answer{{Complete: true, Jobs: 2, Done: 1}, {Complete: true, Jobs: 2, Done: 2}}
	sr, err := c.MetricsQueryRange(t.Context(), &api.QueryRangeRequest{Query: "{} | rate()", Start: 1e9, End: 61e9, Step: 30e9})
	require.NoError(t, err)
	mr, err := sr.Recv()
	require.NoError(t, err)
	require.Empty(t, mr.Series)
	require.EqualValues(t, 1, mr.Metrics.CompletedJobs)
	next <- struct{}{}
	_, err = receive(t, sr, nil)
	require.NoError(t, err)
	r := f.Asked()[2].Scan.Metrics
	require.Equal(t, []int64{-30e9, 90e9, 30e9}, []int64{r.Start, r.End, r.Step})
}

// The client's going stops the query.
func TestClientGone(t *testing.T) {
	f, c := newAPI(t, nil)
	stopped := make(chan struct{})
	f.Query = func(ctx context.Context, q *jobs.Query) (*jobs.Answer, error) {
		f.Tell(q, found(1, 1))
		<-ctx.Done()
		close(stopped)
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := c.Search(ctx, &api.SearchRequest{Query: "{}"})
	require.NoError(t, err)
	_, err = s.Recv()
	require.NoError(t, err)
	cancel()
	<-stopped
	_, err = s.Recv()
	require.Equal(t, codes.Canceled, grpcstatus.Code(err))
}

// Errors have the codes and texts that Tempo's clients know; a stream that fails has no final
// message.
func TestErrors(t *testing.T) {
	f, c := newAPI(t, func(d *Deps) { d.Multitenancy = true })
	call := func(tenant string, req *api.SearchRequest) error {
		ctx := t.Context()
		if tenant != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "x-scope-orgid", tenant)
		}
		s, err := c.Search(ctx, req)
		messages, err := receive(t, s, err)
		require.Empty(t, messages)
		return err
	}
	for _, x := range []struct {
		tenant string
		req    *api.SearchRequest
		code   codes.Code
		text   string
	}{
		{"", &api.SearchRequest{}, codes.Unknown, "no org id"},
		{"a|", &api.SearchRequest{}, codes.InvalidArgument, "no org id"},
		{"a b", &api.SearchRequest{}, codes.InvalidArgument, "tenant ID 'a b' contains unsupported character ' '"},
		{"a", &api.SearchRequest{Query: "{}", Start: 5}, codes.InvalidArgument, "error parsing date range: only one of start and end provided: must provide both or neither"},
		{"a", &api.SearchRequest{Query: "{}", Tags: map[string]string{"a": "b"}}, codes.InvalidArgument, "invalid request: can't specify tags and q in the same query"},
		{"a", &api.SearchRequest{Tags: map[string]string{"a b": "b"}}, codes.InvalidArgument, `invalid tags: key "a b": must not be empty or have spaces, quotes or =`},
		{"a", &api.SearchRequest{MinDurationMs: 100, MaxDurationMs: 50}, codes.InvalidArgument, "invalid maxDuration: must be greater than minDuration"},
	} {
		err := call(x.tenant, x.req)
		require.Equal(t, x.code, grpcstatus.Code(err), x.text)
		require.Equal(t, x.text, grpcstatus.Convert(err).Message())
	}
	for class, code := range map[status.Class]codes.Code{status.Limited: codes.ResourceExhausted, status.Unavailable: codes.Unavailable,
		status.Internal: codes.Internal, status.Canceled: codes.Canceled} {
		f.Query = func(context.Context, *jobs.Query) (*jobs.Answer, error) { return nil, status.Errorf(class, "why") }
		err := call("a", &api.SearchRequest{})
		require.Equal(t, []any{code, "why"}, []any{grpcstatus.Code(err), grpcstatus.Convert(err).Message()})
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-scope-orgid", "a")
	for q, want := range map[string]string{"{}": "not a metrics query", "{ | rate()": "compiling query: parse error at line 1, col 3", "": "compiling query: parse error : syntax error: unexpected $end"} {
		s, err := c.MetricsQueryInstant(ctx, &api.QueryInstantRequest{Query: q, Start: 1, End: 2})
		_, err = receive(t, s, err)
		require.Equal(t, codes.Unknown, grpcstatus.Code(err))
		require.Contains(t, grpcstatus.Convert(err).Message(), want)
	}
	for _, r := range []*api.QueryRangeRequest{{}, {Start: 5, End: 5}} {
		r.Query = "{} | rate()"
		s, err := c.MetricsQueryRange(ctx, r)
		_, err = receive(t, s, err)
		require.Equal(t, codes.InvalidArgument, grpcstatus.Code(err))
		require.Equal(t, "end must be greater than start", grpcstatus.Convert(err).Message())
	}
}

// Tags of a request reach the query as they are written, whatever their values.
func TestTags(t *testing.T) {
	f, c := newAPI(t, nil)
	s, err := c.Search(t.Context(), &api.SearchRequest{Tags: map[string]string{"b": `x "y" = z`, "a": ""}})
	_, err = receive(t, s, err)
	require.NoError(t, err)
	require.Contains(t, f.Asked()[0].Scan.Search.Query.String(), "span.b = `x \"y\" = z`")
}

// Messages larger than a packet are split: metrics in each part, what the answer says of itself in
// the last, every item once.
func TestPackets(t *testing.T) {
	m := &api.SearchResponse{Metrics: &api.SearchMetrics{TotalJobs: 7}, Complete: proto.Bool(true), Warnings: []string{"w"}}
	tags := &api.SearchTagsV2Response{Metrics: &api.MetadataMetrics{}}
	series := &api.QueryRangeResponse{Metrics: &api.SearchMetrics{}, Status: api.PartialStatus_PARTIAL, Message: "m"}
	for i := range 100 {
		m.Traces = append(m.Traces, &api.TraceSearchMetadata{TraceID: fmt.Sprint(i), RootTraceName: strings.Repeat("x", 50)})
		series.Series = append(series.Series, &api.TimeSeries{Samples: make([]*api.Sample, 20)})
		for k := range series.Series[i].Samples {
			series.Series[i].Samples[k] = &api.Sample{TimestampMs: int64(k), Value: 1}
		}
		s := &api.SearchTagsV2Scope{Name: fmt.Sprint("scope", i/50)}
		if i%50 == 0 {
			tags.Scopes = append(tags.Scopes, s)
		}
		last := tags.Scopes[len(tags.Scopes)-1]
		last.Tags = append(last.Tags, fmt.Sprint("tag", i))
	}
	var got []*api.SearchResponse
	p := packets[*api.SearchResponse]{send: func(m *api.SearchResponse) error { got = append(got, m); return nil }, split: splitSearch, limit: 1000}
	require.NoError(t, p.sendMessage(m))
	require.Greater(t, len(got), 5)
	n := 0
	for i, part := range got {
		require.LessOrEqual(t, proto.Size(part), 1000)
		require.EqualValues(t, 7, part.Metrics.TotalJobs)
		require.Equal(t, i == len(got)-1, part.GetComplete())
		for _, tr := range part.Traces {
			require.Equal(t, fmt.Sprint(n), tr.TraceID)
			n++
		}
	}
	require.Equal(t, 100, n)

	got = nil
	p.limit = 10
	require.NoError(t, p.sendMessage(m))
	require.Len(t, got, 100, "a part holds at least one item, however large")
	got = nil
	require.NoError(t, p.sendMessage(&api.SearchResponse{Metrics: m.Metrics, Warnings: []string{strings.Repeat("long", 100)}}))
	require.Len(t, got, 1, "no items are one message")
	got, p.limit = nil, 0
	require.NoError(t, p.sendMessage(m))
	require.Len(t, got, 1, "no limit")

	all := map[string]int{}
	for _, part := range splitTagsV2(tags, 300) {
		require.LessOrEqual(t, proto.Size(part), 300)
		for _, s := range part.Scopes {
			for _, tag := range s.Tags {
				all[s.Name+tag]++
			}
		}
	}
	require.Len(t, all, 100)
	parts := splitRange(series, 2000)
	require.Equal(t, api.PartialStatus_COMPLETE, parts[0].Status)
	require.Equal(t, []any{api.PartialStatus_PARTIAL, "m"}, []any{parts[len(parts)-1].Status, parts[len(parts)-1].Message})
}

// A defect met by one call is an error of that call; the server goes on.
func TestDefect(t *testing.T) {
	bad := true
	_, c := newAPI(t, func(d *Deps) {
		d.Limits = func(string) query.Limits {
			if bad {
				panic("BUG: no limits")
			}
			return query.Limits{}
		}
	})
	s, err := c.Search(t.Context(), &api.SearchRequest{})
	_, err = receive(t, s, err)
	require.Equal(t, codes.Internal, grpcstatus.Code(err))
	bad = false
	s, err = c.Search(t.Context(), &api.SearchRequest{})
	_, err = receive(t, s, err)
	require.NoError(t, err)
}
