package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
)

// run runs a command against a node that answers as h does.
func run(t *testing.T, h http.HandlerFunc, args ...string) (string, error) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(append([]string{"--url", s.URL, "--otlp", s.URL, "--tenant", "acme"}, args...))
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

const ranged = `{"series":[{"labels":[{"key":"service","value":{"stringValue":"cart"}}],"samples":[{"timestampMs":"60000","value":1},{"timestampMs":"120000"},{"timestampMs":"180000","value":4.5}]},
	{"labels":[{"key":"service","value":{"stringValue":"web"}}],"samples":[{"timestampMs":"120000","value":9}]}],"metrics":{},"status":"PARTIAL","message":"block x: corrupt"}`

// Series are drawn, the largest first, with what the answer lacks; or printed as CSV or as they
// came.
func TestMetrics(t *testing.T) {
	var asked *http.Request
	h := func(w http.ResponseWriter, r *http.Request) { asked = r; fmt.Fprint(w, ranged) }
	out, err := run(t, h, "metrics", "{} | rate() by (service)", "--step", "30s")
	require.NoError(t, err)
	require.Equal(t, []string{"/api/metrics/query_range", "{} | rate() by (service)", "30s", "acme"},
		[]string{asked.URL.Path, asked.URL.Query().Get("q"), asked.URL.Query().Get("step"), asked.Header.Get("X-Scope-OrgID")})
	require.Less(t, strings.Index(out, "service=web"), strings.Index(out, "service=cart"))
	require.Regexp(t, `━━ +service=cart  ▃▁█ +4.5 +0 +4.5`, out)
	require.Regexp(t, `── +service=web +█ +9`, out)
	require.Contains(t, out, "2 series\nwarning: block x: corrupt\n")

	out, err = run(t, h, "metrics", "{} | rate()", "--csv")
	require.NoError(t, err)
	require.Equal(t, "time,labels,value\n1970-01-01T00:01:00Z,service=cart,1\n1970-01-01T00:02:00Z,service=cart,0\n1970-01-01T00:03:00Z,service=cart,4.5\n"+
		"1970-01-01T00:02:00Z,service=web,9\nwarning: block x: corrupt\n", out)
	out, err = run(t, h, "metrics", "{} | rate()", "--json")
	require.NoError(t, err)
	require.Equal(t, ranged+"\n", out)
	out, err = run(t, func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "/api/metrics/query", r.URL.Path)
		fmt.Fprint(w, `{"series":[{"labels":[{"key":"__name__","value":{"stringValue":"rate"}}],"value":0.25}]}`)
	}, "metrics", "{} | rate()", "--instant")
	require.NoError(t, err)
	require.Regexp(t, `__name__=rate +0.25`, out)
	out, err = run(t, func(w http.ResponseWriter, r *http.Request) { // what is no number, and times that cannot be
		fmt.Fprint(w, `{"series":[{"labels":[],"samples":[{"timestampMs":"-9223372036854775808","value":"NaN"},{"timestampMs":"0","value":"Infinity"},
			{"timestampMs":"9223372036854775807","value":3}]}]}`)
	}, "metrics", "{} | rate()")
	require.NoError(t, err)
	require.Regexp(t, `\(all\) .* 3 +3 +3`, out)
	_, err = run(t, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "not a metrics query", 400) }, "metrics", "{}")
	require.EqualError(t, err, "not a metrics query")
	out, err = run(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"series":[]}`) }, "metrics", "{} | rate()")
	require.NoError(t, err)
	require.Contains(t, out, "0 series")
}

// An answer that comes in pieces is followed to its result; its error is the command's.
func TestFollow(t *testing.T) {
	for body, want := range map[string]string{
		"event: progress\ndata: {\"a\":1}\n\nevent: result\ndata: {\"b\":2}\n\n": `{"b":2}`,
		"event: progress\ndata: {\"a\":1}\n\nevent: error\ndata: no\n\n":         "error: no",
		"event: progress\ndata: {\"a\":1}\n\n":                                   "error: the answer ended before its result",
	} {
		var seen []string
		b, err := readEvents(strings.NewReader(body), func(b []byte) { seen = append(seen, string(b)) })
		if err != nil {
			b = []byte("error: " + err.Error())
		}
		require.Equal(t, want, string(b))
		require.Equal(t, []string{`{"a":1}`}, seen)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Contains(t, r.Header.Get("Accept"), "text/event-stream")
		fmt.Fprint(w, `{"traces":[]}`) // a backend that does not stream
	}))
	defer s.Close()
	c := &client{url: s.URL, http: http.DefaultClient}
	b, err := c.followAPI(t.Context(), "/api/search", nil, func([]byte) {})
	require.NoError(t, err)
	require.Equal(t, `{"traces":[]}`, string(b))
}

// Each trace is printed once, the oldest first.
func TestTail(t *testing.T) {
	traces := []string{`{"traceID":"1","rootServiceName":"cart","rootTraceName":"GET","startTimeUnixNano":"1000000000","durationMs":5}`}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"traces":[%s]}`, strings.Join(traces, ","))
	}))
	defer s.Close()
	var out bytes.Buffer
	tl := tail{client: &client{url: s.URL, http: http.DefaultClient}, query: "{}", limit: 10, out: render.NewPrinter(&out, 0, false), notes: render.NewPrinter(&out, 0, false), seen: map[string]time.Time{}}
	require.NoError(t, tl.printNew(t.Context(), time.Unix(100, 0), time.Minute))
	require.Regexp(t, `^\d\d:00:01.000  1 +cart +5ms  GET\n$`, out.String())
	out.Reset()
	traces = append([]string{`{"traceID":"3","startTimeUnixNano":"3000000000"}`, `{"traceID":"2","startTimeUnixNano":"2000000000"}`}, traces...)
	require.NoError(t, tl.printNew(t.Context(), time.Unix(101, 0), time.Minute))
	require.Regexp(t, `(?s)^\S+  2 .*\n\S+  3 .*\n$`, out.String())
	require.NotContains(t, out.String(), "cart")
}

// Values and bounds of buckets are durations where the query measures durations and does not scale
// them.
func TestUnits(t *testing.T) {
	for q, want := range map[string]units{
		"{ } | avg_over_time(duration)":                                       {values: true},
		"{ name = `} | rate()` } | max_over_time(span:duration) by (name)":    {values: true},
		"{ } | quantile_over_time( duration , .9)":                            {values: true},
		"{ } | histogram_over_time(trace:duration)":                           {buckets: true},
		"{ } | histogram_over_time(span.size)":                                {},
		"{ duration > 1s } | rate()":                                          {},
		"{ } | avg_over_time(span.duration)":                                  {},
		"({ } | avg_over_time(duration)) * 1000":                              {},
		"({ } | avg_over_time(duration)) / ({ } | avg_over_time(span.items))": {},
		"{ span.a / 2 > 1 } | min_over_time(duration)":                        {values: true},
	} {
		require.Equal(t, want, unitsOf(q), q)
	}
}
