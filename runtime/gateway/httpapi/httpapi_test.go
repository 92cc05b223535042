package httpapi

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	messages "github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/gateway/delivery"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/test/kit/frontend"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// api under test: a front-end that answers as the test says, and a clock that stands.
func newAPI(t *testing.T, change func(*Deps)) (*frontend.Frontend, *httptest.Server) {
	t.Helper()
	f := frontend.New(t)
	d := Deps{Asker: f, Directory: f, Now: func() time.Time { return now }, Config: DefaultConfig()}
	d.Config.FirstPacket, d.Config.Packet = 0, time.Millisecond
	if change != nil {
		change(&d)
	}
	s := httptest.NewServer(Routes(d))
	t.Cleanup(s.Close)
	return f, s
}

func get(t *testing.T, s *httptest.Server, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	return do(t, s, http.MethodGet, path, "", headers...)
}

func do(t *testing.T, s *httptest.Server, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := (&http.Transport{DisableCompression: true}).RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(b)
}

func q(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return "?" + v.Encode()
}

// A search becomes a query with the configured defaults: from the last quarter of an hour to an
// hour from now.
func TestSearchDefaults(t *testing.T) {
	f, s := newAPI(t, nil)
	resp, body := get(t, s, "/api/search"+q("q", "{ status = error }"))
	require.Equal(t, 200, resp.StatusCode, body)
	require.Equal(t, `{"traces":[],"metrics":{}}`, body)
	require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	asked := f.Asked()[0]
	require.Equal(t, "single-tenant", asked.Tenant)
	require.Equal(t, "{ status = error }", asked.Text)
	require.Equal(t, uint64(now.Add(-15*time.Minute).UnixNano()), asked.Range.Start)
	require.Equal(t, uint64(now.Add(time.Hour).UnixNano()), asked.Range.End)
	r := asked.Scan.Search
	require.Equal(t, []any{20, 3, false}, []any{r.Limit, r.SpansPerSpanSet, r.Bare})
	require.Equal(t, []uint64{asked.Range.Start, asked.Range.End}, []uint64{r.Start, r.End})
}

// Parameters reach the query; start and end are both included.
func TestSearchParameters(t *testing.T) {
	f, s := newAPI(t, nil)
	for _, p := range []string{
		q("tags", "service.name=cart a=b", "minDuration", "100ms", "maxDuration", "2s", "limit", "7", "spss", "9", "start", "100", "end", "200"),
		q("q", "{}", "since", "2h", "start", "1", "end", "2"),
		q("q", "{}", "spss", "0"),
	} {
		resp, body := get(t, s, "/api/search"+p)
		require.Equal(t, 200, resp.StatusCode, body)
	}
	first, second, third := f.Asked()[0], f.Asked()[1], f.Asked()[2]
	require.Equal(t, jobs.Range{Start: 100e9, End: 200e9 + 1}, first.Range)
	require.Equal(t, []any{7, 9, true}, []any{first.Scan.Search.Limit, first.Scan.Search.SpansPerSpanSet, first.Scan.Search.Bare})
	require.Contains(t, first.Scan.Search.Query.String(), "resource.service.name =~ `.*cart.*`")
	require.Contains(t, first.Scan.Search.Query.String(), "traceDuration >= 100ms")
	require.Equal(t, uint64(now.Add(-2*time.Hour).UnixNano()), second.Range.Start)
	require.Equal(t, 3, third.Scan.Search.SpansPerSpanSet)
}

