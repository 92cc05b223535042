package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
)

// asker asks a node as one tenant.
type asker struct {
	t      *testing.T
	node   *kit.Node
	base   base
	tenant string
}

func (a asker) raw(path string, header http.Header, params ...string) (*http.Response, []byte) {
	a.t.Helper()
	v := url.Values{}
	for i := 0; i < len(params); i += 2 {
		v.Set(params[i], a.base.fill(params[i+1]))
	}
	u := "http://" + a.node.HTTP + path
	if len(v) > 0 {
		u += "?" + v.Encode()
	}
	req, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, u, nil)
	require.NoError(a.t, err)
	for k := range header {
		req.Header[k] = header[k]
	}
	req.Header.Set("X-Scope-OrgID", a.tenant)
	resp, err := client.Do(req)
	require.NoError(a.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(a.t, err)
	return resp, b
}

// get demands 200 and returns the decoded answer.
func (a asker) get(path string, params ...string) map[string]any {
	a.t.Helper()
	resp, b := a.raw(path, nil, params...)
	require.Equal(a.t, 200, resp.StatusCode, "%s", b)
	var m map[string]any
	require.NoError(a.t, json.Unmarshal(b, &m), "%s", b)
	return m
}

// refused demands 400 and returns the text.
func (a asker) refused(path string, params ...string) string {
	a.t.Helper()
	resp, b := a.raw(path, nil, params...)
	require.Equal(a.t, 400, resp.StatusCode, "%s", b)
	return string(b)
}

type searched struct {
	TraceID, RootTraceName string
	StartTimeUnixNano      any
	DurationMs             int
	SpanSets               []struct {
		Matched int
		Spans   []struct {
			SpanID            string
			StartTimeUnixNano any
			DurationNanos     any
			Attributes        []struct {
				Key   string
				Value map[string]any
			}
		}
	}
}

// search searches all of the data.
func (a asker) search(query string, more ...string) (out []searched) {
	a.t.Helper()
	resp, b := a.raw("/api/search", nil, append([]string{"q", query, "start", "${base-60s}", "end", "${base+180s}", "limit", "50", "spss", "20"}, more...)...)
	require.Equal(a.t, 200, resp.StatusCode, "%s: %s", query, b)
	var m struct{ Traces []searched }
	require.NoError(a.t, json.Unmarshal(b, &m))
	return m.Traces
}

// spans are the ids of all spans that a search matched.
func (a asker) spans(query string) (ids []string) {
	a.t.Helper()
	for _, tr := range a.search(query) {
		for _, set := range tr.SpanSets {
			for _, s := range set.Spans {
				ids = append(ids, s.SpanID)
			}
		}
	}
	return ids
}

// What clients have been disappointed by elsewhere holds here, over live data and over blocks, on a
// node whose clock is not in UTC.
func TestClientExpectations(t *testing.T) {
	input, err := os.ReadFile("testdata/input.otlp.json")
	if os.IsNotExist(err) {
		t.Skipf("the recorded cases are not here: %s", err)
	}
	require.NoError(t, err)
	n := kit.NewNode(t)
	n.Config = "multitenancy_enabled: true\n"
	n.Env = []string{"TZ=Asia/Kathmandu"} // UTC+5:45
	n.Start()
	p := profiles{base: base((time.Now().Unix() - 240) / 60 * 60), nodes: map[string]*kit.Node{"tenants": n}}
	var message struct {
		ResourceSpans []json.RawMessage `json:"resourceSpans"`
	}
	require.NoError(t, json.Unmarshal([]byte(p.base.fill(string(input))), &message))
	p.push(t, n, "all", message.ResourceSpans)
	seventh := byTrace(t, message.ResourceSpans)[6]
	p.push(t, n, "one", seventh)
	p.push(t, n, "two", seventh)
	t.Run("live", func(t *testing.T) { expectations(t, n, p.base) })
	require.Zero(t, n.Stop(30*time.Second), n.Log())
	n.Start()
	t.Run("blocks", func(t *testing.T) { expectations(t, n, p.base) })
}

func expectations(t *testing.T, n *kit.Node, b base) {
	for _, e := range []struct {
		name string
		test func(asker)
	}{
		{"KindAndStatusAreWords", kindAndStatusAreWords},
		{"SpanSetsCarryMatchedSpans", spanSetsCarryMatchedSpans},
		{"TimesAreText", timesAreText},
		{"V1AndAccept", v1AndAccept},
		{"IntrinsicScope", intrinsicScope},
		{"TraceDuration", traceDuration},
		{"TimeZone", timeZone},
		{"SameTraceInTwoTenants", sameTraceInTwoTenants},
		{"RangesMissingAndLarge", rangesMissingAndLarge},
		{"EventsAndLinks", eventsAndLinks},
		{"Structure", structure},
		{"LeadingZeros", leadingZeros},
		{"OddNames", oddNames},
		{"EmptyMatches", emptyMatches},
		{"ZeroLimits", zeroLimits},
		{"WhileTyping", whileTyping},
	} {
		t.Run(e.name, func(t *testing.T) { e.test(asker{t, n, b, "all"}) })
	}
}

