package query

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
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

// Small work takes 64 MiB beside its traces, and no work takes more than there is, so that it can
// run alone.
func TestMemoryOfWork(t *testing.T) {
	require.EqualValues(t, 64<<20, memoryOfWork(0))
	require.EqualValues(t, 64<<20+10<<20, memoryOfWork(1<<20))
	require.EqualValues(t, workMemory, memoryOfWork(32<<20))
	require.EqualValues(t, workMemory, memoryOfWork(1<<40))
}

// There is at most one work for each processor, and one that waits too long is refused as Limited.
func TestWorkWaitsForProcessors(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	synctest.Test(t, func(t *testing.T) {
		m := NewMetrics(prometheus.NewRegistry())
		s := New(Deps{Metrics: m})
		end := make(chan struct{})
		running := 0
		for range 2 {
			go func() {
				_ = s.WorkOn(t.Context(), "long", 0, func(context.Context) error { running++; <-end; return nil })
			}()
			synctest.Wait()
		}
		require.Equal(t, 2, running)
		began := time.Now()
		err := s.WorkOn(t.Context(), "late", 0, func(context.Context) error { t.Error("it runs"); return nil })
		require.Equal(t, workTimeout, time.Since(began))
		require.Equal(t, status.Limited, status.Of(err).Class)
		require.Equal(t, time.Second, status.Of(err).RetryAfter)
		require.Equal(t, 1.0, testutil.ToFloat64(m.refused.WithLabelValues("late")))
		close(end)
		synctest.Wait()
		require.NoError(t, s.WorkOn(t.Context(), "next", 0, func(context.Context) error { return nil }))
	})
}

// Work that takes longer than it may ends as a Timeout; that of a client whose own time is over
// ends as the client's.
func TestWorkTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMetrics(prometheus.NewRegistry())
		s := New(Deps{Metrics: m})
		forever := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		err := s.WorkOn(t.Context(), "compare", 0, forever)
		require.EqualError(t, err, "compare: not done within 30s")
		require.Equal(t, status.Timeout, status.Of(err).Class)
		require.Equal(t, 1.0, testutil.ToFloat64(m.refused.WithLabelValues("compare")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, s.WorkOn(ctx, "compare", 0, forever), context.DeadlineExceeded)
		require.Equal(t, 1.0, testutil.ToFloat64(m.refused.WithLabelValues("compare")))
	})
}
