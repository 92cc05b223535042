package e2e

import (
	"encoding/json"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
)

// Blocks are ordinary Parquet: pyarrow and DuckDB open every object of the bucket, agree on every column, and count the spans and events that were sent.
func TestOtherReadersOpenBlocks(t *testing.T) {
	python := kit.Python(t, "duckdb", "pyarrow.parquet")
	n := kit.NewNode(t)
	n.Start()
	want := map[string][]string{}
	load(t, n, "demo-apps.otlp.jsonl.gz", 0, want)
	load(t, n, "webapp-e2e.otlp.jsonl.gz", 0, want)
	require.Equal(t, 0, n.Stop(60*time.Second), n.Log())
	out, err := exec.Command(python, "python/blocks.py", n.Dir+"/blocks").CombinedOutput()
	require.NoError(t, err, "%s", out)
	var got struct {
		Rows    map[string]int
		Columns int
	}
	require.NoError(t, json.Unmarshal(out, &got), "%s", out)
	spans := 0
	for _, s := range want {
		spans += len(unique(s))
	}
	require.Equal(t, spans, got.Rows["spans.parquet"])
	require.Equal(t, 941+59, got.Rows["events.parquet"])
	require.Equal(t, 1, got.Rows["links.parquet"])
	require.Greater(t, got.Columns, 60)
}
