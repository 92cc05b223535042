// Package raftwal measures hashicorp/raft-wal, the candidate that the embedded log was weighed
// against. Its figures are in docs/adr/0002-embedded-log.md; nothing else uses the library.
package raftwal

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
	"github.com/stretchr/testify/require"
)

func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// open opens a log; its close also closes the metadata, whose file lock the library's own Close
// leaves held (v0.4.0).
func open(tb testing.TB, dir string, filer types.SegmentFiler) (w *wal.WAL, close func()) {
	tb.Helper()
	meta := &metadb.BoltMetaDB{}
	if filer == nil {
		filer = segment.NewFiler(dir, fs.New())
	}
	w, err := wal.Open(dir, wal.WithSegmentSize(segmentBytes), wal.WithMetaStore(meta), wal.WithSegmentFiler(filer))
	require.NoError(tb, err)
	return w, func() {
		require.NoError(tb, w.Close())
		require.NoError(tb, meta.Close())
	}
}

const segmentBytes = 1 << 20

func entries(from uint64, n int, value []byte) []*raft.Log {
	out := make([]*raft.Log, n)
	for i := range out {
		out[i] = &raft.Log{Index: from + uint64(i), Data: value}
	}
	return out
}

// BenchmarkRaftWALAppend appends 200 KB records, one or sixteen to a sync, and trims behind itself.
func BenchmarkRaftWALAppend(b *testing.B) {
	value := noise(200_000)
	for name, group := range map[string]int{"group=1": 1, "group=16": 16} {
		b.Run(name, func(b *testing.B) {
			w, err := wal.Open(b.TempDir())
			require.NoError(b, err)
			b.SetBytes(int64(len(value)))
			b.ReportAllocs()
			var took []time.Duration
			next := uint64(1)
			for b.Loop() {
				if (next-1)%uint64(group) == 0 {
					start := time.Now()
					require.NoError(b, w.StoreLogs(entries(next, group, value)))
					took = append(took, time.Since(start))
				}
				if next++; next%2000 == 0 {
					require.NoError(b, w.DeleteRange(1, next-1000))
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// BenchmarkRaftWALReopen opens a log of 1 GB.
func BenchmarkRaftWALReopen(b *testing.B) {
	value, dir := noise(200_000), b.TempDir()
	w, end := open(b, dir, nil)
	for i := range 320 {
		require.NoError(b, w.StoreLogs(entries(uint64(1+16*i), 16, value)))
	}
	end()
	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	for b.Loop() {
		_, end := open(b, dir, nil)
		end()
	}
	runtime.ReadMemStats(&m1)
	b.ReportMetric(float64(m1.TotalAlloc-m0.TotalAlloc)/float64(b.N)/1e6, "alloc-MB/op")
}

// What the library does with damage, for the decision record. It holds for the pinned version.
func TestRaftWALDamage(t *testing.T) {
	value := noise(10_000)
	const n = 300
	fill := func(dir string) {
		w, end := open(t, dir, nil)
		for i := range n {
			require.NoError(t, w.StoreLogs(entries(uint64(1+i), 1, value)))
		}
		end()
	}
	change := func(dir string, file func([]string) string, f func([]byte)) {
		m, err := filepath.Glob(filepath.Join(dir, "*.wal"))
		require.NoError(t, err)
		slices.Sort(m)
		require.Greater(t, len(m), 2)
		name := file(m)
		raw, err := os.ReadFile(name)
		require.NoError(t, err)
		f(raw)
		require.NoError(t, os.WriteFile(name, raw, 0o600))
	}
	first := func(m []string) string { return m[0] }
	last := func(m []string) string { return m[len(m)-1] }

	t.Run("a flipped byte in a sealed segment is read without an error", func(t *testing.T) {
		dir := t.TempDir()
		fill(dir)
		change(dir, first, func(raw []byte) { raw[500_000] ^= 1 })
		w, end := open(t, dir, nil)
		defer end()
		wrong := 0
		for i := range uint64(n) {
			var l raft.Log
			require.NoError(t, w.GetLog(i+1, &l))
			if string(l.Data) != string(value) {
				wrong++
			}
		}
		require.Equal(t, 1, wrong)
	})
	t.Run("a torn tail is cut", func(t *testing.T) {
		dir := t.TempDir()
		fill(dir)
		change(dir, last, func(raw []byte) {
			at := len(raw)
			for at > 0 && raw[at-1] == 0 {
				at--
			}
			clear(raw[max(at-3000, 0):])
		})
		w, end := open(t, dir, nil)
		defer end()
		after, err := w.LastIndex()
		require.NoError(t, err)
		require.EqualValues(t, n-1, after)
	})
	t.Run("after a failed sync no append is taken until the log is opened again", func(t *testing.T) {
		dir := t.TempDir()
		v := &failingVFS{VFS: fs.New()}
		w, end := open(t, dir, segment.NewFiler(dir, v))
		defer end()
		require.NoError(t, w.StoreLogs(entries(1, 1, value)))
		v.fail = true
		require.Error(t, w.StoreLogs(entries(2, 1, value)))
		v.fail = false
		require.Error(t, w.StoreLogs(entries(2, 1, value)))
		require.Error(t, w.StoreLogs(entries(3, 1, value)))
	})
}

type failingVFS struct {
	types.VFS
	fail bool
}

func (v *failingVFS) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := v.VFS.Create(dir, name, size)
	return &failingFile{WritableFile: f, v: v}, err
}

type failingFile struct {
	types.WritableFile
	v *failingVFS
}

func (f *failingFile) Sync() error {
	if f.v.fail {
		return errors.New("sync: input/output error")
	}
	return f.WritableFile.Sync()
}
