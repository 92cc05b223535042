package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// arrivals is a front-end that finds so many traces, or fails.
type arrivals struct {
	mu     sync.Mutex
	traces []eval.TraceMatch
	err    error
}

func (a *arrivals) set(n int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.traces, a.err = nil, err
	for i := n; i > 0; i-- {
		a.traces = append(a.traces, eval.TraceMatch{ID: trace.ID{14: byte(i >> 8), 15: byte(i)}, Start: uint64(now.UnixNano()) + uint64(i)})
	}
}

func (a *arrivals) answer(_ context.Context, q *jobs.Query) (*jobs.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return nil, a.err
	}
	return &jobs.Answer{Complete: true, Partial: jobs.Partial{Search: &eval.SearchPartial{Traces: a.traces}}}, nil
}

// tailEvent is what a client reads of an event.
type tailEvent struct {
	name    string
	Traces  []struct{ TraceID string }
	Dropped int
}

// openTail opens a tail; next reads its next event.
func openTail(t *testing.T, url string) (next func() tailEvent, end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<24)
	return func() (e tailEvent) {
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				e.name = value
			case "data":
				require.NoError(t, json.Unmarshal([]byte(value), &e), value)
				return e
			}
		}
		return e
	}, func() { cancel(); _ = resp.Body.Close() }
}

// A tail tells of each trace once, the newest last, goes on where nothing can be asked for a while,
// and leaves what was there before it began to searches, unless it is asked for.
func TestTail(t *testing.T) {
	f, s := newAPI(t, nil)
	a := &arrivals{}
	a.set(2, nil)
	f.Query = a.answer
	next, end := openTail(t, s.URL+"/api/tail"+q("q", "{ status = error }", "since", "1m"))
	defer end()
	require.Equal(t, "ping", next().name)
	e := next()
	require.Equal(t, "traces", e.name)
	require.Equal(t, []struct{ TraceID string }{{"1"}, {"2"}}, e.Traces)
	a.set(0, status.Errorf(status.Unavailable, "the live-store restarts"))
	time.Sleep(20 * time.Millisecond)
	a.set(3, nil)
	require.Equal(t, []struct{ TraceID string }{{"3"}}, next().Traces)

	for path, code := range map[string]int{
		"/api/tail" + q("q", "{ status"):            400,
		"/api/tail" + q("q", "{}", "since", "long"): 400,
	} {
		resp, body := get(t, s, path)
		require.Equal(t, code, resp.StatusCode, body)
	}
}

// A client that does not read loses traces, which are counted, and nobody waits for it.
func TestSlowTail(t *testing.T) {
	f, _ := newAPI(t, nil)
	a := &arrivals{}
	f.Query = a.answer
	svc := query.New(Deps{Asker: f, Directory: f, Now: func() time.Time { return now }, Config: DefaultConfig()})
	svc.Config.Packet = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var told, dropped, events int
	err := svc.TailTraces(ctx, []string{"a"}, "{}", time.Minute, func(e query.TailEvent) error {
		if events++; events == 1 {
			for i := range 6 { // the client stands still while they come
				a.set(1000*(i+1), nil)
				time.Sleep(300 * time.Millisecond)
			}
			return nil
		}
		if e.Found != nil {
			told, dropped = told+len(e.Found.Traces), dropped+e.Dropped
		}
		if told+dropped >= 6000 {
			cancel()
		}
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 6000, told+dropped)
	require.Positive(t, dropped)
}

// A tenant has a bounded number of tails.
func TestTailsOfATenant(t *testing.T) {
	f, s := newAPI(t, func(d *Deps) { d.Multitenancy = true })
	f.Query = (&arrivals{}).answer
	open := func(tenant string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/tail", nil)
		require.NoError(t, err)
		req.Header.Set("X-Scope-OrgID", tenant)
		return http.DefaultClient.Do(req)
	}
	var opened []*http.Response
	for range 20 {
		resp, err := open("a")
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		opened = append(opened, resp)
	}
	resp, err := open("b|a")
	require.NoError(t, err)
	require.Equal(t, 429, resp.StatusCode)
	require.Equal(t, "60", resp.Header.Get("Retry-After"))
	require.NoError(t, resp.Body.Close())
	require.NoError(t, opened[0].Body.Close())
	require.Eventually(t, func() bool {
		resp, err := open("a")
		if err != nil {
			return false
		}
		opened = append(opened, resp)
		return resp.StatusCode == 200
	}, 20*time.Second, 10*time.Millisecond, "a tail that has ended makes room")
	for _, resp := range opened {
		_ = resp.Body.Close()
	}
}
