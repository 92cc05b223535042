// Package e2e starts the real binary and looks at it from outside only.
package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/corpus"
)

// byTrace indexes spans by trace id as comparable text: every field, attribute by attribute, events
// and links included, and the resource and scope it was sent under.
func byTrace(td ptrace.Traces, into map[string][]string) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				one := ptrace.NewTraces()
				r := one.ResourceSpans().AppendEmpty()
				rs.Resource().CopyTo(r.Resource())
				r.SetSchemaUrl(rs.SchemaUrl())
				sc := r.ScopeSpans().AppendEmpty()
				ss.Scope().CopyTo(sc.Scope())
				sc.SetSchemaUrl(ss.SchemaUrl())
				s.CopyTo(sc.Spans().AppendEmpty())
				b, err := (&ptrace.JSONMarshaler{}).MarshalTraces(one)
				if err != nil {
					panic(err)
				}
				id := s.TraceID().String()
				into[id] = append(into[id], string(b))
			}
		}
	}
}

// parse reads a request.
func parse(t *testing.T, body []byte) ptrace.Traces {
	t.Helper()
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
	require.NoError(t, err)
	return td
}

// shift moves every time of a request.
func shift(td ptrace.Traces, d time.Duration) {
	move := func(ts pcommon.Timestamp) pcommon.Timestamp { return pcommon.Timestamp(int64(ts) + int64(d)) }
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				s.SetStartTimestamp(move(s.StartTimestamp()))
				s.SetEndTimestamp(move(s.EndTimestamp()))
				for _, e := range s.Events().All() {
					e.SetTimestamp(move(e.Timestamp()))
				}
			}
		}
	}
}

// fetch returns a trace by id as sorted comparable texts; none when it is not found.
func fetch(t *testing.T, n *kit.Node, id string) []string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+n.HTTP+"/api/traces/"+id, nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "application/protobuf")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if resp.StatusCode == 404 {
		return nil
	}
	require.Equal(t, 200, resp.StatusCode, "%s", b)
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(b)
	require.NoError(t, err)
	m := map[string][]string{}
	byTrace(td, m)
	sort.Strings(m[id])
	return m[id]
}

// unique drops equal texts: a span sent twice is one span.
func unique(v []string) []string {
	sort.Strings(v)
	out := v[:0]
	for i, s := range v {
		if i == 0 || s != v[i-1] {
			out = append(out, s)
		}
	}
	return out
}

// load pushes a file, with times moved by a duration, and adds its spans to want, by trace.
func load(t *testing.T, n *kit.Node, from corpus.Source, file string, by time.Duration, want map[string][]string) {
	t.Helper()
	for i, request := range from.Protobuf(t, file) {
		td := parse(t, request)
		shift(td, by)
		byTrace(td, want)
		body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		require.NoError(t, err)
		for try := 0; ; try++ {
			code, answer, err := n.Push(context.Background(), "application/x-protobuf", body)
			require.NoError(t, err)
			if code == 200 {
				break
			}
			require.Truef(t, (code == 429 || code == 503) && try < 100, "%s request %d: %d %s", file, i, code, answer)
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// A sample in JSON is acknowledged, and soon it is returned by id with its 22 spans and by a search
// for one of its services.
func TestSample(t *testing.T) { corpus.Run(t, checkSample) }

func checkSample(t *testing.T, from corpus.Source) {
	want := map[string][]string{}
	byTrace(parse(t, from.Protobuf(t, corpus.Sample)[0]), want)
	ids := slices.Collect(maps.Keys(want))
	require.Len(t, ids, 1)
	require.Len(t, want[ids[0]], 22)
	n := kit.NewNode(t)
	n.Start()
	code, body, err := n.Push(context.Background(), "application/json", from.JSON(t, corpus.Sample)[0])
	require.NoError(t, err)
	require.Equal(t, 200, code, "%s", body)
	require.Equal(t, `{"partialSuccess":{}}`, string(body))
	acked := time.Now()
	require.Eventually(t, func() bool { return len(fetch(t, n, ids[0])) == 22 }, 20*time.Second, 10*time.Millisecond)
	var found struct{ Traces []struct{ TraceID string } }
	require.Eventually(t, func() bool {
		n.GetJSON(&found, "/api/search", "q", `{ resource.service.name = "order" }`, "start", "1616692000", "end", "1616693000")
		return len(found.Traces) == 1
	}, 20*time.Second, 10*time.Millisecond)
	require.Equal(t, ids[0], found.Traces[0].TraceID)
	t.Logf("found %s after the acknowledgement", time.Since(acked))
}

// Every trace is returned whole, span for span and attribute by attribute: from live segments, from
// blocks, and after a restart; with its own times and with times shifted to now.
func TestSystemsWhole(t *testing.T) {
	for _, shifted := range []bool{false, true} {
		t.Run(fmt.Sprintf("shifted=%v", shifted), func(t *testing.T) {
			if shifted && testing.Short() {
				t.Skip("the long form covers it")
			}
			by := time.Duration(0)
			if shifted {
				by = time.Since(time.Date(2025, 12, 22, 0, 0, 0, 0, time.UTC))
			}
			corpus.Run(t, func(t *testing.T, from corpus.Source) { checkWhole(t, from, by) })
		})
	}
}

func checkWhole(t *testing.T, from corpus.Source, by time.Duration) {
	files := from.Files(corpus.DemoApps, corpus.WebApp)
	if !testing.Short() {
		files = append(files, corpus.Shell, corpus.Boutique)
	}
	n := kit.NewNode(t)
	n.Start()
	want := map[string][]string{}
	for _, f := range files {
		load(t, n, from, f, by, want)
	}
	check := func(when string, every int) {
		t.Helper()
		i, spans := 0, 0
		for id, w := range want {
			i++
			if i%every != 0 {
				continue
			}
			w = unique(w)
			require.Equalf(t, w, unique(fetch(t, n, id)), "trace %s %s", id, when)
			spans += len(w)
		}
		t.Logf("%s: %d spans compared of %d traces", when, spans, len(want))
	}
	check("right after the acknowledgement", 5)
	require.Equal(t, 0, n.Stop(60*time.Second), n.Log()) // a drain cuts everything into blocks
	n.Start()
	check("from blocks, after a restart", 1)
}

// Deleting the log's folder while the bucket stays: old traces are still found, new ones are found,
// nothing is overwritten.
func TestLogDeletedBucketKept(t *testing.T) { corpus.Run(t, checkLogDeleted) }

func checkLogDeleted(t *testing.T, from corpus.Source) {
	n := kit.NewNode(t)
	n.Start()
	first := map[string][]string{}
	load(t, n, from, corpus.DemoApps, 0, first)
	require.Equal(t, 0, n.Stop(60*time.Second))
	n.RemoveLog()
	n.Start()
	second := map[string][]string{}
	load(t, n, from, corpus.WebApp, 0, second)
	for round := range 2 {
		for _, m := range []map[string][]string{first, second} {
			for id, w := range m {
				require.Equal(t, unique(w), unique(fetch(t, n, id)), "round %d", round)
			}
		}
		if round == 0 {
			require.Equal(t, 0, n.Stop(60*time.Second))
			n.Start()
		}
	}
}
