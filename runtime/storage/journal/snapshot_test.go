package journal

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// small makes a journal whose snapshots are in parts of ten bytes and at most as large as it says.
func small(b objstore.Bucket, most int64) *Journal {
	j := New(b, "catalog/")
	j.partBytes, j.snapshotBytes = 10, most
	return j
}

// What may be written can be read, of any size; what is larger is refused and leaves the older
// snapshot and the entries.
func TestWhatIsWrittenCanBeRead(t *testing.T) {
	for size := range 45 {
		b := objstore.NewMemory()
		j := small(b, 40)
		fill(t, j, 1, 3)
		require.NoError(t, j.SaveSnapshot(t.Context(), 2, []byte("older")))
		want := bytes.Repeat([]byte("x"), size)
		err := j.SaveSnapshot(t.Context(), 3, want)
		l, e := j.Load(t.Context())
		require.NoError(t, e)
		require.Equal(t, uint64(3), l.Last)
		if size > 40 {
			require.ErrorIs(t, err, ErrTooLarge)
			require.ErrorContains(t, err, fmt.Sprintf("%d bytes, limit 40", size))
			require.Equal(t, "older", string(l.Snapshot))
			require.Len(t, l.Entries, 1)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, string(want), string(l.Snapshot))
		require.Empty(t, l.Damaged)
	}
}

// An object that is too large to be read is done without as one that is damaged.
func TestTooLargeToRead(t *testing.T) {
	b := objstore.NewMemory()
	large := objstore.NewFaulty(b, nil)
	j := New(large, "catalog/")
	fill(t, j, 1, 3)
	save(t, j, 2)
	save(t, j, 3)
	fail := func(name string) {
		large.SetPlan(func(c objstore.Call) objstore.Fault {
			if c.Op == objstore.OpRead && c.Name == name {
				return objstore.Fault{Before: objstore.ErrTooLarge}
			}
			return objstore.Fault{}
		})
	}
	fail(j.snapshotName(3))
	l, err := j.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(2), l.SnapshotSeq)
	require.Len(t, l.Damaged, 1)
	fill(t, j, 4, 4)
	fail(j.entryName(4))
	_, err = j.Load(t.Context())
	require.ErrorIs(t, err, ErrCorrupt)
}

// Each object of a snapshot in parts may be damaged or gone: the older snapshot and the entries
// take its place. Parts that no snapshot names go with the next one.
func TestSnapshotInParts(t *testing.T) {
	build := func() (*objstore.Memory, *Journal) {
		b := objstore.NewMemory()
		j := small(b, 1000)
		fill(t, j, 1, 4)
		save(t, j, 2)
		require.NoError(t, j.SaveSnapshot(t.Context(), 4, []byte(strings.Repeat("0123456789", 3)+"end")))
		return b, j
	}
	b, j := build()
	var all []string
	require.NoError(t, b.List(t.Context(), "", func(o objstore.Info) error {
		all = append(all, o.Name)
		return nil
	}))
	for i, n := range all {
		if !strings.Contains(n, "snapshot") {
			continue
		}
		for _, what := range []string{"gone", "flipped", "cut", "empty"} {
			b, j := build()
			var name string
			at := 0
			require.NoError(t, b.List(t.Context(), "", func(o objstore.Info) error {
				if at == i {
					name = o.Name
				}
				at++
				return nil
			}))
			if what == "gone" {
				require.NoError(t, b.Delete(t.Context(), name))
			}
			b.Change(name, func(b []byte) []byte {
				switch what {
				case "flipped":
					b[len(b)-1] ^= 1
				case "cut":
					b = b[:len(b)-1]
				default:
					b = nil
				}
				return b
			})
			l, err := j.Load(t.Context())
			require.NoError(t, err, "%s %s", name, what)
			require.Equal(t, uint64(4), l.Last)
			if strings.HasSuffix(name, "snapshot/00000000000000000002") {
				require.Equal(t, uint64(4), l.SnapshotSeq)
			} else {
				require.Equal(t, uint64(2), l.SnapshotSeq, "%s %s", name, what)
			}
		}
	}
	_, err := b.Create(t.Context(), j.partName(3, "ended-half-way", 0), strings.NewReader("x"))
	require.NoError(t, err)
	_, err = b.Create(t.Context(), j.partName(9, "under-way", 0), strings.NewReader("x"))
	require.NoError(t, err)
	fill(t, j, 5, 6)
	save(t, j, 5)
	save(t, j, 6)
	parts, err := j.listParts(t.Context())
	require.NoError(t, err)
	require.Len(t, parts, 1)
	require.Equal(t, "under-way", parts[0].token)
}

