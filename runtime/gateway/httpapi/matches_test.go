package httpapi

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
)

// Places are numbers of four bytes, or JSON on request; where the trace is not there, or several
// tenants have it, the answer says so.
func TestMatches(t *testing.T) {
	f, s := newAPI(t, func(d *Deps) { d.Multitenancy = true })
	f.Query = func(_ context.Context, q *jobs.Query) (*jobs.Answer, error) {
		require.Equal(t, jobs.Range{End: math.MaxUint64}, q.Range)
		a := &jobs.Answer{Complete: true, Watermark: 7}
		if m := q.Scan.Matches; m.Trace[15] == 8 && q.Tenant != "none" {
			a.Partial.Matches = &eval.SpanMatches{Spans: 9, Places: []uint32{1, 258}}
		}
		return a, nil
	}
	path := "/api/matches/8" + q("q", "{ status = error }")
	resp, body := get(t, s, path, "X-Scope-OrgID", "none|a")
	require.Equal(t, 200, resp.StatusCode, body)
	require.Equal(t, "\x01\x00\x00\x00\x02\x01\x00\x00", body)
	require.Equal(t, "9", resp.Header.Get("Troupe-Trace-Spans"))
	require.Equal(t, "true", resp.Header.Get("Troupe-Complete"))
	_, body = get(t, s, path, "X-Scope-OrgID", "none|a", "Accept", "application/json")
	require.JSONEq(t, `{"spans":9,"matches":[1,258],"complete":true,"watermark":"7"}`, body)

	for path, code := range map[string]int{
		"/api/matches/9" + q("q", "{}"):                 404,
		"/api/matches/8" + q("q", "{"):                  400,
		"/api/matches/8":                                400,
		"/api/matches/8" + q("q", "{} | rate()"):        400,
		"/api/matches/8" + q("q", "{ } | select(.a) )"): 400,
		"/api/matches/zz" + q("q", "{}"):                400,
		"/api/matches/8/9" + q("q", "{}"):               404,
	} {
		resp, body := get(t, s, path, "X-Scope-OrgID", "a")
		require.Equal(t, code, resp.StatusCode, "%s: %s", path, body)
	}
	resp, body = get(t, s, path, "X-Scope-OrgID", "a|b")
	require.Equal(t, "429 several tenants have the trace, and places are those of one; ask for one of them", resp.Status[:4]+body)
}
