package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/corpus"
	"github.com/troupe-tracing/troupe/test/kit/stores"
	"github.com/troupe-tracing/troupe/test/kit/tempofiles"
)

// recentTraces returns a corpus by trace, each moved so that they began one after the other an hour
// ago.
func recentTraces(t *testing.T, file string) []ptrace.Traces {
	var requests []ptrace.Traces
	for _, raw := range corpus.Generated().Protobuf(t, file) {
		requests = append(requests, parse(t, raw))
	}
	list := tempofiles.GroupByTrace(requests)
	at := time.Now().Add(-time.Hour)
	for i, td := range list {
		first := pcommon.Timestamp(math.MaxInt64)
		for _, rs := range td.ResourceSpans().All() {
			first = min(first, rs.ScopeSpans().At(0).Spans().At(0).StartTimestamp())
		}
		shift(td, at.Add(time.Duration(i)*100*time.Millisecond).Sub(first.AsTime()))
	}
	return list
}

// fetchTrace returns a trace by id; ok is false if it is not found.
func fetchTrace(t *testing.T, n *kit.Node, id string) (td ptrace.Traces, ok bool) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+n.HTTP+"/api/traces/"+id, nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "application/protobuf")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if resp.StatusCode == http.StatusNotFound {
		return td, false
	}
	require.Equal(t, 200, resp.StatusCode, "%s", b)
	return parse(t, b), true
}

func traceIDOf(td ptrace.Traces) string {
	return td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).TraceID().String()
}

// requireTraces requires that a node answers all traces, each span once and field by field.
func requireTraces(t *testing.T, n *kit.Node, want []ptrace.Traces) {
	t.Helper()
	for _, td := range want {
		id := traceIDOf(td)
		got, ok := fetchTrace(t, n, id)
		require.True(t, ok, "trace %s is not found", id)
		require.Equal(t, slices.Compact(tempofiles.Show(td)), tempofiles.Show(got), id)
	}
}

// pushTraces sends traces as one request each.
func pushTraces(t *testing.T, n *kit.Node, list []ptrace.Traces) {
	t.Helper()
	for _, td := range list {
		body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			code, _, err := n.Push(t.Context(), "application/x-protobuf", body)
			return err == nil && code == 200
		}, time.Minute, 50*time.Millisecond)
	}
}

// answersOf returns what a node answers to some queries, without what differs from run to run.
func answersOf(t *testing.T, n *kit.Node) (out []string) {
	t.Helper()
	now := time.Now()
	start, end := strconv.FormatInt(now.Add(-12*time.Hour).Unix()/3600*3600, 10), strconv.FormatInt(now.Unix()/3600*3600+3600, 10)
	for _, q := range []string{`{ status = error }`, `{ resource.service.name != "" && duration > 20ms }`,
		`{ span.http.status_code >= 400 }`, `{ kind = server } > { kind = client }`, `{ event:name != "" } | count() > 1`} {
		var a struct {
			Traces   []json.RawMessage
			Complete *bool
		}
		n.GetJSON(&a, "/api/search", "q", q, "limit", "1000", "start", start, "end", end)
		require.True(t, a.Complete == nil || *a.Complete)
		out = append(out, fmt.Sprintf("%s: %s", q, a.Traces))
	}
	for _, q := range []string{`{} | count_over_time() by (resource.service.name)`,
		`{} | quantile_over_time(duration, .5, .9) by (name)`} {
		var a struct{ Series []json.RawMessage }
		n.GetJSON(&a, "/api/metrics/query_range", "q", q, "start", start, "end", end, "step", "1h")
		require.NotEmpty(t, a.Series)
		texts := []string{q}
		for _, s := range a.Series {
			texts = append(texts, string(s))
		}
		slices.Sort(texts)
		out = append(out, strings.Join(texts, "\n"))
	}
	return out
}

