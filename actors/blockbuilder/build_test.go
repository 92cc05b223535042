package blockbuilder

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// leap is a clock that only a test moves.
type leap struct{ now time.Time }

func (l *leap) add(d time.Duration)                         { l.now = l.now.Add(d) }
func (l *leap) Now() time.Time                              { return l.now }
func (l *leap) AfterFunc(time.Duration, func()) clock.Timer { return stopped{} }

type stopped struct{}

func (stopped) Stop() bool { return true }

func buildOne(t *testing.T, slept time.Duration) (*blocks.PublishCut, error) {
	c := &leap{now: time.Unix(1, 0)}
	bucket := objstore.NewFaulty(objstore.NewMemory(), func(call objstore.Call) objstore.Fault {
		return objstore.Fault{Hold: func(context.Context) error { c.add(slept); return nil }}
	})
	d := Deps{
		Bucket:  bucket,
		Clock:   c,
		Logger:  slog.New(slog.DiscardHandler),
		Metrics: NewMetrics(prometheus.NewRegistry()),
		NewID:   func(string, string, int32, int64, int64, int) string { return "id" },
	}
	tables := map[string][]column.Table{"a": {tableOf(t, 0, record(0))}}
	return build(t, d, &jobs.CutResult{To: 1, Parts: []int32{1}, Last: &blocks.Fingerprint{Crc: 7}, Tables: tables})
}

// A build that took so long that the sweep may have removed a part of its blocks is not published,
// however complete it looks: the process may have slept in the middle of it.
func TestSlowBuildIsNotPublished(t *testing.T) {
	m, err := buildOne(t, time.Second)
	require.NoError(t, err)
	require.EqualValues(t, 7, m.GetFingerprint().GetCrc(), "as it was read, not as the log has it now")
	require.Len(t, m.GetBlocks(), 1)
	_, err = buildOne(t, 6*time.Minute)
	require.True(t, errors.Is(err, errSlow), "%v", err)
}