// A damaged journal that is begun anew is there under another name, damaged as it was. Where that
// ends half-way, the journal is the damaged one or the new one.
func TestRemake(t *testing.T) {
	build := func() *objstore.Memory {
		b := objstore.NewMemory()
		j := small(b, 1000)
		fill(t, j, 1, 6)
		save(t, j, 3)
		require.NoError(t, j.SaveSnapshot(t.Context(), 4, []byte(strings.Repeat("0123456789", 3))))
		_, err := b.Create(t.Context(), "catalog/0e9c2d7f/meta.json", strings.NewReader("of a tenant called catalog"))
		require.NoError(t, err)
		b.Change(j.entryName(5), func(b []byte) []byte { return b[:6] })
		return b
	}
	for fails := 1; ; fails++ {
		b := build()
		f := objstore.NewFaulty(b, nil)
		j := small(f, 1000)
		_, err := j.Load(t.Context())
		require.ErrorIs(t, err, ErrCorrupt)
		calls := 0
		f.SetPlan(func(c objstore.Call) objstore.Fault {
			if c.Op == objstore.OpCreate || c.Op == objstore.OpDelete {
				calls++
			}
			if calls == fails {
				return objstore.Fault{Before: fmt.Errorf("down")}
			}
			return objstore.Fault{}
		})
		n, err := j.Remake(t.Context(), 7, []byte("snapshot 7"), "aside/")
		f.SetPlan(nil)
		if err != nil {
			l, err := j.Load(t.Context())
			if err == nil {
				require.Equal(t, "snapshot 7", string(l.Snapshot), "after %d calls", fails)
				continue
			}
			require.ErrorIs(t, err, ErrCorrupt, "after %d calls", fails)
			_, err = j.Remake(t.Context(), 7, []byte("snapshot 7"), "aside/")
			require.NoError(t, err)
		}
		expect(t, j, 7, 7)
		fill(t, j, 8, 8)
		save(t, j, 8)
		expect(t, j, 8, 8)
		aside, err := New(b, "aside/").Salvage(t.Context())
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("0123456789", 3), string(aside.Snapshot))
		require.Len(t, aside.Entries, 2, "of 4, 5 and 6, which are behind the older snapshot, one is damaged")
		require.Equal(t, uint64(6), aside.Last)
		_, err = b.Read(t.Context(), "catalog/0e9c2d7f/meta.json", 100)
		require.NoError(t, err)
		if n > 0 {
			require.Greater(t, fails, 10)
			return
		}
	}
}

// Another writer's entry is seen, also where a snapshot has made it needless.
func TestNewer(t *testing.T) {
	b := objstore.NewMemory()
	j := New(b, "catalog/")
	fill(t, j, 1, 4)
	for seq, want := range []bool{true, true, true, true, false, false} {
		got, err := j.Newer(t.Context(), uint64(seq))
		require.NoError(t, err)
		require.Equal(t, want, got, "%d", seq)
	}
	save(t, j, 3)
	save(t, j, 4)
	got, err := j.Newer(t.Context(), 1)
	require.NoError(t, err)
	require.True(t, got)
}

// Bytes of any content are a list of parts or an error.
func FuzzDecodeParts(f *testing.F) {
	f.Add(encodeAs(partMagic, []byte(`{"token":"t","parts":2,"bytes":10,"crc32c":1}`)))
	f.Add([]byte(partMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeParts(b)
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		require.LessOrEqual(t, list.Bytes, int64(maxSnapshot))
		require.Positive(t, list.Parts)
	})
}
