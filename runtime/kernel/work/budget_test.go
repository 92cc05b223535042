package work

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Over the soft limit exactly one key is the fattest, by what it could still let go; what is on its
// way out counts against the hard limit only.
func TestBudget(t *testing.T) {
	b := NewBudget(100, 150)
	b.Set("0", 40, 0)
	b.Set("1", 60, 0)
	require.False(t, b.Fattest("1"), "100 of 100")
	b.Set("2", 60, 0)
	require.True(t, b.Fattest("1"))
	require.False(t, b.Fattest("2"), "the first of two")
	require.False(t, b.Fattest("0"))
	require.False(t, b.Fattest("new"))
	require.True(t, b.Full())
	b.Set("1", 0, 60)
	require.False(t, b.Fattest("2"), "100 could be let go")
	require.True(t, b.Full())
	b.Set("1", 50, 0)
	require.False(t, b.Full(), "150 of 150")
	require.True(t, b.Fattest("2"))
	var none *Budget
	none.Set("1", 1<<60, 0)
	require.False(t, none.Fattest("1") || none.Full())
}