// Values of kind and status are words, in attributes of spans, in labels of series and in
// autocomplete.
func kindAndStatusAreWords(a asker) {
	got := a.search(`{ name = "charge" } | select(kind, status)`)
	attrs := map[string]any{}
	for _, x := range got[0].SpanSets[0].Spans[0].Attributes {
		attrs[x.Key] = x.Value["stringValue"]
	}
	require.Equal(a.t, "client", attrs["kind"])
	require.Equal(a.t, "unset", attrs["status"])
	series := a.get("/api/metrics/query", "q", "{} | count_over_time() by (kind)", "start", "${base}", "end", "${base+120s}")
	require.Contains(a.t, text(series), `{"key":"kind","value":{"stringValue":"consumer"}}`)
	values := a.get("/api/v2/search/tag/status/values", "q", `{ name = "UPDATE items" && kind = client }`, "start", "${base-60s}", "end", "${base+180s}")
	require.Equal(a.t, `[{"type":"keyword","value":"error"},{"type":"keyword","value":"ok"}]`, text(values["tagValues"]))
}

// Span sets hold the spans that matched, whatever the root is.
func spanSetsCarryMatchedSpans(a asker) {
	got := a.search(`{ name = "UPDATE items" && status = error }`)
	require.Len(a.t, got, 1)
	require.Equal(a.t, "GET /checkout", got[0].RootTraceName)
	require.Equal(a.t, "1000000000000006", got[0].SpanSets[0].Spans[0].SpanID)
	require.Equal(a.t, 1, got[0].SpanSets[0].Matched)
}

// Numbers of 64 bits are JSON strings: they would lose digits as numbers.
func timesAreText(a asker) {
	tr := a.search(`{ name = "UPDATE items" && status = error }`)[0]
	require.Equal(a.t, a.base.fill("${base:ns}"), tr.StartTimeUnixNano)
	require.Equal(a.t, a.base.fill("${base+160ms:ns}"), tr.SpanSets[0].Spans[0].StartTimeUnixNano)
	require.Equal(a.t, "200000000", tr.SpanSets[0].Spans[0].DurationNanos)
}

// v1 answers with batches or protobuf, whichever is accepted, and a trace that is not there is not
// found.
func v1AndAccept(a asker) {
	const id = "7a000000000000000000000000000007"
	for accept, want := range map[string]string{"": "application/json", "application/json": "application/json", "*/*": "application/json",
		"application/protobuf": "application/protobuf", "application/json;q=0.1, application/protobuf": "application/protobuf", "text/html": "application/json"} {
		resp, b := a.raw("/api/traces/"+id, http.Header{"Accept": {accept}})
		require.Equal(a.t, []any{200, want}, []any{resp.StatusCode, resp.Header.Get("Content-Type")}, accept)
		require.Equal(a.t, want == "application/json", strings.HasPrefix(string(b), `{"batches":[`), accept)
	}
	resp, b := a.raw("/api/traces/abcdef", nil)
	require.Equal(a.t, []any{404, ""}, []any{resp.StatusCode, string(b)})
}

// Intrinsics are names too, if they are asked for.
func intrinsicScope(a asker) {
	require.Len(a.t, a.get("/api/search/tags", "scope", "intrinsic")["tagNames"], 25)
	require.NotContains(a.t, text(a.get("/api/search/tags", "start", "${base-60s}", "end", "${base+180s}")["tagNames"]), `"traceDuration"`)
	v2 := a.get("/api/v2/search/tags", "scope", "intrinsic")["scopes"].([]any)
	require.Len(a.t, v2, 1)
	require.Contains(a.t, a.refused("/api/search/tags", "scope", "intrinsics"), "invalid scope: intrinsics")
}

// The duration of the trace is a field of each of its spans.
func traceDuration(a asker) {
	for _, q := range []string{"{ traceDuration > 10s }", "{ trace:duration > 10s }", `{ traceDuration = 20s && name = "step 3" }`} {
		got := a.search(q)
		require.Len(a.t, got, 1, q)
		require.Equal(a.t, []any{"6f000000000000000000000000000006", 20000}, []any{got[0].TraceID, got[0].DurationMs}, q)
	}
	require.Len(a.t, a.search("{ traceDuration < 10s }"), 7)
	require.Len(a.t, a.spans("{ traceDuration > 10s }"), 6)
}

