package objstore

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// Reads through a cache give what the object has, whatever is kept and wherever they begin.
func TestCachedReads(t *testing.T) {
	content := make([]byte, 5*chunkBytes+1000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range content {
		content[i] = byte(r.Uint32())
	}
	m := NewMemory()
	put(t, m, "x", string(content))
	c := NewCached(m, 3*chunkBytes)
	for range 2000 {
		off := r.IntN(len(content) + 10)
		buf := make([]byte, r.IntN([]int{10, chunkBytes, 3 * chunkBytes}[r.IntN(3)]))
		n, err := c.ReadRange(t.Context(), "x", int64(off), buf)
		require.NoError(t, err)
		want := content[min(off, len(content)):]
		want = want[:min(len(want), len(buf))]
		require.Equal(t, len(want), n)
		require.True(t, string(want) == string(buf[:n]))
		require.LessOrEqual(t, c.Used(), int64(3*chunkBytes))
	}
}

// What is kept costs no request, and neighbours that are missing are read with one.
func TestCachedRequests(t *testing.T) {
	reads := 0
	m := NewMemory()
	put(t, m, "x", string(make([]byte, 10*chunkBytes)))
	c := NewCached(NewFaulty(m, func(call Call) Fault { reads++; return Fault{} }), 1<<30)
	read := func(off, n int) {
		got, err := c.ReadRange(t.Context(), "x", int64(off), make([]byte, n))
		require.NoError(t, err)
		require.Equal(t, n, got)
	}
	read(100, 10)
	require.Equal(t, 1, reads)
	read(0, chunkBytes)
	require.Equal(t, 1, reads)
	read(chunkBytes-1, 4*chunkBytes)
	require.Equal(t, 2, reads, "four chunks that were missing")
	read(0, 5*chunkBytes)
	require.Equal(t, 2, reads)
	_, err := c.ReadRange(t.Context(), "y", 0, make([]byte, 10))
	require.ErrorIs(t, err, ErrNotFound)
}
