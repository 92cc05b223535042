package journal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

func data(seq uint64) []byte { return fmt.Appendf(nil, "entry %d", seq) }

func fill(t testing.TB, j *Journal, from, to uint64) {
	t.Helper()
	for seq := from; seq <= to; seq++ {
		require.NoError(t, j.Append(t.Context(), seq, data(seq)))
	}
}

// expect loads the journal and demands a snapshot (0: none) and all entries after it up to last.
func expect(t testing.TB, j *Journal, snapshot, last uint64) Loaded {
	t.Helper()
	l, err := j.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, snapshot, l.SnapshotSeq)
	require.Equal(t, last, l.Last)
	if snapshot > 0 {
		require.Equal(t, fmt.Sprintf("snapshot %d", snapshot), string(l.Snapshot))
	} else {
		require.Nil(t, l.Snapshot)
	}
	require.Len(t, l.Entries, int(last-snapshot))
	for i, e := range l.Entries {
		require.Equal(t, string(data(snapshot+uint64(i)+1)), string(e))
	}
	return l
}

func save(t testing.TB, j *Journal, seq uint64) {
	t.Helper()
	require.NoError(t, j.SaveSnapshot(t.Context(), seq, fmt.Appendf(nil, "snapshot %d", seq)))
}

func names(t testing.TB, b objstore.Bucket) string {
	t.Helper()
	var out []string
	require.NoError(t, b.List(t.Context(), "", func(o objstore.Info) error {
		s := strings.TrimLeft(strings.TrimPrefix(o.Name, "catalog/"), "0")
		out = append(out, strings.Replace(s, "snapshot/"+strings.Repeat("0", 19), "s", 1))
		return nil
	}))
	return strings.Join(out, " ")
}

// What is appended is loaded, in order, over every kind of bucket, by whoever opens the journal
// next.
func TestAppendAndLoad(t *testing.T) {
	local, err := objstore.OpenLocal(t.TempDir())
	require.NoError(t, err)
	defer local.Close()
	for _, b := range []objstore.Bucket{objstore.NewMemory(), local} {
		expect(t, New(b, "catalog/"), 0, 0)
		fill(t, New(b, "catalog/"), 1, 12)
		expect(t, New(b, "catalog/"), 0, 12)
		_, err := b.Create(t.Context(), "catalog/0e9c2d7f-not-a-number/meta.json", strings.NewReader("a tenant may be called catalog"))
		require.NoError(t, err)
		_, err = b.Create(t.Context(), "catalog/13", strings.NewReader("not 20 digits"))
		require.NoError(t, err)
		save(t, New(b, "catalog/"), 10)
		expect(t, New(b, "catalog/"), 10, 12)
		expect(t, New(b, "other/"), 0, 0)
	}
}

// Of several writers of one number exactly one succeeds; the others are told that it is taken and
// change nothing.
func TestTaken(t *testing.T) {
	b := objstore.NewMemory()
	j := New(b, "catalog/")
	fill(t, j, 1, 3)
	require.ErrorIs(t, New(b, "catalog/").Append(t.Context(), 3, []byte("other")), ErrTaken)
	expect(t, j, 0, 3)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = New(b, "catalog/").Append(context.Background(), 4, data(4)) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			require.ErrorIs(t, err, ErrTaken)
		}
	}
	require.Equal(t, 1, won)
	expect(t, j, 0, 4)
	save(t, j, 4)
	require.ErrorIs(t, j.SaveSnapshot(t.Context(), 4, []byte("other")), ErrTaken)
	expect(t, j, 4, 4)
}

// Entries go once two snapshots are newer than they are, and with them older snapshots; whoever
// still reads from the older of the two finds all after it.
func TestClean(t *testing.T) {
	b := objstore.NewMemory()
	j := New(b, "catalog/")
	fill(t, j, 1, 3)
	save(t, j, 2)
	require.Equal(t, "1 2 3 s2", names(t, b))
	fill(t, j, 4, 5)
	save(t, j, 4)
	require.Equal(t, "3 4 5 s2 s4", names(t, b))
	save(t, j, 5)
	require.Equal(t, "5 s4 s5", names(t, b))
	expect(t, j, 5, 5)
	b.Change("catalog/snapshot/00000000000000000005", func(b []byte) []byte { return b[:len(b)-1] })
	l := expect(t, j, 4, 5)
	require.Len(t, l.Damaged, 1)
	require.Contains(t, l.Damaged[0], "snapshot/00000000000000000005")
	fill(t, j, 6, 7)
	require.ErrorIs(t, j.SaveSnapshot(t.Context(), 7, []byte("snapshot 7")), ErrCorrupt, "nothing is removed while a snapshot in use is damaged")
	require.Equal(t, "5 6 7 s4 s5 s7", names(t, b))
	expect(t, j, 7, 7)
}

// A writer that slept while its number was written, covered by snapshots and removed must not
// believe that it has written it.
func TestC18SleeperIsFenced(t *testing.T) {
	b := objstore.NewMemory()
	j := New(b, "catalog/")
	fill(t, j, 1, 9)
	save(t, j, 8)
	save(t, j, 9)
	require.NotContains(t, names(t, b), "5 ")
	require.ErrorIs(t, j.Append(t.Context(), 5, []byte("sleeper")), ErrTaken)
	require.ErrorIs(t, j.Append(t.Context(), 8, []byte("sleeper")), ErrTaken)
	require.ErrorIs(t, j.Append(t.Context(), 9, []byte("sleeper")), ErrTaken)
	expect(t, j, 9, 9)
	fill(t, j, 10, 10)
	expect(t, j, 9, 10)
}

