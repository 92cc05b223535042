package documents

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

func open(t testing.TB, b objstore.Bucket) *Store {
	t.Helper()
	s, err := Open(t.Context(), journal.New(b, "overrides/"))
	require.NoError(t, err)
	return s
}

// A document is replaced and removed by its version only; another process that opens or refreshes
// sees the same, whatever was cut short behind snapshots.
func TestStore(t *testing.T) {
	b := objstore.NewMemory()
	s := open(t, b)
	require.Zero(t, s.Get("a").Version)
	v, err := s.Put(t.Context(), "a", 0, []byte(`{"n":1}`))
	require.NoError(t, err)
	require.EqualValues(t, 1, v)
	_, err = s.Put(t.Context(), "a", 0, []byte(`{"n":2}`))
	require.ErrorIs(t, err, ErrVersion)
	require.ErrorIs(t, s.Delete(t.Context(), "a", 7), ErrVersion)
	for range 5*snapshotEvery/2 + 3 {
		v, err = s.Put(t.Context(), "a", v, []byte(`{"n":3}`))
		require.NoError(t, err)
	}
	_, err = s.Put(t.Context(), "b", 0, []byte(`{}`))
	require.NoError(t, err)
	other := open(t, b)
	require.Equal(t, *s.docs.Load(), *other.docs.Load())
	require.Equal(t, []string{"a", "b"}, other.Tenants())
	require.Equal(t, `{"n":3}`, string(other.Get("a").Body))
	objects := 0
	require.NoError(t, b.List(t.Context(), "", func(objstore.Info) error { objects++; return nil }))
	require.Less(t, objects, 3*snapshotEvery, "old entries go")

	require.NoError(t, other.Delete(t.Context(), "a", v))
	require.Zero(t, other.Get("a").Version)
	require.EqualValues(t, v, s.Get("a").Version, "as of its last look")
	require.NoError(t, s.Refresh(t.Context()))
	require.Zero(t, s.Get("a").Version)
	again, err := s.Put(t.Context(), "a", 0, []byte(`{}`))
	require.NoError(t, err)
	require.Greater(t, again, v, "no version comes twice")
}

// Of writers in several processes that replace the same version one succeeds, and those of
// different tenants all do.
func TestConcurrentWriters(t *testing.T) {
	b := objstore.NewMemory()
	var wg sync.WaitGroup
	won := make([]int, 4)
	for p := range won {
		s := open(t, b)
		wg.Go(func() {
			if _, err := s.Put(t.Context(), "shared", 0, []byte(`{}`)); err == nil {
				won[p]++
			} else if !errors.Is(err, ErrVersion) {
				t.Error(err)
			}
			for i := range 20 {
				if _, err := s.Put(t.Context(), fmt.Sprintf("t-%d-%d", p, i), 0, []byte(`{}`)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, won[0]+won[1]+won[2]+won[3])
	require.Len(t, open(t, b).Tenants(), 81)
}

// A write that ended without saying so is looked for before the next: nothing is lost and nothing
// written twice.
func TestUnsureWrite(t *testing.T) {
	f := objstore.NewFaulty(objstore.NewMemory(), nil)
	s := open(t, f)
	for _, done := range []bool{false, true} {
		f.SetPlan(func(c objstore.Call) objstore.Fault {
			switch gone := errors.New("gone"); {
			case c.Op != objstore.OpCreate:
				return objstore.Fault{}
			case done:
				return objstore.Fault{After: gone}
			default:
				return objstore.Fault{Before: gone}
			}
		})
		before := s.Get("a").Version
		_, err := s.Put(t.Context(), "a", before, []byte(`{}`))
		require.ErrorContains(t, err, "gone")
		f.SetPlan(nil)
		_, err = s.Put(t.Context(), "a", before, []byte(`{"n":1}`))
		if done {
			require.ErrorIs(t, err, ErrVersion)
			require.NotEqual(t, before, s.Get("a").Version)
		} else {
			require.NoError(t, err)
		}
	}
}

// What cannot be read is an error, and no empty store.
func TestDamaged(t *testing.T) {
	b := objstore.NewMemory()
	s := open(t, b)
	_, err := s.Put(t.Context(), "a", 0, []byte(`{}`))
	require.NoError(t, err)
	b.Change("overrides/00000000000000000001", func(b []byte) []byte { b[len(b)-1]++; return b })
	_, err = Open(t.Context(), journal.New(b, "overrides/"))
	require.ErrorIs(t, err, journal.ErrCorrupt)
}
