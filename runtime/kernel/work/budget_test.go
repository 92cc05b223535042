package work

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Over the soft limit exactly one key is the fattest, by what it could still let go; what is on its
// way out counts against the hard limit only.
func TestBudget(t *testing.T) {
	b := NewBudget(100, 150)
	b.SetHeld("0", 40, 0)
	b.SetHeld("1", 60, 0)
	require.False(t, b.IsFattest("1"), "100 of 100")
	b.SetHeld("2", 60, 0)
	require.True(t, b.IsFattest("1"))
	require.False(t, b.IsFattest("2"), "the first of two")
	require.False(t, b.IsFattest("0"))
	require.False(t, b.IsFattest("new"))
	require.True(t, b.IsFull())
	b.SetHeld("1", 0, 60)
	require.False(t, b.IsFattest("2"), "100 could be let go")
	require.True(t, b.IsFull())
	b.SetHeld("1", 50, 0)
	require.False(t, b.IsFull(), "150 of 150")
	require.True(t, b.IsFattest("2"))
	var none *Budget
	none.SetHeld("1", 1<<60, 0)
	require.False(t, none.IsFattest("1") || none.IsFull())
}
