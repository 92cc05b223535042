package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// settling is after how long an acknowledged span must be found.
const settling = time.Second

// sender sends spans and remembers which were acknowledged. The spans of a trace come in several
// pushes, so most traces lie in several blocks; some spans are sent twice.
type sender struct {
	node  *kit.Node
	rand  *rand.Rand
	mu    sync.Mutex
	spans map[trace.ID]map[trace.SpanID]time.Time // when each was acknowledged; zero: not
	live  []trace.ID                              // traces that get more spans
}

func newSender(n *kit.Node, seed uint64) *sender {
	return &sender{node: n, rand: rand.New(rand.NewPCG(seed, 2)), spans: map[trace.ID]map[trace.SpanID]time.Time{}}
}

const tracesAtATime = 40

// push sends a span of each of some traces, and some spans again. It reports whether they were
// acknowledged.
func (s *sender) push() bool {
	shop := &otlp.Resource{Attrs: []otlp.Attr{{Key: "service.name", Value: "faults"}}}
	now := uint64(time.Now().UnixNano())
	var list []*otlp.Span
	s.mu.Lock()
	for len(s.live) < tracesAtATime {
		s.live = append(s.live, otlp.TraceID(s.rand.Uint64()|1))
	}
	for _, id := range s.live {
		x := &otlp.Span{Trace: id, ID: otlp.SpanID(s.rand.Uint64() | 1), Name: "step", Resource: shop, Start: now, End: now + 1e6}
		list = append(list, x)
		if s.rand.IntN(5) == 0 {
			list = append(list, x)
		}
		if s.spans[id] == nil {
			s.spans[id] = map[trace.SpanID]time.Time{}
		}
		s.spans[id][x.ID] = time.Time{}
	}
	s.live = s.live[s.rand.IntN(tracesAtATime/2):]
	s.mu.Unlock()
	body := otlp.Encode(list...)
	ok := false
	for range 1 + s.rand.IntN(2) { // a client that has not heard the answer sends again
		code, _, err := s.node.Push(context.Background(), "application/x-protobuf", body)
		ok = ok || err == nil && code == http.StatusOK
	}
	if ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, x := range list {
			s.spans[x.Trace][x.ID] = time.Now()
		}
	}
	return ok
}

// count returns how many spans were sent.
func (s *sender) count() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, list := range s.spans {
		n += len(list)
	}
	return n
}

// expectation is of how many spans of each trace an answer must have, and may have.
type expectation struct{ must, may map[trace.ID]int }

// expect returns what an answer to a query that begins now must have.
func (s *sender) expect() expectation {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := expectation{map[trace.ID]int{}, map[trace.ID]int{}}
	for id, list := range s.spans {
		for _, at := range list {
			if !at.IsZero() && time.Since(at) > settling {
				e.must[id]++
			}
		}
	}
	return e
}

// allow adds what may be there: all that was sent before the answer came.
func (s *sender) allow(e expectation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, list := range s.spans {
		e.may[id] = len(list)
	}
}

// figures are what the queries have seen.
type figures struct {
	queries, incomplete, refused, unreachable int
	doubled, hidden                           int // spans: more than once; missing in an answer that calls itself complete
	first                                     []string
	heals                                     []time.Duration
	slowest                                   string // what was broken when it took longest
}

func (f figures) String() string {
	text := fmt.Sprintf("%d queries: %d spans doubled, %d hidden; %d answers named what they lack, %d were refused, %d found no node",
		f.queries, f.doubled, f.hidden, f.incomplete, f.refused, f.unreachable)
	if len(f.heals) > 0 {
		slices.Sort(f.heals)
		text += fmt.Sprintf("; whole again after %s (median), %s (longest, %s)", f.heals[len(f.heals)/2].Round(10*time.Millisecond),
			f.heals[len(f.heals)-1].Round(10*time.Millisecond), f.slowest)
	}
	return text
}

// watcher asks for everything, again and again.
type watcher struct {
	sender *sender
	mu     sync.Mutex
	figures
	broken time.Time // since when the answers are not whole; zero: they are
	cause  string    // of that
	end    chan struct{}
	done   sync.WaitGroup
}

// watch asks until the test ends.
func watch(t *testing.T, s *sender) *watcher {
	w := &watcher{sender: s, end: make(chan struct{})}
	for _, ask := range []func(){w.search, w.count, w.fetch} {
		w.done.Add(1)
		go func() {
			defer w.done.Done()
			for {
				select {
				case <-w.end:
					return
				case <-time.After(30 * time.Millisecond):
					ask()
				}
			}
		}()
	}
	t.Cleanup(func() { w.stop() })
	return w
}

// stop ends the queries and returns what they have seen.
func (w *watcher) stop() figures {
	select {
	case <-w.end:
	default:
		close(w.end)
	}
	w.done.Wait()
	return w.figures
}

