package cache

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// The cache stays within its budget, keeps what was used last, and does not keep errors.
func TestBudgetAndOrder(t *testing.T) {
	ctx := context.Background()
	c := New[int](100)
	loads := 0
	get := func(i int) int {
		v, err := c.Get(ctx, fmt.Sprint(i), func(context.Context) (int, int64, error) { loads++; return i, 40, nil })
		require.NoError(t, err)
		return v
	}
	require.Equal(t, 1, get(1))
	require.Equal(t, 2, get(2))
	get(1)
	get(3) // 2 is the oldest and goes
	require.Equal(t, int64(80), c.Used())
	require.Equal(t, 3, loads)
	get(1)
	require.Equal(t, 3, loads)
	get(2)
	require.Equal(t, 4, loads)

	broken := errors.New("broken")
	_, err := c.Get(ctx, "x", func(context.Context) (int, int64, error) { return 0, 0, broken })
	require.ErrorIs(t, err, broken)
	v, err := c.Get(ctx, "x", func(context.Context) (int, int64, error) { return 7, 1000, nil })
	require.NoError(t, err)
	require.Equal(t, 7, v)
	require.LessOrEqual(t, c.Used(), int64(100))
}

// Put takes the place of what has the name, and does not count it twice.
func TestPut(t *testing.T) {
	c := New[int](100)
	c.Put("a", 1, 60)
	c.Put("a", 2, 30)
	require.Equal(t, int64(30), c.Used())
	v, ok := c.Peek("a")
	require.True(t, ok)
	require.Equal(t, 2, v)
	c.Put("a", 3, 200)
	_, ok = c.Peek("a")
	require.False(t, ok, "larger than the budget: neither it nor what it replaces is here")
	require.Zero(t, c.Used())
}