// The node's time zone does not move ranges or samples.
func timeZone(a asker) {
	require.Len(a.t, a.search("{ kind = consumer }", "start", "${base+5s}", "end", "${base+20s}"), 1)
	require.Empty(a.t, a.search("{ kind = consumer }", "start", "${base+15s}", "end", "${base+20s}"))
	series := a.get("/api/metrics/query_range", "q", "{ kind = consumer } | count_over_time() with(exemplars=false)", "start", "${base:rfc3339}", "end", "${base+120s:rfc3339}", "step", "60s")
	require.Contains(a.t, text(series), a.base.fill(`{"timestampMs":"${base+60s:ms}","value":1}`))
}

// A trace that two tenants sent lies in the blocks of both, and neither sees the other's.
func sameTraceInTwoTenants(a asker) {
	for _, tenant := range []string{"one", "two", "one|two"} {
		a.tenant = tenant
		require.Len(a.t, a.search("{}"), 1, tenant)
		tr := a.get("/api/v2/traces/7a000000000000000000000000000007")["trace"]
		require.Equal(a.t, 1, strings.Count(text(tr), `"spanId"`), tenant)
	}
	a.tenant = "three"
	require.Empty(a.t, a.search("{}"))
	require.Equal(a.t, "{}", text(a.get("/api/v2/traces/7a000000000000000000000000000007")["trace"]))
}

// Without a range the last quarter of an hour is searched, the future included; numbers beyond 32
// bits are refused or read as what they are.
func rangesMissingAndLarge(a asker) {
	resp, b := a.raw("/api/search", nil, "q", `{ name = "audit" }`)
	require.Equal(a.t, 200, resp.StatusCode)
	require.Contains(a.t, string(b), `"traceID":"2b000000000000000000000000000002"`)
	require.Len(a.t, a.search(`{ name = "audit" }`, "start", "${base-60s}", "end", fmt.Sprint(int64(a.base)+6*24*3600)), 1)
	require.Contains(a.t, a.refused("/api/search", "q", "{}", "start", "1", "end", "4294967296"), "invalid end")
	require.Contains(a.t, a.refused("/api/search", "q", "{}", "start", "1", "end", "4294967295"), "range specified by start and end exceeds")
	require.Empty(a.t, a.search(`{}`, "start", "4294967000", "end", "4294967295"))
	require.Len(a.t, a.get("/api/v2/search/tags", "scope", "event", "start", "${base-60s:ns}", "end", "${base+180s:ns}")["scopes"], 1)
	require.Equal(a.t, 2147483648, int(a.get("/api/metrics/query", "q", "{} | max_over_time(span.int.max) ", "start", "${base}", "end", "${base+120s}")["series"].([]any)[0].(map[string]any)["value"].(float64)/4294967296.0))
}

// A condition on events or links selects by them; one that cannot be answered is an error.
func eventsAndLinks(a asker) {
	require.Equal(a.t, []string{"2000000000000003"}, a.spans(`{ event:name = "retry" }`))
	require.Equal(a.t, []string{"1000000000000004"}, a.spans(`{ event.exception.type = "CartError" }`))
	require.Empty(a.t, a.spans(`{ event:name = "no such event" }`))
	require.Empty(a.t, a.spans(`{ event.exception.type = "no such type" }`))
	require.Equal(a.t, []string{"2000000000000001"}, a.spans(`{ link:traceID = "4d000000000000000000000000000004" }`))
	require.Equal(a.t, []string{"2000000000000001"}, a.spans(`{ link.link.kind = "follows" }`))
	require.Empty(a.t, a.spans(`{ link:spanID = "ffffffffffffffff" }`))
	require.Contains(a.t, a.refused("/api/search", "q", `{ event:nope = "x" }`), "not an intrinsic of event:")
	series := a.get("/api/metrics/query", "q", `{ event:name = "retry" } | count_over_time()`, "start", "${base}", "end", "${base+120s}")
	require.Contains(a.t, text(series), `"value":1}`)
}

// Operators on structure find what is there, in every direction.
func structure(a asker) {
	require.Equal(a.t, []string{"1000000000000004"}, a.spans(`{ resource.service.name = "web-shop" } > { resource.service.name = "cart" }`))
	require.Equal(a.t, []string{"1000000000000004"}, a.spans(`{ name = "SELECT items" } < { name = "POST /cart" }`))
	require.Len(a.t, a.spans(`{ name = "step 1" } >> { name =~ "step.*" }`), 5)
	require.Len(a.t, a.spans(`{ name = "step 6" } << { name =~ "step.*" }`), 5)
	require.Equal(a.t, []string{"1000000000000006"}, a.spans(`{ name = "SELECT items" } ~ { name = "UPDATE items" }`))
	require.Len(a.t, a.spans(`{ name =~ "step.*" } !> { name =~ "step.*" }`), 1)
	require.Len(a.t, a.spans(`{ name = "step 1" } &>> { name = "step 6" }`), 2)
}

