package kafkalog

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// A plan chooses, by call, between no effect, an effect whose acknowledgement is lost, and a call
// that is held.
func TestFaulty(t *testing.T) {
	ctx := t.Context()
	lost := errors.New("lost")
	held := 0
	f := NewFaulty(NewMemory(1), func(c Call) Fault {
		switch {
		case c.Op == OpAppend && c.N == 1:
			return Fault{Before: lost}
		case c.Op == OpAppend && c.N == 2:
			return Fault{After: lost}
		case c.Op == OpRead && c.Offset == 0:
			return Fault{Hold: func(context.Context) error { held++; return nil }}
		}
		return Fault{}
	})
	for range 2 {
		_, err := f.Append(ctx, 0, recs("x"))
		require.ErrorIs(t, err, lost)
	}
	require.Equal(t, []string{"x"}, values(readAll(t, f, 0, 0, 1)))
	require.Equal(t, 1, held)
	require.Equal(t, int64(2), appendAll(t, f, 0, "y"))
	f.SetPlan(func(Call) Fault { return Fault{Hold: func(context.Context) error { return lost }} })
	require.ErrorIs(t, f.Trim(ctx, 0, 1), lost)
}

// The memory log changes history as real ones do: killed and revived, reset to a new epoch,
// truncated and regrown, full.
func TestMemoryHooks(t *testing.T) {
	ctx := t.Context()
	m := NewMemory(1)
	m.NoWait()
	appendAll(t, m, 0, "a", "b", "c")
	b, err := m.Read(ctx, 0, 3, 1, 1<<40)
	require.NoError(t, err)
	require.Empty(t, b.Records)
	m.Kill(nil)
	_, err = m.Read(ctx, 0, 0, 1, 0)
	require.ErrorIs(t, err, ErrClosed)
	m.Revive()
	before, err := m.Fingerprint(ctx, 0, 2)
	require.NoError(t, err)
	m.Truncate(0, 2)
	require.Equal(t, int64(3), appendAll(t, m, 0, "c"))
	after, err := m.Fingerprint(ctx, 0, 2)
	require.NoError(t, err)
	require.NotEqual(t, before, after)
	epoch := m.Epoch()
	m.Reset()
	require.NotEqual(t, epoch, m.Epoch())
	require.Empty(t, readAll(t, m, 0, 0, 1))
	m.Limit(100)
	_, err = m.Append(ctx, 0, recs(string(make([]byte, 200))))
	require.ErrorIs(t, err, ErrFull)
	m.Grow(2)
	appendAll(t, m, 1, "x")
}