// Mistakes of a client are answered by 400 and a text that names them, without a line feed; nobody
// is asked.
func TestMistakes(t *testing.T) {
	f, s := newAPI(t, nil)
	for path, want := range map[string]string{
		"/api/search" + q("limit", "0"):                                  "invalid limit: must be a positive number",
		"/api/search" + q("limit", "-1"):                                 `invalid limit: strconv.ParseUint: parsing "-1": invalid syntax`,
		"/api/search" + q("limit", "4294967296"):                         `invalid limit: strconv.ParseUint: parsing "4294967296": value out of range`,
		"/api/search" + q("limit", "262145"):                             "limit 262145 exceeds max limit 262144",
		"/api/search" + q("spss", "101"):                                 "spans per span set exceeds 100. received 101",
		"/api/search" + q("start", "5"):                                  "http parameter start must be before end. received start=5 end=0",
		"/api/search" + q("end", "5"):                                    "error parsing date range: only one of start and end provided: must provide both or neither",
		"/api/search" + q("start", "1", "end", "604802"):                 "range specified by start and end exceeds 168h0m0s. received start=1 end=604802",
		"/api/search" + q("q", "{"):                                      "invalid TraceQL query: parse error at line 1, col 2",
		"/api/search" + q("q", "{}", "tags", "a=b"):                      "invalid request: can't specify tags and q in the same query",
		"/api/search" + q("tags", "a=b a=c"):                             "invalid tags: tag a has been set twice",
		"/api/search" + q("minDuration", "2s", "maxDuration", "1s"):      "invalid maxDuration: must be greater than minDuration",
		"/api/search" + q("q", "{}"+strings.Repeat(" ", 128<<10)):        "is longer than the limit",
		"/api/search" + q("require_complete", "maybe"):                   "invalid value for require_complete",
		"/api/search/tags" + q("scope", "foo"):                           "invalid scope: foo",
		"/api/search/tags" + q("start", "5"):                             "error parsing date range: only one of start and end provided: must provide both or neither",
		"/api/v2/search/tags" + q("q", or(101)):                          "maximum condition groups reached (limit: 100)",
		"/api/v2/search/tag/service.name/values":                         "please provide a valid tagName: failed to parse identifier service.name: parse error at line 1, col 1: unknown identifier: service",
		"/api/v2/search/tag/name/values" + q("limit", "x"):               "invalid limit: strconv.ParseUint",
		"/api/metrics/query_range":                                       "parse error : syntax error: unexpected $end",
		"/api/metrics/query":                                             "compiling query: parse error : syntax error: unexpected $end",
		"/api/metrics/query_range" + q("q", "{}"):                        "not a metrics query",
		"/api/metrics/query" + q("q", "{}"):                              "not a metrics query",
		"/api/metrics/query_range" + q("q", "{}|rate()", "start", "x"):   "rpc error: code = Code(400) desc = could not parse 'start' parameter: strconv.ParseInt",
		"/api/metrics/query_range" + q("q", "{}|rate()", "step", "NaN"):  "cannot parse",
		"/api/metrics/query_range" + q("q", "{}|rate()", "step", "0"):    "step of 0s is too small, minimum step for given range is 720ms",
		"/api/metrics/query_range" + q("q", "{}|rate()", "since", "25h"): "metrics query time range exceeds the maximum allowed duration of 24h0m0s",
		"/api/metrics/query_range" + q("q", "{}|rate()", "end", "9e18"):  "could not parse 'end'",
		"/api/traces/12xy":                                               "trace IDs can only contain hex characters: invalid character 'x' at position 3",
		"/api/v2/traces/8" + q("q", "{} >> {}"):                          "invalid TraceQL filter: only a single TraceQL filter is supported",
		"/api/v2/traces/8" + q("q", "{}", "match_depth", "-2"):           "invalid value for match_depth: must be >= -1",
	} {
		resp, body := get(t, s, path)
		require.Equal(t, 400, resp.StatusCode, "%s: %s", path, body)
		require.Contains(t, body, want, path)
		require.Equal(t, "text/plain; charset=utf-8", resp.Header.Get("Content-Type"))
		require.NotContains(t, body, "\n")
	}
	require.Empty(t, f.Asked())
}

func or(n int) string { return "{ " + strings.Repeat("span.a = 1 || ", n-1) + "span.a = 1 }" }