// Ids with leading zeros are found with and without them, and traces are asked for by either.
func leadingZeros(a asker) {
	for _, q := range []string{`{ trace:id = "0000000000000000a1b2c3d4e5f60718" }`, `{ trace:id = "a1b2c3d4e5f60718" }`} {
		got := a.search(q)
		require.Len(a.t, got, 1, q)
		require.Equal(a.t, "a1b2c3d4e5f60718", got[0].TraceID)
	}
	for _, id := range []string{"8", "08", "00000000000000000000000000000008"} {
		require.Equal(a.t, 6, strings.Count(text(a.get("/api/v2/traces/" + id)["trace"]), `"spanId"`), id)
	}
	require.Equal(a.t, []string{"2000000000000001"}, a.spans(`{ link:traceID = "0000000000000000a1b2c3d4e5f60718" }`))
}

// Names of attributes may hold anything: in queries, in autocomplete, in labels.
func oddNames(a asker) {
	for path, q := range map[string]string{
		"span.a/b":                   `{ span.a/b = "slash" }`,
		`span."key with space"`:      `{ span."key with space" = "v w" }`,
		`span."quote\"key"`:          `{ span."quote\"key" = "q" }`,
		`span."ключ"`:                `{ span."ключ" = "значение" }`,
		`span."emoji🎉"`:              `{ span."emoji🎉" = "yes" }`,
		`span."back\\slash"`:         `{ span."back\\slash" = "b" }`,
		`resource.service.namespace`: `{ resource.service.namespace = "shop" }`,
	} {
		require.NotEmpty(a.t, a.spans(q), q)
		window := []string{"start", "${base-60s}", "end", "${base+180s}"}
		require.NotEmpty(a.t, a.get("/api/v2/search/tag/"+url.PathEscape(path)+"/values", window...)["tagValues"], path)
		series := a.get("/api/metrics/query", "q", q+" | count_over_time() by ("+path+")", "start", "${base}", "end", "${base+120s}")
		require.Len(a.t, series["series"], 1, path)
	}
}

// An expression that matches the empty text matches it, and no more.
func emptyMatches(a asker) {
	require.Equal(a.t, []string{"5000000000000001"}, a.spans(`{ span.str.empty =~ "x*" }`))
	require.Equal(a.t, []string{"5000000000000001"}, a.spans(`{ span.str.empty =~ "" }`))
	require.Empty(a.t, a.spans(`{ span.str.empty !~ ".*" }`))
	require.Empty(a.t, a.spans(`{ span.no.such.attribute =~ ".*" }`), "what is not there is no empty text")
	require.Equal(a.t, []string{"8000000000000006"}, a.spans(`{ name =~ "" }`))
	require.Len(a.t, a.spans(`{ name =~ ".*" }`), 40)
}

// spss=0 is the default; limit=0 is refused.
func zeroLimits(a asker) {
	got := a.search(`{ name =~ "step.*" }`, "spss", "0")
	require.Len(a.t, got[0].SpanSets[0].Spans, 3)
	require.Equal(a.t, 6, got[0].SpanSets[0].Matched)
	require.Equal(a.t, "invalid limit: must be a positive number", a.refused("/api/search", "q", "{}", "limit", "0"))
}

// Autocomplete takes a query that is not complete: what is, filters.
func whileTyping(a asker) {
	window := []string{"start", "${base-60s}", "end", "${base+180s}"}
	names := func(q string) string {
		return text(a.get("/api/v2/search/tag/name/values", append(window, "q", q)...)["tagValues"])
	}
	all := names("")
	for _, q := range []string{`{`, `{ `, `{ resource.`, `{ resource.service.name`, `{ resource.service.name =`, `{ resource.service.name = "`, `{ resource.service.name = "mai`} {
		require.Equal(a.t, all, names(q), q)
	}
	mailer := names(`{ resource.service.name = "mailer" }`)
	require.NotEqual(a.t, all, mailer)
	for _, q := range []string{`{ resource.service.name = "mailer" `, `{ resource.service.name = "mailer"`, `{ resource.service.name = "mailer" && name = `,
		`{ resource.service.name = "mailer" && name =~ }`, `{ (resource.service.name = "mailer"`} {
		require.Equal(a.t, mailer, names(q), q)
	}
}