// The blocks of a Tempo, imported beside a running node while it takes pushes: each trace comes out
// field by field, queries have the answers of a node that got the traces itself, a second import
// finds nothing to do, and what cannot be read is named.
func TestImportTempo(t *testing.T) {
	traces := recentTraces(t, corpus.DemoApps)
	reference := kit.NewNode(t)
	reference.Start()
	pushTraces(t, reference, traces)

	n := kit.NewNode(t)
	n.Config = "block_builder:\n  max_block_duration: 1s\n"
	n.Start()
	old := filepath.Join(t.TempDir(), "tempo")
	forms := tempofiles.Forms()
	const parts = 4
	size := len(traces)/parts + 1
	for i, part := range slices.Collect(slices.Chunk(traces, size)) {
		if i == parts-1 {
			pushTraces(t, n, part) // is live while the others come
			break
		}
		forms[i%2].WriteBlock(t, old, "single-tenant", part)
	}
	// what lies in two blocks is there once
	forms[1].WriteBlock(t, old, "single-tenant", traces[size-5:size+5])
	runImport := func(args ...string) (sum struct{ Found, ImportedBefore, Imported, Failed, Blocks, Spans int }, errs string, code int) {
		out, errs, code := kit.Troupectl(t, append([]string{"import", "tempo", old, "--json",
			"--bucket", filepath.Join(n.Dir, "blocks")}, args...)...)
		if out != "" {
			require.NoError(t, json.Unmarshal([]byte(out), &sum))
		}
		return sum, errs, code
	}
	sum, errs, code := runImport("--dry-run")
	require.Equal(t, 0, code, errs)
	require.Equal(t, parts, sum.Imported)
	require.Zero(t, sum.Spans)
	sum, errs, code = runImport()
	require.Equal(t, 0, code, errs)
	require.Equal(t, parts, sum.Imported)
	require.Positive(t, sum.Spans)
	require.Eventually(t, func() bool {
		_, ok := fetchTrace(t, n, traceIDOf(traces[0]))
		return ok
	}, time.Minute, 100*time.Millisecond)
	requireTraces(t, n, traces)
	require.Equal(t, answersOf(t, reference), answersOf(t, n))

	broken := forms[0].WriteBlock(t, old, "single-tenant", traces[:3])
	file := filepath.Join(old, "single-tenant", broken, "data.parquet")
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte{1}, len(raw)), 0o644))
	sum, errs, code = runImport()
	require.Equal(t, 1, code)
	require.Contains(t, errs, broken)
	require.Equal(t, parts, sum.ImportedBefore)
	require.Equal(t, 1, sum.Failed)
	require.Zero(t, sum.Blocks)
	require.Equal(t, 0, n.Stop(60*time.Second), n.Log())
	n.Start()
	requireTraces(t, n, traces)
	require.Equal(t, answersOf(t, reference), answersOf(t, n))
}

// A backup of a bucket on which a node runs, killed half-way and run again, restored into an empty
// folder: a node with an empty log answers every trace, takes new ones, and finds all after a
// restart. The bucket's own blocks that are lost come back from the backup.
func TestBackupAndRestore(t *testing.T) {
	traces := recentTraces(t, corpus.DemoApps)
	half := len(traces) / 2
	n := kit.NewNode(t)
	n.Start()
	pushTraces(t, n, traces[:half])
	require.Equal(t, 0, n.Stop(60*time.Second), n.Log())
	n.Start()
	source, copied := filepath.Join(n.Dir, "blocks"), filepath.Join(t.TempDir(), "backup")
	slow := kit.StartTroupectl(t, "backup", source, copied, "--rate", "0.02", "--at-once", "1")
	require.Eventually(t, func() bool {
		found, _ := filepath.Glob(filepath.Join(copied, "single-tenant", "*", "spans.parquet"))
		return len(found) > 0
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, slow.Process.Kill())
	require.Error(t, slow.Wait())
	require.NoDirExists(t, filepath.Join(copied, "catalog"))

	var sum struct{ Blocks, Copied, Equal, Spans int }
	runCopy := func(args ...string) {
		t.Helper()
		out, errs, code := kit.Troupectl(t, append(args, "--json", "--verify")...)
		require.Equal(t, 0, code, errs)
		require.NoError(t, json.Unmarshal([]byte(out), &sum))
	}
	runCopy("backup", source, copied)
	require.Positive(t, sum.Equal, "what the killed one has copied")
	require.Positive(t, sum.Copied)
	require.Positive(t, sum.Spans)
	runCopy("backup", source, copied)
	require.Zero(t, sum.Copied)

	restored := kit.NewNode(t)
	runCopy("restore", copied, filepath.Join(restored.Dir, "blocks"))
	restored.Start()
	requireTraces(t, restored, traces[:half])
	pushTraces(t, restored, traces[half:])
	require.Equal(t, 0, restored.Stop(60*time.Second), restored.Log())
	restored.Start()
	requireTraces(t, restored, traces)
	_, errs, code := kit.Troupectl(t, "backup", source, filepath.Join(restored.Dir, "blocks"))
	require.Equal(t, 1, code)
	require.Contains(t, errs, "a node has written to it")

	lost, err := filepath.Glob(filepath.Join(source, "single-tenant", "*", "spans.parquet"))
	require.NoError(t, err)
	require.NoError(t, os.Remove(lost[0]))
	_, _, code = kit.Troupectl(t, "blocks", "verify", "--bucket", source)
	require.Equal(t, 1, code)
	runCopy("restore", copied, source)
	require.Equal(t, 1, sum.Copied)
	_, errs, code = kit.Troupectl(t, "blocks", "verify", "--bucket", source)
	require.Equal(t, 0, code, errs)
}

// What is exported from a node and from its bucket is what was sent, whole traces field by field;
// a query chooses the same ones in both; and load takes it.
func TestExport(t *testing.T) {
	traces := recentTraces(t, corpus.DemoApps)
	n := kit.NewNode(t)
	n.Config = "block_builder:\n  max_block_duration: 1s\n"
	n.Start()
	pushTraces(t, n, traces)
	dir := t.TempDir()
	export := func(name string, args ...string) map[string][]string {
		t.Helper()
		file := filepath.Join(dir, name)
		_, errs, code := kit.Troupectl(t, append([]string{"export", "--since", "3h", "-o", file, "--url", n.HTTP}, args...)...)
		require.Equal(t, 0, code, errs)
		return readExport(t, file)
	}
	whole := map[string][]string{}
	for _, td := range traces {
		whole[traceIDOf(td)] = slices.Compact(tempofiles.Show(td))
	}
	const query = `{ status = error } | count() > 1`
	require.Equal(t, whole, export("node.jsonl"))
	chosen := export("chosen.jsonl.gz", query)
	require.NotEmpty(t, chosen)
	require.Less(t, len(chosen), len(whole))

	require.Equal(t, 0, n.Stop(60*time.Second), n.Log())
	bucket := []string{"--bucket", filepath.Join(n.Dir, "blocks")}
	require.Equal(t, whole, export("bucket.jsonl", bucket...))
	require.Equal(t, whole, export("bucket.bin", append(bucket, "--format", "proto")...))
	require.Equal(t, chosen, export("chosen-bucket.jsonl", append(bucket, query)...))

	again := kit.NewNode(t)
	again.Start()
	for _, file := range []string{"bucket.bin", "node.jsonl"} { // the same twice, which is no harm
		_, errs, code := kit.Troupectl(t, "load", filepath.Join(dir, file), "--otlp", again.OTLPHTTP)
		require.Equal(t, 0, code, errs)
	}
	requireTraces(t, again, traces)

	lost, err := filepath.Glob(filepath.Join(n.Dir, "blocks", "single-tenant", "*", "spans.parquet"))
	require.NoError(t, err)
	require.NoError(t, os.Remove(lost[0]))
	_, errs, code := kit.Troupectl(t, append(bucket, "export", "-o", filepath.Join(dir, "part.jsonl"))...)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "not complete")
	require.Contains(t, errs, filepath.Base(filepath.Dir(lost[0])))
}