// A range query is aligned to its step: the first interval lies one step earlier, the end is
// rounded up.
func TestRangeQuery(t *testing.T) {
	f, s := newAPI(t, nil)
	for _, p := range []string{
		q("q", "{} | rate()", "start", "1007", "end", "1097", "step", "30s"),
		q("query", "{} | rate()", "start", "1000", "end", "1120"),
		q("q", "{} | rate() with(exemplars=3)", "start", "1000.5", "end", "1970-01-01T00:18:40Z", "exemplars", "7", "maxSeries", "5"),
		q("q", "{} | rate()"),
	} {
		resp, body := get(t, s, "/api/metrics/query_range"+p)
		require.Equal(t, 200, resp.StatusCode, body)
	}
	resp, body := get(t, s, "/api/metrics/query"+q("q", "{} | rate()", "start", "1000", "end", "1120"))
	require.Equal(t, 200, resp.StatusCode, body)
	at := func(i int) *eval.MetricsRequest { return f.Asked()[i].Scan.Metrics }
	require.Equal(t, []int64{960e9, 1110e9, 30e9}, []int64{at(0).Start, at(0).End, at(0).Step})
	require.Equal(t, 100, at(0).Exemplars)
	require.Equal(t, int64(1e9), at(1).Step, "auto")
	require.Equal(t, []int{3, 5}, []int{at(2).Exemplars, at(2).MaxSeries})
	require.Equal(t, now.Add(time.Hour).UnixNano(), at(3).End, "the last hour, and what clocks that are ahead send")
	require.Equal(t, int64(15*time.Second), at(3).Step)
	require.Equal(t, []any{true, int64(1000e9), int64(1120e9)}, []any{at(4).Instant, at(4).Start, at(4).End})

	// Without an end: what is ahead of now is counted, but neither the limit of the range nor rates
	// count the time.
	resp, body = get(t, s, "/api/metrics/query"+q("q", "{} | rate()", "since", "24h"))
	require.Equal(t, 200, resp.StatusCode, body)
	require.Equal(t, []int64{now.Add(-24 * time.Hour).UnixNano(), now.Add(time.Hour).UnixNano(), int64(24 * time.Hour)}, []int64{at(5).Start, at(5).End, at(5).Step})
	resp, body = get(t, s, "/api/search"+q("q", "{}", "since", "7d"))
	require.Equal(t, 200, resp.StatusCode, body)
}

// Tempo's tags of a name with any characters reach the engine as they were written.
func TestValueNames(t *testing.T) {
	f, s := newAPI(t, nil)
	for path, want := range map[string]string{
		"/api/v2/search/tag/span.a/b/values":                            `span.a/b`,
		"/api/v2/search/tag/span.%22key%20with%20space%22/values":       `span."key with space"`,
		"/api/v2/search/tag/span.%22%D0%BA%D0%BB%D1%8E%D1%87%22/values": `span.ключ`,
		"/api/v2/search/tag/%2Eregion/values":                           `.region`,
		"/api/search/tag/http.status_code/values":                       `.http.status_code`,
		"/api/search/tag/span.http.method/values":                       `.span.http.method`,
		"/api/search/tag/root.name/values":                              `rootName`,
		"/api/v2/search/tag/status/values" + q("q", "{ span.a = 1 }"):   `status`,
		`/api/v2/search/tag/resource.%22quote%5C%22d%22/values`:         `resource."quote\"d"`,
	} {
		before := len(f.Asked())
		resp, body := get(t, s, path)
		require.Equal(t, 200, resp.StatusCode, "%s: %s", path, body)
		require.Len(t, f.Asked(), before+1, path)
		require.Equal(t, want, f.Asked()[before].Scan.Values.Field.String(), path)
	}
	before := len(f.Asked())
	resp, body := get(t, s, "/api/v2/search/tag/status/values")
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, `{"tagValues":[{"type":"keyword","value":"error"},{"type":"keyword","value":"ok"},{"type":"keyword","value":"unset"}],"metrics":{}}`, body)
	_, body = get(t, s, "/api/search/tag/error/values")
	require.Equal(t, `{"tagValues":["true"],"metrics":{}}`, body)
	require.Len(t, f.Asked(), before, "nobody is asked for what is known")
}

