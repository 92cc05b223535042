package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/corpus"
)

// said is what a client was told of one service, whatever wire it asked over.
type said struct {
	Traces, Matched int
	Complete        bool
	Tags, Tags2     []string
	Values, Values2 []string
	Range, Instant  float64
	Refused         string
}

// Clients in Go, over gRPC on both ports, and in Python, with stubs of its own, are told the same
// as over HTTP; a small packet size changes nothing.
func TestClients(t *testing.T) { corpus.Run(t, checkClients) }

func checkClients(t *testing.T, from corpus.Source) {
	n := kit.NewNode(t)
	n.Config = "query_frontend:\n  max_grpc_streaming_packet_size: 20000\n"
	n.Start()
	want := map[string][]string{}
	load(t, n, from, corpus.WebApp, 0, want)
	start, end := extent(t, from.Protobuf(t, corpus.WebApp))
	overHTTP := askHTTP(t, n, start, end)
	require.Greater(t, overHTTP.Traces, 1)
	require.Greater(t, overHTTP.Matched, overHTTP.Traces)
	require.EqualValues(t, overHTTP.Matched, overHTTP.Range)
	require.EqualValues(t, overHTTP.Matched, overHTTP.Instant)
	for _, addr := range []string{n.GRPC, n.HTTP} {
		require.Equal(t, overHTTP, askGo(t, addr, start, end), addr)
	}
	t.Run("python", func(t *testing.T) {
		python := kit.Python(t, "grpc", "grpc_tools")
		root, err := filepath.Abs("../..")
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), python, "python/query.py", root, n.GRPC, service(overHTTP), fmt.Sprint(start), fmt.Sprint(end))
		out, err := cmd.Output()
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			t.Fatalf("%v: %s", err, failed.Stderr)
		}
		require.NoError(t, err)
		var got said
		require.NoError(t, json.Unmarshal(out, &got), "%s", out)
		require.Equal(t, overHTTP, got)
	})
}

// extent is the time of the requests' spans in whole minutes, with a margin, in unix seconds.
func extent(t *testing.T, requests [][]byte) (start, end int64) {
	t.Helper()
	start = 1 << 62
	for _, request := range requests {
		for _, rs := range parse(t, request).ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					start, end = min(start, s.StartTimestamp().AsTime().Unix()), max(end, s.EndTimestamp().AsTime().Unix())
				}
			}
		}
	}
	return start/60*60 - 60, end/60*60 + 120
}

// service is the one that is asked about: the first of all.
func service(s said) string {
	for _, v := range s.Values {
		if v != "" {
			return v
		}
	}
	return ""
}

func askHTTP(t *testing.T, n *kit.Node, start, end int64) (out said) {
	t.Helper()
	window := []string{"start", fmt.Sprint(start), "end", fmt.Sprint(end)}
	with := func(params ...string) []string { return append(params, window...) }
	var tags struct{ TagNames []string }
	n.GetJSON(&tags, "/api/search/tags", with("scope", "resource")...)
	var tags2 struct{ Scopes []struct{ Tags []string } }
	n.GetJSON(&tags2, "/api/v2/search/tags", with("scope", "resource")...)
	var values struct{ TagValues []string }
	n.GetJSON(&values, "/api/search/tag/service.name/values", window...)
	var values2 struct{ TagValues []struct{ Value string } }
	n.GetJSON(&values2, "/api/v2/search/tag/resource.service.name/values", window...)
	out = said{Tags: tags.TagNames, Tags2: tags2.Scopes[0].Tags, Values: values.TagValues}
	for _, v := range values2.TagValues {
		out.Values2 = append(out.Values2, v.Value)
	}
	query := fmt.Sprintf(`{ resource.service.name = %q }`, service(out))
	var search struct {
		Traces   []struct{ SpanSets []struct{ Matched int } }
		Complete bool
	}
	n.GetJSON(&search, "/api/search", with("q", query, "limit", "1000", "spss", "100", "require_complete", "true")...)
	out.Traces, out.Complete = len(search.Traces), search.Complete
	for _, tr := range search.Traces {
		for _, s := range tr.SpanSets {
			out.Matched += s.Matched
		}
	}
	var series struct {
		Series []struct {
			Samples []struct{ Value float64 }
			Value   float64
		}
	}
	n.GetJSON(&series, "/api/metrics/query_range", with("q", query+" | count_over_time()", "step", "60s")...)
	for _, s := range series.Series {
		for _, v := range s.Samples {
			out.Range += v.Value
		}
	}
	series.Series = nil
	n.GetJSON(&series, "/api/metrics/query", with("q", query+" | count_over_time()")...)
	for _, s := range series.Series {
		out.Instant += s.Value
	}
	require.Equal(t, out.Traces, streamed(t, n, with("q", query, "limit", "1000")...))
	code, _ := n.Get("/api/search", "q", "{")
	require.Equal(t, 400, code)
	out.Refused = "INVALID_ARGUMENT"
	return out
}

