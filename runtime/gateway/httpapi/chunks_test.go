package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	messages "github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/long"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/test/kit/frontend"
)

// longTrace has the front-end answer with the trace of chain as if it were long: as so many chunks
// that are equal, and then an error or the end.
func longTrace(t *testing.T, f *frontend.Frontend, chunks int, failure error, next *long.Cursor) {
	otlp, over := chain(t), make(chan struct{}, 1)
	f.Query = func(ctx context.Context, q *jobs.Query) (*jobs.Answer, error) {
		if *q.Trace != (trace.ID{15: 8}) {
			return &jobs.Answer{Complete: true}, nil
		}
		if q.Chunks == nil {
			return &jobs.Answer{Complete: true, OfTrace: jobs.OfTrace{Long: true}}, nil
		}
		f.Tell(q, &jobs.Answer{Complete: true, OfTrace: jobs.OfTrace{QueryID: "7"}})
		select {
		case <-over:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if failure != nil {
			return nil, failure
		}
		return &jobs.Answer{Complete: true, Bytes: 5, OfTrace: jobs.OfTrace{Next: next}}, nil
	}
	taken := 0
	f.Take = func(m *jobs.TakeChunk) (*jobs.TraceChunk, error) {
		require.Equal(t, "7", m.Query)
		if taken++; taken <= chunks {
			return &jobs.TraceChunk{Bytes: otlp}, nil
		}
		taken = 0
		over <- struct{}{}
		if failure != nil {
			return nil, failure
		}
		return &jobs.TraceChunk{}, nil
	}
}

// A long trace has the forms that others have, in pieces that join to one trace; what is known only
// at its end is in trailers and behind the trace.
func TestChunks(t *testing.T) {
	f, s := newAPI(t, nil)
	longTrace(t, f, 3, nil, nil)
	resp, body := get(t, s, "/api/traces/8", "Accept", "application/protobuf")
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, strings.Repeat(string(chain(t)), 3), body)
	require.Equal(t, "true", resp.Trailer.Get("Troupe-Complete"))

	var m messages.TraceByIDResponse
	resp, body = get(t, s, "/api/v2/traces/8", "Accept", "application/protobuf")
	require.Equal(t, "application/protobuf", resp.Header.Get("Content-Type"))
	require.NoError(t, proto.Unmarshal([]byte(body), &m))
	require.Len(t, m.Trace.ResourceSpans, 3)
	require.EqualValues(t, 5, m.Metrics.InspectedBytes)

	for path, keys := range map[string][2]string{
		"/api/traces/8": {"batches", ""}, "/api/v2/traces/8": {"trace", "resourceSpans"},
		"/api/v2/traces/8" + q("q", "{ status = error }"): {"trace", "resourceSpans"},
	} {
		resp, body = get(t, s, path)
		require.Equal(t, 200, resp.StatusCode)
		var got map[string]any
		require.NoError(t, json.Unmarshal([]byte(body), &got), body)
		list := got[keys[0]]
		if keys[1] != "" {
			list = list.(map[string]any)[keys[1]]
			require.Contains(t, body, `"metrics":{"inspectedBytes":"5"}`)
		}
		require.Len(t, list, 3)
		require.Equal(t, strings.Contains(path, "?"), strings.Contains(body, "PARTIAL"))
	}
	_, body = get(t, s, "/api/v2/traces/8"+q("q", `{ name = "none" }`))
	require.True(t, strings.HasPrefix(body, `{"trace":{},"metrics"`), body)
	resp, body = get(t, s, "/api/v2/traces/8"+q("q", `{ name = "two" }`, "keep_hierarchy", "true"))
	require.Equal(t, 429, resp.StatusCode, body)
	resp, _ = get(t, s, "/api/v2/traces/8", "Accept", "application/vnd.grafana.llm")
	require.Equal(t, 429, resp.StatusCode)
}

// A page of a long trace names the next one, and any trace can be asked for by pages.
func TestPages(t *testing.T) {
	f, s := newAPI(t, nil)
	next := long.Cursor{Start: 1 << 60, ID: trace.SpanID{1, 2}, Print: 9, Items: 300}
	longTrace(t, f, 2, nil, &next)
	resp, body := get(t, s, "/api/v2/traces/8"+q("page_bytes", "100"))
	require.Equal(t, 200, resp.StatusCode)
	page := resp.Trailer.Get("Troupe-Next-Page")
	require.NotEmpty(t, page)
	require.Contains(t, body, `"status":"PARTIAL","message":"Trace exceeds maximum size of 100 bytes, a partial trace is returned; its next part is page=`+page+`"`)

	longTrace(t, f, 1, nil, nil)
	resp, body = get(t, s, "/api/v2/traces/8"+q("page", page))
	require.NotContains(t, body, "PARTIAL")
	require.Empty(t, resp.Trailer.Get("Troupe-Next-Page"))
	asked := f.Asked()
	require.Equal(t, &jobs.Chunks{MaxBytes: 100}, asked[0].Chunks)
	require.Equal(t, &next, asked[1].Chunks.After)
	require.EqualValues(t, 1<<30, asked[1].Chunks.MaxBytes)

	_, body = get(t, s, "/api/v2/traces/9"+q("page", page))
	require.Equal(t, `{"trace":{},"metrics":{}}`, body)
	for _, bad := range []string{q("page", "x"), q("page", "AAAA"), q("page_bytes", "0"), q("page_bytes", "a")} {
		resp, _ = get(t, s, "/api/v2/traces/8"+bad)
		require.Equal(t, 400, resp.StatusCode, bad)
	}
}

// An error before the first byte is an error as any other. After it the connection breaks off, so
// that nobody takes a part for the whole.
func TestBrokenChunks(t *testing.T) {
	f, s := newAPI(t, nil)
	failure := status.Errorf(status.Unavailable, "the disk is gone")
	longTrace(t, f, 0, failure, nil)
	resp, body := get(t, s, "/api/traces/8")
	require.Equal(t, []any{503, "the disk is gone"}, []any{resp.StatusCode, body})

	longTrace(t, f, 1, failure, nil)
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(s.Config.Handler)
		server.EnableHTTP2 = http2
		server.StartTLS()
		defer server.Close()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/traces/8", nil)
		require.NoError(t, err)
		resp, err := server.Client().Do(req)
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		_, err = io.ReadAll(resp.Body)
		require.Error(t, err)
		require.NoError(t, resp.Body.Close())
	}
}
