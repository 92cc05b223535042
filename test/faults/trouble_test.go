package faults

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// failing refuses a part of the requests, half of them after the store has done what they ask for.
func failing(part float64) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		switch x := mathrand.Float64(); {
		case x >= part:
			forward.ServeHTTP(w, r)
			return
		case x < part/2:
			forward.ServeHTTP(httptest.NewRecorder(), r)
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// slow keeps each request for some time.
func slow(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	time.Sleep(time.Duration(200+mathrand.IntN(400)) * time.Millisecond)
	forward.ServeHTTP(w, r)
}

// twice has the store get each request twice; the node hears the first answer or the second.
func twice(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	again := r.Clone(r.Context())
	r.Body, again.Body = io.NopCloser(bytes.NewReader(body)), io.NopCloser(bytes.NewReader(body))
	if mathrand.IntN(2) == 0 {
		forward.ServeHTTP(httptest.NewRecorder(), r)
		forward.ServeHTTP(w, again)
		return
	}
	forward.ServeHTTP(w, r)
	forward.ServeHTTP(httptest.NewRecorder(), again)
}

// The store fails in three of ten requests, is away, is slow, or gets each request twice, while
// spans come and blocks are cut, merged and removed. Pushes go on, answers name what they lack, and
// when the store is well again so are they, and merges.
func TestStoreInTrouble(t *testing.T) {
	long := os.Getenv("TROUPE_FAULT_ROUNDS") != ""
	last := func(core, all time.Duration) time.Duration {
		if long {
			return all
		}
		return core
	}
	store := startTraffic(t)
	n := startNode(t, store)
	s := newSender(n, 3)
	w := watch(t, s)
	pushFor := func(d time.Duration) (refused int) {
		for until := time.Now().Add(d); time.Now().Before(until); time.Sleep(200 * time.Millisecond) {
			if !s.push() {
				refused++
			}
		}
		return refused
	}
	pushFor(3 * time.Second)
	for _, c := range []struct {
		name  string
		fault func(http.ResponseWriter, *http.Request, http.Handler)
		lasts time.Duration
	}{
		{"three of ten requests fail", failing(0.3), last(8*time.Second, 30*time.Second)},
		{"it is away", failing(1), last(8*time.Second, 30*time.Second)},
		{"it is slow", slow, last(5*time.Second, 20*time.Second)},
		{"it gets each request twice", twice, last(5*time.Second, 20*time.Second)},
	} {
		w.breaks(c.name)
		cuts, merges := store.published()
		store.setFault(c.fault)
		refused := pushFor(c.lasts)
		store.setFault(nil)
		w.breaks(c.name)
		ended := time.Now()
		_, before := store.published()
		for now := before; now == before; _, now = store.published() {
			require.Less(t, time.Since(ended), patience, "nothing is merged; the node's log:\n%s", n.Log())
			pushFor(time.Second)
		}
		t.Logf("figures: %s for %s: %d pushes refused; merged again after %s", c.name, c.lasts, refused,
			time.Since(ended).Round(100*time.Millisecond))
		after, mergesAfter := store.published()
		t.Logf("figures: %d cuts and %d merges meanwhile", after-cuts, mergesAfter-merges)
		require.Zero(t, refused, "pushes need the log only")
	}
	settle(t, store, s)
	f := w.stop()
	t.Logf("figures: %d spans sent; %s", s.count(), f)
	for _, line := range f.first {
		t.Error(line)
	}
	require.Zero(t, f.doubled+f.hidden)
}

// The disk is full when blocks are merged. Nothing is lost, nothing is set aside, and when there is
// space again, they are merged.
func TestDiskIsFull(t *testing.T) {
	if os.Getenv("TROUPE_FAULT_ROUNDS") == "" {
		t.Skip("it waits for a minute: make merge-faults")
	}
	n := kit.NewNode(t)
	small := filepath.Join(n.Dir, "blocks")
	require.NoError(t, os.Mkdir(small, 0o700))
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { n.Kill(); _ = syscall.Unmount(small, syscall.MNT_DETACH) })
	n.Args = []string{"-set", "storage.trace.wal.partitions=1"}
	const settings = "block_builder: {max_block_duration: 300ms}\nbackend_worker: {poll_interval: %s}\n"
	n.Config = fmt.Sprintf(settings, "1h") // it asks at its start, and then there is nothing
	n.Start()
	s := newSender(n, 4)
	for id := range 4 {
		payload := make([]byte, 1<<20)
		_, err := rand.Read(payload)
		require.NoError(t, err)
		now := uint64(time.Now().UnixNano())
		x := &otlp.Span{Trace: otlp.TraceID(uint64(id + 1)), ID: otlp.SpanID(1), Start: now, End: now,
			Resource: &otlp.Resource{Attrs: []otlp.Attr{{Key: "service.name", Value: "faults"}}},
			Attrs:    []otlp.Attr{{Key: "payload", Value: string(fmt.Appendf(nil, "%x", payload))}}}
		code, answer, err := n.Push(t.Context(), "application/x-protobuf", otlp.Encode(x))
		require.NoError(t, err)
		require.Equal(t, 200, code, "%s", answer)
		s.spans[x.Trace] = map[trace.SpanID]time.Time{x.ID: time.Now()}
		require.Eventually(t, func() bool { return strings.Count(n.Log(), "cut published") == id+1 }, patience, 50*time.Millisecond)
	}
	require.Zero(t, n.Stop(time.Minute), n.Log())

	var free syscall.Statfs_t
	require.NoError(t, syscall.Statfs(small, &free))
	ballast := filepath.Join(n.Dir, "blocks", "+ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, int64(free.Bavail)*free.Bsize-1<<20), 0o600))
	n.Config = fmt.Sprintf(settings, "300ms")
	n.Start()
	require.Eventually(t, func() bool { return strings.Contains(n.Log(), "a merge of blocks has come to nothing") }, patience, 50*time.Millisecond)
	require.Contains(t, n.Log(), "bucket is full")
	w := watch(t, s)
	time.Sleep(3 * time.Second)
	require.NoError(t, os.Remove(ballast))
	began := time.Now()
	require.Eventually(t, func() bool { return strings.Contains(n.Log(), "blocks merged") }, 2*patience, 100*time.Millisecond)
	require.NotContains(t, n.Log(), "the blocks stay as they are")
	w.breaks("the disk was full")
	time.Sleep(2 * time.Second)
	f := w.stop()
	t.Logf("figures: merged %s after there was space again; %s", time.Since(began).Round(time.Second), f)
	require.Zero(t, f.doubled+f.hidden+f.incomplete, "%s", f.first)
}