// readExport returns what a file holds, by trace.
func readExport(t *testing.T, file string) map[string][]string {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	if strings.HasSuffix(file, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(raw))
		require.NoError(t, err)
		raw, err = io.ReadAll(z)
		require.NoError(t, err)
	}
	all := map[string]ptrace.Traces{}
	add := func(td ptrace.Traces, err error) {
		require.NoError(t, err)
		id := traceIDOf(td)
		if _, ok := all[id]; !ok {
			all[id] = ptrace.NewTraces()
		}
		td.ResourceSpans().MoveAndAppendTo(all[id].ResourceSpans())
	}
	if strings.HasSuffix(file, ".bin") {
		for len(raw) > 0 {
			size := int(binary.BigEndian.Uint32(raw))
			add((&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(raw[4 : 4+size]))
			raw = raw[4+size:]
		}
	} else {
		for line := range bytes.Lines(raw) {
			add((&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line))
		}
	}
	out := map[string][]string{}
	for id, td := range all {
		out[id] = tempofiles.Show(td)
	}
	return out
}

// Addresses of an object store stand wherever a folder does: traces are imported into a bucket on
// the network, backed up from there, and restored into a folder.
func TestMoveByObjectStore(t *testing.T) {
	store := stores.StartS3(t)
	t.Setenv("AWS_ACCESS_KEY_ID", store.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", store.SecretKey)
	address := func(folder string) string {
		return "s3://" + store.Bucket + "/" + folder + "?insecure=true&endpoint=" + store.Endpoint
	}
	traces := recentTraces(t, corpus.Sample)
	old := filepath.Join(t.TempDir(), "tempo")
	tempofiles.Forms()[0].WriteBlock(t, old, "single-tenant", traces)
	n := kit.NewNode(t)
	for _, args := range [][]string{
		{"import", "tempo", old, "--bucket", address("live")},
		{"blocks", "verify", "--bucket", address("live")},
		{"backup", address("live"), address("copy")},
		{"restore", address("copy"), filepath.Join(n.Dir, "blocks"), "--verify"},
		{"blocks", "levels", "--bucket", address("copy")},
	} {
		out, errs, code := kit.Troupectl(t, args...)
		require.Equal(t, 0, code, "%v: %s", args, errs)
		t.Log(out)
	}
	n.Start()
	requireTraces(t, n, traces)
}