func chain(t *testing.T) []byte {
	t.Helper()
	b, _, err := trace.FromJSON([]byte(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}}]},"scopeSpans":[{"spans":[
		{"traceId":"00000000000000000000000000000008","spanId":"0000000000000001","name":"one","startTimeUnixNano":"1","endTimeUnixNano":"9","status":{"code":2}},
		{"traceId":"00000000000000000000000000000008","spanId":"0000000000000002","parentSpanId":"0000000000000001","name":"two","startTimeUnixNano":"2","endTimeUnixNano":"3"}]}]}]}`))
	require.NoError(t, err)
	return b
}

// Trace by id in its forms: v1 and v2, JSON, protobuf and for language models; not found is 404 in
// v1 and an empty trace in v2.
func TestTraceByID(t *testing.T) {
	f, s := newAPI(t, nil)
	otlp := chain(t)
	f.Query = func(_ context.Context, q *jobs.Query) (*jobs.Answer, error) {
		if *q.Trace == (trace.ID{15: 8}) {
			return &jobs.Answer{Complete: true, OfTrace: jobs.OfTrace{Trace: otlp}, Bytes: 5}, nil
		}
		return &jobs.Answer{Complete: true}, nil
	}
	resp, body := get(t, s, "/api/traces/8")
	require.Equal(t, 200, resp.StatusCode)
	require.True(t, strings.HasPrefix(body, `{"batches":[`), body)
	require.Equal(t, "true", resp.Header.Get("Troupe-Complete"))
	_, body = get(t, s, "/api/v2/traces/8")
	require.Contains(t, body, `{"trace":{"resourceSpans":[`)
	require.Contains(t, body, `"metrics":{"inspectedBytes":"5"}}`)
	resp, body = get(t, s, "/api/traces/8", "Accept", "application/json, application/protobuf")
	require.Equal(t, "application/protobuf", resp.Header.Get("Content-Type"))
	require.Equal(t, string(otlp), body)
	resp, body = get(t, s, "/api/v2/traces/8", "Accept", "application/protobuf")
	require.Equal(t, "application/protobuf", resp.Header.Get("Content-Type"))
	var m messages.TraceByIDResponse
	require.NoError(t, proto.Unmarshal([]byte(body), &m))
	require.Len(t, m.Trace.ResourceSpans[0].ScopeSpans[0].Spans, 2)
	require.EqualValues(t, 5, m.Metrics.InspectedBytes)
	resp, body = get(t, s, "/api/v2/traces/8", "Accept", "application/vnd.grafana.llm")
	require.Equal(t, "application/vnd.grafana.llm+json", resp.Header.Get("Content-Type"))
	require.Contains(t, body, `"serviceName":"cart"`)

	resp, body = get(t, s, "/api/traces/9")
	require.Equal(t, []any{404, ""}, []any{resp.StatusCode, body})
	require.Empty(t, resp.Header.Get("Content-Type"))
	resp, body = get(t, s, "/api/v2/traces/9")
	require.Equal(t, []any{200, `{"trace":{},"metrics":{}}`}, []any{resp.StatusCode, body})
	resp, body = get(t, s, "/api/v2/traces/9", "Accept", "application/protobuf")
	require.Equal(t, 200, resp.StatusCode)
	require.NoError(t, proto.Unmarshal([]byte(body), &m))
	require.NotNil(t, m.Trace)
	require.Empty(t, m.Trace.ResourceSpans)
}

// A filter keeps what matches, and the answer says that it is a part.
func TestTraceFilter(t *testing.T) {
	f, s := newAPI(t, nil)
	otlp := chain(t)
	f.Query = func(context.Context, *jobs.Query) (*jobs.Answer, error) {
		return &jobs.Answer{Complete: true, OfTrace: jobs.OfTrace{Trace: otlp}}, nil
	}
	_, body := get(t, s, "/api/v2/traces/8"+q("q", "{ status = error }"))
	require.Contains(t, body, `"name":"one"`)
	require.NotContains(t, body, `"name":"two"`)
	require.Contains(t, body, `"status":"PARTIAL","message":"Trace filtered, only a subset of spans matching the filter is returned"`)
	_, body = get(t, s, "/api/v2/traces/8"+q("q", `{ name = "two" }`, "keep_hierarchy", "true"))
	require.Contains(t, body, `"name":"one"`)
	require.NotContains(t, body, "PARTIAL")
	_, body = get(t, s, "/api/v2/traces/8"+q("q", `{ name = "none" }`))
	require.Contains(t, body, `{"trace":{},`)
}

// What could not be read is told in Tempo's fields and in added ones, and is an error for those who
// want all or nothing.
func TestIncomplete(t *testing.T) {
	f, s := newAPI(t, nil)
	f.Query = func(_ context.Context, q *jobs.Query) (*jobs.Answer, error) {
		return &jobs.Answer{Warnings: []string{"block ф: corrupt"}, Watermark: now.UnixNano()}, nil
	}
	for _, path := range []string{"/api/search" + q("q", "{}"), "/api/v2/search/tags", "/api/metrics/query_range" + q("q", "{}|rate()"), "/api/v2/traces/8"} {
		resp, body := get(t, s, path)
		require.Equal(t, 200, resp.StatusCode, body)
		require.Contains(t, body, `"complete":false,"warnings":["block ф: corrupt"],"watermark":"`)
		require.Equal(t, "false", resp.Header.Get("Troupe-Complete"))
		require.Equal(t, "block ?: corrupt", resp.Header.Get("Troupe-Warning"))
		require.Equal(t, "2026-03-01T12:00:00Z", resp.Header.Get("Troupe-Watermark"))
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		resp, body = get(t, s, path+sep+"require_complete=true")
		require.Equal(t, 503, resp.StatusCode, body)
		require.Equal(t, "incomplete answer: block ф: corrupt", body)
	}
	_, body := get(t, s, "/api/metrics/query"+q("q", "{}|rate()"))
	require.Contains(t, body, `"status":"PARTIAL","message":"block ф: corrupt"`)
	resp, body := get(t, s, "/api/traces/8")
	require.Equal(t, 503, resp.StatusCode, "nobody knows whether it is there")
	require.Contains(t, body, "not everything could be read")
	f.Query = nil
	_, body = get(t, s, "/api/search"+q("q", "{}", "require_complete", "false"))
	require.Equal(t, `{"traces":[],"metrics":{},"complete":true,"warnings":[]}`, body, "who names the parameter knows the fields")
}

// Errors of the query-frontend get the status of their class.
func TestErrors(t *testing.T) {
	f, s := newAPI(t, nil)
	for _, c := range []struct {
		err  error
		code int
		text string
	}{
		{status.Limitedf(3*time.Second, "job queue full"), 429, "job queue full"},
		{status.Errorf(status.Unavailable, "the node is shutting down"), 503, "the node is shutting down"},
		{status.Errorf(status.Canceled, "query 17: canceled on request"), 499, "query 17: canceled on request"},
		{status.Errorf(status.Timeout, "no answer"), 504, "no answer"},
		{status.Of(errors.New("odd")), 500, "odd"},
		{status.Of(&eval.UnsupportedError{Construct: "such things"}), 400, "such things are not supported yet"},
	} {
		f.Query = func(context.Context, *jobs.Query) (*jobs.Answer, error) { return nil, c.err }
		resp, body := get(t, s, "/api/search"+q("q", "{}"))
		require.Equal(t, []any{c.code, c.text}, []any{resp.StatusCode, body})
		if c.code == 429 {
			require.Equal(t, "3", resp.Header.Get("Retry-After"))
		}
	}
}

// A request that takes longer than is configured is answered by 503 and its query is stopped.
func TestTimeout(t *testing.T) {
	f, s := newAPI(t, func(d *Deps) { d.Config.APITimeout = 20 * time.Millisecond })
	asked := make(chan context.Context, 1)
	f.Query = func(ctx context.Context, _ *jobs.Query) (*jobs.Answer, error) {
		asked <- ctx
		<-ctx.Done()
		return nil, ctx.Err()
	}
	resp, body := get(t, s, "/api/search"+q("q", "{}"))
	require.Equal(t, 503, resp.StatusCode)
	require.Contains(t, body, "configured timeout")
	select {
	case ctx := <-asked:
		<-ctx.Done()
	default: // on a busy machine the time may be over before the query is asked
	}
}

// When the client goes, its query goes.
func TestClientGone(t *testing.T) {
	f, s := newAPI(t, nil)
	begun, stopped := make(chan struct{}), make(chan struct{})
	f.Query = func(ctx context.Context, _ *jobs.Query) (*jobs.Answer, error) {
		close(begun)
		<-ctx.Done()
		close(stopped)
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/search"+q("q", "{}"), nil)
	require.NoError(t, err)
	go func() {
		<-begun
		cancel()
	}()
	_, err = http.DefaultClient.Do(req)
	require.ErrorIs(t, err, context.Canceled)
	<-stopped
}

// Several tenants are asked each, and their answers become one; a header that names none is
// refused.
func TestTenants(t *testing.T) {
	limits := map[string]query.Limits{"pad": {LeftPadTraceIDs: true}, "narrow": {MaxSearchDuration: time.Hour}}
	f, s := newAPI(t, func(d *Deps) {
		d.Multitenancy = true
		d.Limits = func(tenant string) query.Limits { return limits[tenant] }
	})
	f.Query = func(_ context.Context, q *jobs.Query) (*jobs.Answer, error) {
		if q.Trace != nil {
			return &jobs.Answer{Complete: true}, nil
		}
		id := trace.ID{15: q.Tenant[0]}
		return &jobs.Answer{Complete: q.Tenant != "torn", Warnings: []string{"w"}[:len(q.Tenant)/4], Partial: jobs.Partial{Search: &eval.SearchPartial{
			Traces: []eval.TraceMatch{{ID: id, Start: 5}, {ID: trace.ID{15: 1}, Start: 1}}}}}, nil
	}
	_, body := get(t, s, "/api/search"+q("q", "{}"), "X-Scope-OrgID", "b|a|b")
	require.Contains(t, body, `{"traces":[{"traceID":"61",`)
	require.Equal(t, 3, strings.Count(body, "traceID"), "the trace of both comes once: %s", body)
	require.Len(t, f.Asked(), 2)
	_, body = get(t, s, "/api/search"+q("q", "{}"), "X-Scope-OrgID", "torn|a")
	require.Contains(t, body, `"complete":false,"warnings":["tenant torn: w"]`)
	_, body = get(t, s, "/api/search"+q("q", "{}"), "X-Scope-OrgID", "pad")
	require.Contains(t, body, "00000000000000000000000000000070")
	_, body = get(t, s, "/api/search"+q("q", "{}"), "X-Scope-OrgID", "pad|a")
	require.NotContains(t, body, "00000000")

	for header, want := range map[string]string{"a b": "tenant ID 'a b' contains unsupported character ' '", "a|": "no org id", "..": "tenant ID is '.' or '..'",
		strings.Repeat("a|", 30000) + "b": ""} {
		resp, body := get(t, s, "/api/search"+q("q", "{}"), "X-Scope-OrgID", header)
		if want == "" {
			require.Equal(t, 200, resp.StatusCode, "duplicates are one")
			continue
		}
		require.Equal(t, []any{400, want}, []any{resp.StatusCode, body})
	}
	var many []string
	for i := range 101 {
		many = append(many, "t"+string(rune('a'+i%26))+string(rune('a'+i/26)))
	}
	resp, body := get(t, s, "/api/search"+q("q", "{}"), "X-Scope-OrgID", strings.Join(many, "|"))
	require.Equal(t, 400, resp.StatusCode)
	require.Contains(t, body, "at most 100")
	resp, body = get(t, s, "/api/search"+q("q", "{}", "start", "100", "end", "4000"), "X-Scope-OrgID", "narrow|a")
	require.Equal(t, []any{400, "range specified by start and end exceeds 1h0m0s. received start=100 end=4000"}, []any{resp.StatusCode, body})
	for _, path := range []string{"/api/search", "/api/traces/1", "/api/overrides", "/api/v2/search/tags", "/api/queries"} {
		resp, body := get(t, s, path)
		require.Equal(t, []any{401, "no org id\n"}, []any{resp.StatusCode, body}, path)
		require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
	}
}

// Large answers are compressed for those who take it, small ones are not; every answer says that it
// depends on it.
func TestCompression(t *testing.T) {
	f, s := newAPI(t, nil)
	n := 1
	f.Query = func(context.Context, *jobs.Query) (*jobs.Answer, error) {
		p := &eval.SearchPartial{}
		for i := range n {
			p.Traces = append(p.Traces, eval.TraceMatch{ID: trace.ID{1, byte(i)}, RootName: "a name that fills"})
		}
		return &jobs.Answer{Complete: true, Partial: jobs.Partial{Search: p}}, nil
	}
	resp, _ := get(t, s, "/api/search"+q("q", "{}"), "Accept-Encoding", "gzip")
	require.Empty(t, resp.Header.Get("Content-Encoding"))
	require.Equal(t, "Accept-Encoding", resp.Header.Get("Vary"))
	n = 100
	resp, body := get(t, s, "/api/search"+q("q", "{}"), "Accept-Encoding", "gzip")
	require.Equal(t, "gzip", resp.Header.Get("Content-Encoding"))
	z, err := gzip.NewReader(bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	plain, err := io.ReadAll(z)
	require.NoError(t, err)
	require.True(t, json.Valid(plain))
	resp, _ = get(t, s, "/api/search"+q("q", "{"), "Accept-Encoding", "gzip")
	require.Equal(t, 400, resp.StatusCode)
	require.Equal(t, "Accept-Encoding", resp.Header.Get("Vary"))
}

// Browsers of configured origins may ask, others are told nothing.
func TestCrossOrigin(t *testing.T) {
	_, s := newAPI(t, func(d *Deps) { d.Config.CORSAllowedOrigins = []string{"https://ui.example"} })
	resp, _ := do(t, s, http.MethodOptions, "/api/search", "", "Origin", "https://ui.example", "Access-Control-Request-Method", "GET")
	require.Equal(t, 204, resp.StatusCode)
	require.Equal(t, "https://ui.example", resp.Header.Get("Access-Control-Allow-Origin"))
	require.Contains(t, resp.Header.Get("Access-Control-Allow-Headers"), "X-Scope-OrgID")
	resp, _ = get(t, s, "/api/search"+q("q", "{}"), "Origin", "https://evil.example")
	require.Equal(t, 200, resp.StatusCode)
	require.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"))
}

// Running queries are listed and ended for their tenants only.
func TestQueries(t *testing.T) {
	f, s := newAPI(t, func(d *Deps) { d.Multitenancy = true })
	f.List = func(m *jobs.ListQueries) *jobs.Queries {
		return &jobs.Queries{Queries: []jobs.QueryStatus{{ID: "17", Tenant: m.Tenant, Op: "search", Text: "{}", State: "scanning", Began: now.UnixNano(), Jobs: 4, Done: 1, Bytes: 9, SlotTime: time.Second}}}
	}
	f.Cancel = func(m *jobs.CancelQuery) error {
		if m.Tenant == "b" && m.ID == "17" {
			return nil
		}
		return status.Errorf(status.NotFound, "query %s: it does not run", m.ID)
	}
	resp, body := get(t, s, "/api/queries", "X-Scope-OrgID", "a")
	require.Equal(t, 200, resp.StatusCode)
	require.JSONEq(t, `{"queries":[{"id":"17","tenant":"a","op":"search","query":"{}","state":"scanning","began":"2026-03-01T12:00:00Z","jobs":4,"done":1,"blocks":0,
		"inspectedBytes":"9","heldSeconds":1}]}`, body)
	resp, _ = do(t, s, http.MethodDelete, "/api/queries/17", "", "X-Scope-OrgID", "a|b")
	require.Equal(t, 204, resp.StatusCode)
	resp, body = do(t, s, http.MethodDelete, "/api/queries/17", "", "X-Scope-OrgID", "a")
	require.Equal(t, []any{404, "query 17: it does not run"}, []any{resp.StatusCode, body})
	resp, _ = get(t, s, "/api/queries/17", "X-Scope-OrgID", "a")
	require.Equal(t, 405, resp.StatusCode)
}

// Server-sent events tell what is known while a query runs, and at last the result.
func TestEvents(t *testing.T) {
	f, s := newAPI(t, nil)
	seen := make(chan struct{})
	found := func(n int) *jobs.Answer {
		p := &eval.SearchPartial{}
		for i := range n {
			p.Traces = append(p.Traces, eval.TraceMatch{ID: trace.ID{15: byte(i + 1)}})
		}
		return &jobs.Answer{Complete: true, Jobs: 2, Done: n, Partial: jobs.Partial{Search: p}}
	}
	f.Query = func(_ context.Context, q *jobs.Query) (*jobs.Answer, error) {
		f.Tell(q, found(1))
		<-seen
		return found(2), nil
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/search"+q("q", "{}"), nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	buf := make([]byte, 4096)
	n, err := resp.Body.Read(buf)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(buf[:n]), "event: progress\ndata: {\"traces\":[{\"traceID\":\"1\""), "%s", buf[:n])
	close(seen)
	rest, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(rest), "event: result\ndata: {\"traces\":[{\"traceID\":\"1\"")
	require.True(t, strings.HasSuffix(string(rest), "\n\n"))

	f.Query = func(context.Context, *jobs.Query) (*jobs.Answer, error) {
		return nil, status.Errorf(status.Unavailable, "no")
	}
	r, body := get(t, s, "/api/search"+q("q", "{}"), "Accept", "text/event-stream")
	require.Equal(t, []any{503, "no"}, []any{r.StatusCode, body}, "what fails before anything is known fails as any request")
}

// Paths that are not of the API are not found, of whatever method.
func TestUnknownPaths(t *testing.T) {
	_, s := newAPI(t, nil)
	for _, path := range []string{"/api/nope", "/api/search/", "/API/search", "/api/traces/", "/api/traces/1/2", "/api/search/tag/x", "/api/overrides", "/api/mcp"} {
		resp, body := get(t, s, path)
		require.Equal(t, []any{404, "404 page not found\n"}, []any{resp.StatusCode, body}, path)
	}
	resp, _ := do(t, s, http.MethodPost, "/api/search"+q("q", "{}"), "")
	require.Equal(t, 200, resp.StatusCode, "methods are not told apart")
	resp, body := get(t, s, "/api/v2/traces/diff")
	require.Equal(t, []any{405, "Method Not Allowed"}, []any{resp.StatusCode, body})
}

// A defect met by one request is an error of that request, also where it is met while the answer is
// made.
func TestDefect(t *testing.T) {
	f, s := newAPI(t, nil)
	f.Query = func(_ context.Context, q *jobs.Query) (*jobs.Answer, error) {
		return &jobs.Answer{Complete: true, Partial: jobs.Partial{Search: &eval.SearchPartial{Traces: make([]eval.TraceMatch, 3)}}, OfTrace: jobs.OfTrace{Trace: []byte{0x0a, 0x7f}}}, nil
	}
	resp, body := get(t, s, "/api/traces/8")
	require.Equal(t, 500, resp.StatusCode)
	require.Contains(t, body, "print trace")
	d := Deps{Asker: f, Directory: f, Now: func() time.Time { return now }, Config: DefaultConfig()}
	d.Limits = func(string) query.Limits { panic("BUG: no limits") }
	broken := httptest.NewServer(Routes(d))
	defer broken.Close()
	resp, body = get(t, broken, "/api/search"+q("q", "{}"))
	require.Equal(t, 500, resp.StatusCode)
	require.Contains(t, body, "BUG: no limits")
}

// What clients have not read yet counts in the memory of answers: over it an answer is refused with
// a time to come back, in every form; what is written is given back.
func TestUnreadAnswersLeaveNoRoom(t *testing.T) {
	budget := &delivery.Budget{Max: 10}
	f, s := newAPI(t, func(d *Deps) { d.Unwritten = budget })
	f.List = func(*jobs.ListQueries) *jobs.Queries { return &jobs.Queries{} }
	paths := []string{"/api/search" + q("q", "{}"), "/api/metrics/query_range" + q("q", "{} | rate()"), "/api/v2/search/tags", "/api/queries", "/api/explain" + q("q", "{}")}
	for _, path := range paths {
		_, _ = get(t, s, path)
		require.Zero(t, budget.Bytes(), path)
	}
	require.NoError(t, budget.Reserve(10))
	for _, path := range paths[:4] {
		resp, body := get(t, s, path)
		require.Equal(t, 429, resp.StatusCode, "%s %s", path, body)
		require.Equal(t, "1", resp.Header.Get("Retry-After"))
		require.Empty(t, resp.Header.Get("Troupe-Complete"), "nothing was answered")
		require.Contains(t, body, "query_frontend.max_results_bytes")
	}
	resp, body := get(t, s, paths[0], "Accept", "text/event-stream")
	require.Equal(t, 429, resp.StatusCode, body)
	require.EqualValues(t, 10, budget.Bytes())
}

// The operator lists and ends the queries of every tenant, without naming one.
func TestOperatorQueries(t *testing.T) {
	f := frontend.New(t)
	f.List = func(m *jobs.ListQueries) *jobs.Queries {
		return &jobs.Queries{Queries: []jobs.QueryStatus{{ID: "17", Tenant: "a" + m.Tenant}}}
	}
	f.Cancel = func(m *jobs.CancelQuery) error {
		if m.Tenant == query.AllTenants && m.ID == "17" {
			return nil
		}
		return status.Errorf(status.NotFound, "query %s: it does not run", m.ID)
	}
	s := httptest.NewServer(OperatorQueries(Deps{Asker: f, Directory: f, Multitenancy: true}))
	t.Cleanup(s.Close)
	_, body := get(t, s, "/api/queries")
	require.Contains(t, body, `"id":"17","tenant":"a"`)
	for path, code := range map[string]int{"/api/queries/17": 204, "/api/queries/18": 404} {
		resp, body := do(t, s, http.MethodDelete, path, "")
		require.Equal(t, code, resp.StatusCode, body)
	}
	resp, _ := do(t, s, http.MethodPost, "/api/queries", "")
	require.Equal(t, 405, resp.StatusCode)
}