// Damage is never passed over: an entry with a flipped bit, a half one, an empty one, one that is
// missing, and a journal of which only a broken snapshot is left.
func TestCorrupt(t *testing.T) {
	name := func(seq int) string { return fmt.Sprintf("catalog/%020d", seq) }
	size := len(encodeObject(data(3)))
	for i := range size * 8 {
		b := objstore.NewMemory()
		j := New(b, "catalog/")
		fill(t, j, 1, 5)
		b.Change(name(3), func(b []byte) []byte { b[i/8] ^= 1 << (i % 8); return b })
		_, err := j.Load(t.Context())
		require.ErrorIs(t, err, ErrCorrupt, "bit %d", i)
		require.ErrorContains(t, err, name(3))
	}
	for n := range size {
		b := objstore.NewMemory()
		j := New(b, "catalog/")
		fill(t, j, 1, 5)
		b.Change(name(5), func(b []byte) []byte { return b[:n] })
		_, err := j.Load(t.Context())
		require.ErrorIs(t, err, ErrCorrupt, "%d bytes", n)
	}
	for _, gone := range []int{1, 3} {
		b := objstore.NewMemory()
		j := New(b, "catalog/")
		fill(t, j, 1, 5)
		require.NoError(t, b.Delete(t.Context(), name(gone)))
		_, err := j.Load(t.Context())
		require.ErrorIs(t, err, ErrCorrupt)
		require.ErrorContains(t, err, fmt.Sprintf("entry %d is missing before entry %d", gone, gone+1))
	}
	b := objstore.NewMemory()
	j := New(b, "catalog/")
	save(t, j, 1)
	b.Change("catalog/snapshot/00000000000000000001", func(b []byte) []byte { return b[:5] })
	_, err := j.Load(t.Context())
	require.ErrorIs(t, err, ErrCorrupt, "an empty catalog would forget every block")
}

// A missing or half-written snapshot is done without, as long as the entries are there.
func TestWithoutSnapshot(t *testing.T) {
	for _, f := range []func([]byte) []byte{func(b []byte) []byte { return nil }, func(b []byte) []byte { return b[:len(b)/2] }} {
		b := objstore.NewMemory()
		j := New(b, "catalog/")
		fill(t, j, 1, 6)
		save(t, j, 5)
		b.Change("catalog/snapshot/00000000000000000005", f)
		l, err := j.Load(t.Context())
		require.NoError(t, err)
		require.Len(t, l.Damaged, 1)
		require.Len(t, l.Entries, 6)
		require.NoError(t, b.Delete(t.Context(), "catalog/snapshot/00000000000000000005"))
		expect(t, j, 0, 6)
	}
}

// An append of which the answer is lost was written or not; the number is taken either way once it
// was, and Load tells.
func TestLostAnswers(t *testing.T) {
	down := errors.New("down")
	for _, fault := range []objstore.Fault{{Before: down}, {After: down}} {
		m := objstore.NewMemory()
		f := objstore.NewFaulty(m, func(c objstore.Call) objstore.Fault {
			if c.Op == objstore.OpCreate && c.N == 3 {
				return fault
			}
			return objstore.Fault{}
		})
		j := New(f, "catalog/")
		fill(t, j, 1, 2)
		require.ErrorIs(t, j.Append(t.Context(), 3, data(3)), down)
		if fault.After == nil {
			expect(t, j, 0, 2)
			fill(t, j, 3, 3)
		} else {
			require.ErrorIs(t, j.Append(t.Context(), 3, []byte("other")), ErrTaken)
		}
		expect(t, j, 0, 3)
	}
	f := objstore.NewFaulty(objstore.NewMemory(), func(c objstore.Call) objstore.Fault {
		if c.Op == objstore.OpList {
			return objstore.Fault{Before: down}
		}
		return objstore.Fault{}
	})
	require.ErrorIs(t, New(f, "catalog/").Append(t.Context(), 1, data(1)), down, "whether a snapshot covers it is not known")
	_, err := New(f, "catalog/").Load(t.Context())
	require.ErrorIs(t, err, down)
}

// A reader whose entries are removed behind a new snapshot while it reads begins again at that.
func TestLoadWhileCleaned(t *testing.T) {
	m := objstore.NewMemory()
	j := New(m, "catalog/")
	fill(t, j, 1, 6)
	save(t, j, 2)
	done := false
	f := objstore.NewFaulty(m, func(c objstore.Call) objstore.Fault {
		if c.Op == objstore.OpRead && strings.HasSuffix(c.Name, "04") && !done {
			done = true
			return objstore.Fault{Hold: func(context.Context) error { save(t, j, 5); save(t, j, 6); return nil }}
		}
		return objstore.Fault{}
	})
	expect(t, New(f, "catalog/"), 6, 6)
	require.True(t, done)
}

// Bytes of any content are an entry or an error.
func FuzzDecode(f *testing.F) {
	f.Add(encodeObject([]byte("data")))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := decodeObject(b); err == nil {
			require.Equal(t, b, encodeObject(d))
		} else {
			require.ErrorIs(t, err, ErrCorrupt)
		}
	})
}
