package httpapi

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/test/kit/frontend"
)

// outlineOf has the front-end answer with an outline in two parts, and then with an error or the
// end.
func outlineOf(t *testing.T, f *frontend.Frontend, failure error) {
	over := make(chan struct{}, 2)
	f.Query = func(ctx context.Context, q *jobs.Query) (*jobs.Answer, error) {
		require.Equal(t, &jobs.Chunks{Outline: true}, q.Chunks)
		if *q.Trace != (trace.ID{15: 8}) || q.Tenant == "none" {
			return &jobs.Answer{Complete: true}, nil
		}
		f.Tell(q, &jobs.Answer{Warnings: []string{"block b: lost"}, Watermark: 5, OfTrace: jobs.OfTrace{QueryID: "7"}})
		select {
		case <-over:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return &jobs.Answer{Warnings: []string{"block b: lost"}}, failure
	}
	parts := []string{"TRO1", "rest", ""}
	f.Take = func(*jobs.TakeChunk) (*jobs.TraceChunk, error) {
		part := parts[0]
		if parts = parts[1:]; part == "" || part == "rest" && failure != nil {
			over <- struct{}{}
			return &jobs.TraceChunk{}, failure
		}
		return &jobs.TraceChunk{Bytes: []byte(part)}, nil
	}
}

// An outline is sent in parts, and its headers say what it lacks.
func TestOutline(t *testing.T) {
	f, s := newAPI(t, func(d *Deps) { d.Multitenancy = true })
	outlineOf(t, f, nil)
	resp, body := get(t, s, "/api/outline/8", "X-Scope-OrgID", "none|a")
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "TRO1rest", body)
	require.Equal(t, "application/vnd.troupe.outline", resp.Header.Get("Content-Type"))
	require.Equal(t, "false", resp.Header.Get("Troupe-Complete"))
	require.Equal(t, "tenant a: block b: lost", resp.Header.Get("Troupe-Warning"))

	for path, want := range map[string]int{
		"/api/outline/9": 404, "/api/outline/no": 400, "/api/outline/8?require_complete=true": 503,
	} {
		resp, body = get(t, s, path, "X-Scope-OrgID", "none|a")
		require.Equal(t, want, resp.StatusCode, "%s: %s", path, body)
	}
	resp, _ = get(t, s, "/api/outline/8")
	require.Equal(t, 401, resp.StatusCode)
	resp, body = get(t, s, "/api/outline/8", "X-Scope-OrgID", "b|a")
	require.Equal(t, 429, resp.StatusCode)
	require.Contains(t, body, "both tenant a and tenant b have it; ask for one of them")
}

// An outline that breaks off in the middle does not end properly.
func TestBrokenOutline(t *testing.T) {
	f, s := newAPI(t, nil)
	outlineOf(t, f, status.Errorf(status.Unavailable, "the node ends"))
	resp, err := s.Client().Get(s.URL + "/api/outline/8")
	require.NoError(t, err)
	_, err = io.ReadAll(resp.Body)
	require.Error(t, err)
	require.NoError(t, resp.Body.Close())
}
