package query

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// Work waits until there is memory for it; who leaves meanwhile is let go, and what ends gives its
// memory back.
func TestWorkIsBounded(t *testing.T) {
	s := New(Deps{})
	const all = workMemory
	ctx, cancel := context.WithCancel(t.Context())
	err := s.WorkOn(t.Context(), "first", all, func(context.Context) error {
		began := false
		cancel()
		err := s.WorkOn(ctx, "second", 1, func(context.Context) error { began = true; return nil })
		require.False(t, began)
		return err
	})
	require.Error(t, err)
	require.Equal(t, status.Of(context.Canceled).Class, status.Of(err).Class)
	broken := errors.New("broken")
	require.ErrorIs(t, s.WorkOn(t.Context(), "third", all, func(context.Context) error { return broken }), broken)
	require.NoError(t, s.WorkOn(t.Context(), "fourth", all, func(context.Context) error { return nil }))
}
