package main

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/troupe-tracing/troupe/actors/overrides"
	"github.com/troupe-tracing/troupe/runtime/engine/limits"
	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
	"github.com/troupe-tracing/troupe/runtime/storage/documents"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// liveLimits are the limits of tenants in force, as each part of the node asks for them. The
// overrides actor replaces them.
type liveLimits struct {
	atomic.Pointer[overrides.Limits]
}

func (l *liveLimits) currentSet() *limits.Set { return &l.Load().Set }

func (l *liveLimits) ofIngestion(tenant string) limits.Ingestion {
	return l.Load().Of(tenant).Ingestion
}

func (l *liveLimits) bytesOfTrace(tenant string) int64 {
	return l.Load().Of(tenant).Traces.MaxBytes
}

// ofBlocks returns the limits of a tenant's blocks. retention is that of tenants without one of
// their own.
func (l *liveLimits) ofBlocks(tenant string, retention time.Duration) upkeep.Limits {
	c := l.Load().Of(tenant).Compaction
	return upkeep.Limits{Retention: cmp.Or(c.Retention, retention), Kept: c.Disabled}
}

func (l *liveLimits) ofQueries(tenant string) query.Limits {
	r := l.Load().Of(tenant).Read
	return query.Limits{
		MaxSearchDuration:  r.MaxSearchDuration,
		MaxMetricsDuration: r.MaxMetricsDuration,
		MaxTagBytes:        r.MaxTagBytes,
		LeftPadTraceIDs:    r.LeftPadTraceIDs,
	}
}

// openDocuments reads what tenants have set themselves from the journal in the bucket. It returns
// nil where they may not set anything.
func openDocuments(ctx context.Context, cfg overrides.OwnConfig, b objstore.Bucket) (*documents.Store, error) {
	if !cfg.Enabled {
		return nil, nil
	}
	s, err := documents.Open(ctx, journal.New(b, "overrides/"))
	if err != nil {
		return nil, fmt.Errorf("read what tenants have set: %w: "+
			"restore the folder overrides of the bucket from a copy, or move it away to begin without", err)
	}
	return s, nil
}