// breaks notes that the node was killed, or the store has failed.
func (w *watcher) breaks(cause string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken, w.cause = time.Now(), cause
}

// get asks and decodes the answer. It returns false if there is none.
func (w *watcher) get(into any, path string, params ...string) bool {
	v := url.Values{}
	for i := 0; i < len(params); i += 2 {
		v.Set(params[i], params[i+1])
	}
	resp, err := http.Get("http://" + w.sender.node.HTTP + path + "?" + v.Encode())
	var body []byte
	if err == nil {
		body, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queries++
	switch {
	case err != nil:
		w.unreachable++
	case resp.StatusCode == http.StatusNotFound: // nothing of it is there
		return true
	case resp.StatusCode != http.StatusOK:
		w.refused++
	default:
		if err := json.Unmarshal(body, into); err != nil {
			w.fail(&w.hidden, 1, "%s: %s", path, body)
			return false
		}
		return true
	}
	return false
}

// fail counts spans that an answer gets wrong.
func (w *watcher) fail(count *int, n int, format string, args ...any) {
	*count += n
	if len(w.first) < 10 {
		w.first = append(w.first, fmt.Sprintf("%s ", time.Now().Format("15:04:05.000"))+fmt.Sprintf(format, args...))
	}
}

// judge compares how many spans of each trace an answer has with how many it must have. The zero
// trace stands for all.
func (w *watcher) judge(e expectation, got map[trace.ID]int, began time.Time, complete bool, how string) {
	w.sender.allow(e)
	if _, ok := got[trace.ID{}]; ok {
		e = expectation{sum(e.must), sum(e.may)}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, n := range got {
		if n > e.may[id] {
			w.fail(&w.doubled, n-e.may[id], "%s: %d spans of trace %s, %d were sent", how, n, id, e.may[id])
		}
	}
	if !complete {
		w.incomplete++
		return
	}
	whole := true
	for id, n := range e.must {
		if got[id] < n {
			whole = false
			w.fail(&w.hidden, n-got[id], "%s: %d spans of trace %s, %d were acknowledged", how, got[id], id, n)
		}
	}
	if whole && !w.broken.IsZero() && began.After(w.broken) {
		if took := time.Since(w.broken); len(w.heals) == 0 || took > slices.Max(w.heals) {
			w.slowest = w.cause
		}
		w.heals = append(w.heals, time.Since(w.broken))
		w.broken = time.Time{}
	}
}

func sum(m map[trace.ID]int) map[trace.ID]int {
	all := 0
	for _, n := range m {
		all += n
	}
	return map[trace.ID]int{{}: all}
}

// within is the time of all spans, and asks for the fields that say whether an answer is complete.
func within(params ...string) []string {
	now := time.Now().Unix()
	return append(params, "start", strconv.FormatInt(now-7200, 10), "end", strconv.FormatInt(now+60, 10), "require_complete", "false")
}

const everything = `{ resource.service.name = "faults" }`

func (w *watcher) search() {
	var a struct {
		Traces []struct {
			TraceID  string
			SpanSets []struct{ Matched int }
		}
		Complete bool
	}
	e, began := w.sender.expect(), time.Now()
	if !w.get(&a, "/api/search", within("q", everything, "limit", "200000")...) {
		return
	}
	got := map[trace.ID]int{}
	for _, x := range a.Traces {
		for _, s := range x.SpanSets {
			id, _ := trace.ParseID(x.TraceID)
			got[id] += s.Matched
		}
	}
	w.judge(e, got, began, a.Complete, "search")
}

// count compares the sum of all traces.
func (w *watcher) count() {
	var a struct {
		Series   []struct{ Value float64 }
		Complete bool
	}
	e, began := w.sender.expect(), time.Now()
	if !w.get(&a, "/api/metrics/query", within("q", everything+" | count_over_time()")...) {
		return
	}
	got := map[trace.ID]int{{}: 0}
	for _, x := range a.Series {
		got[trace.ID{}] += int(x.Value)
	}
	w.judge(e, got, began, a.Complete, "count")
}

// fetch compares one trace.
func (w *watcher) fetch() {
	e, began := w.sender.expect(), time.Now()
	for id := range e.must {
		var a struct {
			Trace struct {
				ResourceSpans []struct {
					ScopeSpans []struct{ Spans []struct{} }
				}
			}
			Status string
		}
		if !w.get(&a, "/api/v2/traces/"+id.String(), "require_complete", "false") {
			return
		}
		n := 0
		for _, r := range a.Trace.ResourceSpans {
			for _, s := range r.ScopeSpans {
				n += len(s.Spans)
			}
		}
		e.must = map[trace.ID]int{id: e.must[id]}
		w.judge(e, map[trace.ID]int{id: n}, began, a.Status != "PARTIAL", "by id")
		return
	}
}
