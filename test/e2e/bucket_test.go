package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/corpus"
)

// A second node on the same bucket does not start; nor does one whose bucket is empty while its log
// has forgotten what was in blocks. Told to start all the same, it says in its answers what is
// missing.
func TestBucketOfTheLog(t *testing.T) {
	n := kit.NewNode(t)
	n.Start()
	want := map[string][]string{}
	load(t, n, corpus.Generated(), corpus.DemoApps, 0, want)
	second := kit.NewNode(t)
	second.Args = append(second.Args, "-storage.trace.local.path="+filepath.Join(n.Dir, "blocks"))
	second.Launch()
	require.Equal(t, 1, second.Exit(20*time.Second))
	require.Contains(t, second.Log(), "in use by another process")
	require.Equal(t, 0, n.Stop(60*time.Second), n.Log())

	require.NoError(t, os.Rename(filepath.Join(n.Dir, "blocks"), filepath.Join(n.Dir, "unmounted")))
	n.Launch()
	require.Equal(t, 1, n.Exit(20*time.Second))
	require.Contains(t, n.Log(), "accept_other_bucket=true")
	args := n.Args
	n.Args = append(append([]string(nil), args...), "-set", "storage.trace.wal.accept_other_bucket=true",
		"-set", "query_frontend.search.max_duration=0s")
	n.Start()
	var a struct {
		Complete *bool
		Warnings []string
	}
	n.GetJSON(&a, "/api/search", "q", "{ }", "limit", "10", "start", "1", "end", "4000000000")
	require.NotNil(t, a.Complete)
	require.False(t, *a.Complete)
	require.Contains(t, a.Warnings[0], "log-gap")
	require.Equal(t, 0, n.Stop(60*time.Second), n.Log())
	require.Contains(t, n.Log(), "records are neither in the log any more nor in a block of this bucket")
}
