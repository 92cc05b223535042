package work

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each does every piece once, no more than the stated number at a time, and with one worker in
// order.
func TestEachDoesAllOnce(t *testing.T) {
	for _, workers := range []int{0, 1, 3, 100} {
		var mu sync.Mutex
		var order []int
		var busy, most atomic.Int64
		err := Each(t.Context(), workers, 20, func(_ context.Context, worker, i int) error {
			require.Less(t, worker, max(workers, 1))
			if n := busy.Add(1); n > most.Load() {
				most.Store(n)
			}
			mu.Lock()
			order = append(order, i)
			mu.Unlock()
			busy.Add(-1)
			return nil
		})
		require.NoError(t, err)
		require.Len(t, order, 20)
		require.LessOrEqual(t, int(most.Load()), max(workers, 1))
		if workers <= 1 {
			for i, n := range order {
				require.Equal(t, i, n)
			}
		} else {
			require.ElementsMatch(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}, order)
		}
	}
	require.NoError(t, Each(t.Context(), 4, 0, nil))
}

// The first error, a panic among them, ends the rest and is what Each returns; so does the end of
// the context.
func TestEachEndsEarly(t *testing.T) {
	broken := errors.New("broken")
	for _, workers := range []int{1, 4} {
		var calls atomic.Int64
		err := Each(t.Context(), workers, 1000, func(ctx context.Context, _, i int) error {
			if calls.Add(1); i == 2 {
				return broken
			}
			if i > 2 {
				<-ctx.Done()
			}
			return nil
		})
		require.ErrorIs(t, err, broken)
		require.LessOrEqual(t, calls.Load(), int64(2+workers+1))
		require.ErrorContains(t, Each(t.Context(), workers, 3, func(context.Context, int, int) error { panic("no such thing") }), "no such thing")
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, Each(ended, workers, 3, func(context.Context, int, int) error { return nil }), context.Canceled)
	}
}
