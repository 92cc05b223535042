package objstore

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A bucket keeps the first identity that it was given; one that is damaged, in any bit or length,
// is none and is replaced.
func TestIdentity(t *testing.T) {
	b := NewMemory()
	i, err := ReadIdentity(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, Identity{Empty: true}, i)
	id, err := SaveIdentity(t.Context(), b, "")
	require.NoError(t, err)
	require.NotEmpty(t, id)
	again, err := SaveIdentity(t.Context(), b, "other")
	require.NoError(t, err)
	require.Equal(t, id, again)
	put(t, b, "tenant/block/meta.json", "{}")
	i, err = ReadIdentity(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, Identity{ID: id}, i)
	whole := encodeIdentity(id)
	damaged := []string{"", whole[:len(whole)-1], whole + " ", strings.Repeat("x", maxIdentity+1)}
	for bit := range len(whole) * 8 {
		raw := []byte(whole)
		raw[bit/8] ^= 1 << (bit % 8)
		damaged = append(damaged, string(raw))
	}
	for _, raw := range damaged {
		require.NoError(t, b.Delete(t.Context(), identityName))
		put(t, b, identityName, raw)
		i, err := ReadIdentity(t.Context(), b)
		require.NoError(t, err)
		require.Empty(t, i.ID, "%q", raw)
	}
	again, err = SaveIdentity(t.Context(), b, id)
	require.NoError(t, err)
	require.Equal(t, id, again)
	require.Equal(t, whole, get(t, b, identityName))
}
