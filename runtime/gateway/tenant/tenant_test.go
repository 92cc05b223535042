package tenant

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestForQuery(t *testing.T) {
	got, err := ForQuery("b|a|b")
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, got)
	_, err = ForQuery("")
	require.ErrorIs(t, err, ErrMissing)
	for in, want := range map[string]string{
		"|a": "no org id", "a||b": "no org id", "..": "tenant ID is '.' or '..'",
		"a b":                    "tenant ID 'a b' contains unsupported character ' '",
		strings.Repeat("a", 151): "tenant ID is too long: max 150 characters",
	} {
		_, err := ForQuery(in)
		require.EqualError(t, err, want, in)
	}
}

func TestForPush(t *testing.T) {
	for _, values := range [][]string{nil, {"a", "b"}} {
		_, err := ForPush(values)
		require.ErrorIs(t, err, ErrMissing)
	}
	_, err := ForPush([]string{"a|b"})
	require.EqualError(t, err, "multiple org IDs present")
	got, err := ForPush([]string{"a"})
	require.NoError(t, err)
	require.Equal(t, "a", got)
}
