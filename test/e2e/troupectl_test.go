package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/corpus"
)

// The five-minute tour of the README: the demo is sent, searched, and one of its traces is shown as
// a tree; what is asked of a place where nothing listens says what to do.
func TestTour(t *testing.T) {
	n := kit.NewNode(t)
	n.Start()
	at := []string{"--url", "http://" + n.HTTP, "--otlp", "http://" + n.OTLPHTTP}
	run := func(args ...string) string {
		out, errs, code := kit.Troupectl(t, append(args, at...)...)
		require.Equal(t, 0, code, "troupectl %v: %s", args, errs)
		return out
	}
	require.Contains(t, run("load", "--demo", "--traces", "200"), "in 200 requests")
	found := run("search", `{ resource.service.name = "payment" && status = error }`)
	require.Contains(t, found, "POST /checkout")
	var answer struct{ Traces []struct{ TraceID string } }
	require.NoError(t, json.Unmarshal([]byte(run("search", `{ resource.service.name = "payment" && status = error }`, "--json")), &answer))
	require.NotEmpty(t, answer.Traces)
	tree := run("trace", answer.Traces[0].TraceID, "--attributes")
	require.Contains(t, tree, "└─ payment  payment.Charge")
	require.Contains(t, tree, "ERROR card processor did not answer")
	require.Contains(t, tree, "event exception")

	_, errs, code := kit.Troupectl(t, "search", "{}", "--url", "http://127.0.0.1:1")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "make run")
	_, errs, code = kit.Troupectl(t, append([]string{"search", "{ nam = 1 }"}, at...)...)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "line 1")
}

// What `troupectl blocks` says of a bucket is what was sent; cat gives back what load takes; a
// flipped byte is found and named.
func TestBlocks(t *testing.T) { corpus.Run(t, checkBlocks) }

func checkBlocks(t *testing.T, from corpus.Source) {
	n := kit.NewNode(t)
	n.Start()
	want := map[string][]string{}
	load(t, n, from, corpus.DemoApps, 0, want)
	require.Equal(t, 0, n.Stop(60*time.Second), n.Log())
	bucket := filepath.Join(n.Dir, "blocks")
	blocks := func(args ...string) (string, string, int) {
		return kit.Troupectl(t, append(append([]string{"blocks"}, args...), "--bucket", bucket)...)
	}
	spans := 0
	for _, s := range want {
		spans += len(unique(s))
	}

	out, errs, code := blocks("ls", "--json")
	require.Equal(t, 0, code, errs)
	sum := 0
	got := map[string][]string{}
	var largest struct {
		ID    string
		Spans int
	}
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var m struct {
			ID    string
			Spans int
		}
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		sum += m.Spans
		if m.Spans > largest.Spans {
			largest = m
		}
		out, errs, code := blocks("cat", m.ID[:12])
		require.Equal(t, 0, code, errs)
		for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
			td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces([]byte(line))
			require.NoError(t, err)
			byTrace(td, got)
		}
	}
	require.Equal(t, spans, sum)
	require.Len(t, got, len(want))
	for id, w := range want {
		require.Equal(t, unique(w), unique(got[id]), id)
	}

	out, errs, code = blocks("inspect", largest.ID)
	require.Equal(t, 0, code, errs)
	require.Contains(t, out, "(live, format version")
	out, errs, code = blocks("columns", largest.ID, "--sort", "name")
	require.Equal(t, 0, code, errs)
	require.Contains(t, out, "resource.service.name")
	out, errs, code = blocks("verify")
	require.Equal(t, 0, code, errs)
	require.Contains(t, out, "are whole")

	file := filepath.Join(bucket, "single-tenant", largest.ID, "spans.parquet")
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	raw[len(raw)/3] ^= 0x10
	require.NoError(t, os.WriteFile(file, raw, 0o644))
	out, errs, code = blocks("verify")
	require.Equal(t, 1, code)
	require.Contains(t, out, "damaged: block "+largest.ID)
	require.Contains(t, out, "spans.parquet")
	require.Contains(t, errs, "1 of ")
}