// streamed counts the traces of a search's result that comes as server-sent events.
func streamed(t *testing.T, n *kit.Node, params ...string) int {
	t.Helper()
	v := url.Values{}
	for i := 0; i < len(params); i += 2 {
		v.Set(params[i], params[i+1])
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.HTTP+"/api/search?"+v.Encode(), nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	_, result, ok := strings.Cut(string(b), "event: result\ndata: ")
	require.True(t, ok, "%.200s", b)
	var found struct{ Traces []struct{ TraceID string } }
	require.NoError(t, json.Unmarshal([]byte(result), &found))
	return len(found.Traces)
}

// final reads a stream and joins its messages, as simple clients do: what comes again takes the
// place of what came before.
func final[M any, P interface {
	*M
	proto.Message
}](t *testing.T, s grpc.ServerStreamingClient[M], err error, complete func(P) bool) P {
	t.Helper()
	require.NoError(t, err)
	joined := P(new(M))
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			require.True(t, complete(joined), "the last message says that the answer is whole")
			return joined
		}
		require.NoError(t, err)
		proto.Merge(joined, P(m))
	}
}

func askGo(t *testing.T, addr string, start, end int64) (out said) {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	c := api.NewStreamingQuerierClient(conn)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	from, to := uint32(start), uint32(end)

	st, err := c.SearchTags(ctx, &api.SearchTagsRequest{Scope: "resource", Start: from, End: to})
	out.Tags = distinct(final(t, st, err, (*api.SearchTagsResponse).GetComplete).TagNames)
	st2, err := c.SearchTagsV2(ctx, &api.SearchTagsRequest{Scope: "resource", Start: from, End: to})
	for _, s := range final(t, st2, err, (*api.SearchTagsV2Response).GetComplete).Scopes {
		out.Tags2 = append(out.Tags2, s.Tags...)
	}
	out.Tags2 = distinct(out.Tags2)
	sv, err := c.SearchTagValues(ctx, &api.SearchTagValuesRequest{TagName: "service.name", Start: from, End: to})
	out.Values = distinct(final(t, sv, err, (*api.SearchTagValuesResponse).GetComplete).TagValues)
	sv2, err := c.SearchTagValuesV2(ctx, &api.SearchTagValuesRequest{TagName: "resource.service.name", Start: from, End: to})
	for _, v := range final(t, sv2, err, (*api.SearchTagValuesV2Response).GetComplete).TagValues {
		out.Values2 = append(out.Values2, v.Value)
	}
	out.Values2 = distinct(out.Values2)

	query := fmt.Sprintf(`{ resource.service.name = %q }`, service(out))
	ss, err := c.Search(ctx, &api.SearchRequest{Query: query, Limit: 1000, SpansPerSpanSet: 100, Start: from, End: to})
	search := final(t, ss, err, (*api.SearchResponse).GetComplete)
	out.Complete = search.GetComplete()
	byID := map[string]*api.TraceSearchMetadata{}
	for _, tr := range search.Traces {
		byID[tr.TraceID] = tr // a trace that comes again takes the place of the former
	}
	out.Traces = len(byID)
	for _, tr := range byID {
		for _, s := range tr.SpanSets {
			out.Matched += int(s.Matched)
		}
	}
	window := [2]uint64{uint64(start) * 1e9, uint64(end) * 1e9}
	sr, err := c.MetricsQueryRange(ctx, &api.QueryRangeRequest{Query: query + " | count_over_time()", Start: window[0], End: window[1], Step: uint64(time.Minute)})
	for _, s := range final(t, sr, err, (*api.QueryRangeResponse).GetComplete).Series {
		for _, v := range s.Samples {
			out.Range += v.Value
		}
	}
	si, err := c.MetricsQueryInstant(ctx, &api.QueryInstantRequest{Query: query + " | count_over_time()", Start: window[0], End: window[1]})
	for _, s := range final(t, si, err, (*api.QueryInstantResponse).GetComplete).Series {
		out.Instant += s.Value
	}
	bad, err := c.Search(ctx, &api.SearchRequest{Query: "{"})
	require.NoError(t, err)
	_, err = bad.Recv()
	require.ErrorContains(t, err, "code = InvalidArgument")
	out.Refused = "INVALID_ARGUMENT"
	return out
}

// distinct are the values of a union, each once, in their order.
func distinct(in []string) (out []string) {
	seen := map[string]bool{}
	for _, s := range in {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
