package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/test/kit"
)

// A node that is asked to end while clients send answers what it has taken, ends with code 0 within
// its time, and has everything it acknowledged.
func TestStopUnderLoad(t *testing.T) {
	n := kit.NewNode(t)
	n.Start()
	for round := range 2 {
		service := fmt.Sprintf("stop-%d", round)
		acked, unknown := map[string]bool{}, map[string]bool{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(round), uint64(w)))
				for {
					body, ids := request(r, service, 10)
					code, _, err := n.Push(context.Background(), "application/x-protobuf", body)
					mu.Lock()
					for _, id := range ids {
						if err == nil && code == 200 {
							acked[id] = true
						} else {
							unknown[id] = true
						}
					}
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
		time.Sleep(700 * time.Millisecond)
		require.Equal(t, 0, n.Stop(40*time.Second), n.Log())
		wg.Wait()
		require.NotEmpty(t, acked)
		n.Start()
		verify(t, n, service, acked, unknown)
	}
}

// A full disk refuses spans with a cause, keeps what it had, and takes spans again once there is
// room.
func TestDiskFull(t *testing.T) {
	n := kit.NewNode(t)
	require.NoError(t, os.Mkdir(filepath.Join(n.Dir, "small"), 0o700))
	small := filepath.Join(n.Dir, "small")
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { n.Kill(); _ = syscall.Unmount(small, syscall.MNT_DETACH) })
	n.Args = []string{"-storage.trace.wal.path=" + small, "-set", "storage.trace.wal.segment_bytes=1MiB"}
	ballast := filepath.Join(small, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 8<<20), 0o600))
	n.Start()
	r := rand.New(rand.NewPCG(1, 1))
	acked, unknown := map[string]bool{}, map[string]bool{}
	push := func() (int, string) {
		body, ids := request(r, "full", 200)
		code, answer, err := n.Push(context.Background(), "application/x-protobuf", body)
		require.NoError(t, err)
		for _, id := range ids {
			if code == 200 {
				acked[id] = true
			} else {
				unknown[id] = true
			}
		}
		return code, string(answer)
	}
	code, answer := 200, ""
	for i := 0; i < 1000 && code == 200; i++ {
		code, answer = push()
	}
	require.Contains(t, []int{429, 503}, code, answer) // both are sent again
	require.Contains(t, answer, "full")
	ready, _ := n.Get("/ready")
	require.Equal(t, 200, ready)
	foundAll(t, n, "full", len(acked))
	verify(t, n, "full", acked, unknown)
	require.NoError(t, os.Remove(ballast))
	require.Eventually(t, func() bool { code, _ := push(); return code == 200 }, 30*time.Second, 100*time.Millisecond)
	foundAll(t, n, "full", len(acked))
	verify(t, n, "full", acked, unknown)
	n.Kill()
	n.Start()
	verify(t, n, "full", acked, unknown)
}

// A damaged journal of the catalog is set aside, loudly, and the catalog is made anew from the
// blocks: nothing is lost.
func TestDamagedCatalog(t *testing.T) {
	n := kit.NewNode(t)
	n.Start()
	b, id := one(func(ptrace.ResourceSpans, ptrace.Span) {})
	code, _, err := n.Push(context.Background(), "application/x-protobuf", b)
	require.NoError(t, err)
	require.Equal(t, 200, code)
	require.Equal(t, 0, n.Stop(30*time.Second))
	entries, err := filepath.Glob(filepath.Join(n.Dir, "blocks", "catalog", "0*"))
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	raw, err := os.ReadFile(entries[0])
	require.NoError(t, err)
	raw[len(raw)/2] ^= 0xff
	require.NoError(t, os.WriteFile(entries[0], raw, 0o600))
	n.Start()
	require.Contains(t, n.Log(), "the catalog is damaged")
	require.Len(t, fetch(t, n, id), 1)
	aside, err := filepath.Glob(filepath.Join(n.Dir, "blocks", "catalog-damaged-*", "0*"))
	require.NoError(t, err)
	require.Len(t, aside, len(entries))
}

// A role that cannot work ends the process with a code and one last line that names the role and
// the cause.
func TestRoleGivesUp(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes the time of all restarts")
	}
	n := kit.NewNode(t)
	require.NoError(t, os.MkdirAll(filepath.Join(n.Dir, "blocks"), 0o700))
	// no entry can be written beneath a file
	require.NoError(t, os.WriteFile(filepath.Join(n.Dir, "blocks", "catalog"), nil, 0o600))
	n.Launch()
	if n.Exit(3*time.Minute) == 0 {
		t.Fatal("exit code 0")
	}
	lines := strings.Split(strings.TrimSpace(n.Log()), "\n")
	last := lines[len(lines)-1]
	require.Regexp(t, regexp.MustCompile(`level=ERROR msg="troupe ends" err="backend-scheduler.*catalog`), last)
	require.Less(t, len(last), 1000)
}