// A block that somebody removes is missing in every answer that needs it, at once, and in what
// `troupectl blocks` says; once it is settled, answers are complete again without a restart. What
// is no bucket, or whole, is left alone.
func TestMissingBlock(t *testing.T) {
	n := kit.NewNode(t)
	n.Args = append(n.Args, "-set", "block_builder.max_block_duration=1s", "-set", "query_frontend.search.max_duration=0s")
	n.Start()
	want := map[string][]string{}
	load(t, n, corpus.Generated(), corpus.DemoApps, 0, want)
	bucket := filepath.Join(n.Dir, "blocks")
	blocks := func(args ...string) (string, string, int) {
		return kit.Troupectl(t, append(append([]string{"blocks"}, args...), "--bucket", bucket)...)
	}
	var id string
	require.Eventually(t, func() bool {
		out, _, code := blocks("ls", "--json")
		var m struct{ ID string }
		if code == 0 && json.Unmarshal([]byte(strings.Split(out, "\n")[0]), &m) == nil {
			id = m.ID
		}
		return id != ""
	}, 30*time.Second, 200*time.Millisecond)
	complete := func() string {
		var a struct{ Complete *bool }
		n.GetJSON(&a, "/api/search", "q", "{ }", "limit", "1000", "start", "1", "end", "4000000000")
		if a.Complete != nil && !*a.Complete {
			return "false"
		}
		return "true"
	}
	require.Equal(t, "true", complete())
	_, errs, code := blocks("rm", id[:8])
	require.Equal(t, 1, code)
	require.Contains(t, errs, "--delete removes them")
	require.NoError(t, os.RemoveAll(filepath.Join(bucket, "single-tenant", id)))
	var a struct{ Warnings []string }
	n.GetJSON(&a, "/api/search", "q", `{ span.foo = "not asked before" || name != "" }`, "limit", "1000", "start", "1", "end", "4000000000")
	require.Contains(t, strings.Join(a.Warnings, ";"), id)
	for _, args := range [][]string{{"ls"}, {"verify"}, {"inspect", id}} {
		out, errs, code := blocks(args...)
		require.Equal(t, 1, code, "%v", args)
		require.Contains(t, out+errs, id)
		require.Contains(t, errs, "blocks rm")
	}
	_, errs, code = blocks("rm", id)
	require.Equal(t, 0, code, errs)
	require.Eventually(t, func() bool { return complete() == "true" }, 30*time.Second, 200*time.Millisecond)
	_, errs, code = blocks("verify")
	require.Equal(t, 0, code, errs)
	empty := t.TempDir()
	for _, dir := range []string{empty, filepath.Join(empty, "missing")} {
		for _, what := range []string{"ls", "verify"} {
			_, errs, code = kit.Troupectl(t, "blocks", what, "--bucket", dir)
			require.Equal(t, 1, code)
			require.Contains(t, errs, "not the folder of a bucket")
		}
	}
	left, err := os.ReadDir(empty)
	require.NoError(t, err)
	require.Empty(t, left)
}

// What `troupectl retention` says of a bucket without a node is what the node said of it, and
// `troupectl blocks jobs` counts the same blocks.
func TestRetentionIsToldAlike(t *testing.T) {
	n := kit.NewNode(t)
	n.Config = "backend_worker: {compaction: {block_retention: 72h}}\nblock_builder: {max_block_duration: 1s}\n"
	n.Start()
	type total struct {
		Live struct{ Blocks int }
		Days []struct {
			Day           string
			Goes          time.Time
			Blocks, Spans int
		}
	}
	ask := func(args ...string) total {
		out, errs, code := kit.Troupectl(t, append(args, "--json")...)
		require.Equal(t, 0, code, errs)
		var s struct{ Total total }
		require.NoError(t, json.Unmarshal([]byte(out), &s), out)
		return s.Total
	}
	_, errs, code := kit.Troupectl(t, "load", "--demo", "--traces", "50", "--otlp", n.OTLPHTTP)
	require.Equal(t, 0, code, errs)
	spans := func() (sum int) {
		for _, d := range ask("blocks", "jobs", "--operator", n.Operator).Days {
			sum += d.Spans
		}
		return sum
	}
	var last int
	require.Eventually(t, func() bool {
		before := last
		last = spans()
		return last > 0 && last == before && ask("blocks", "jobs", "--operator", n.Operator).Live.Blocks >= 4
	}, time.Minute, 3*time.Second, "every partition has blocks")
	said := ask("retention", "--dry-run", "--operator", n.Operator)
	require.Equal(t, 0, n.Stop(60*time.Second), n.Log())
	require.NotEmpty(t, said.Days)
	for _, d := range said.Days {
		day, err := time.Parse(time.DateOnly, d.Day)
		require.NoError(t, err)
		require.Equal(t, day.Add(4*24*time.Hour), d.Goes, "three days after its end")
	}
	require.Equal(t, said.Days, ask("retention", "--dry-run", "--bucket", filepath.Join(n.Dir, "blocks"), "--retention", "3d").Days)
}
