package query

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

const (
	// tailWindow is how long ago a trace may have begun, or still have been running, that a tail
	// finds.
	tailWindow = time.Minute
	// tailTraces is how many of the newest traces of the window a tail looks at.
	tailTraces = 2000
	// mostTails bounds the tails of a tenant.
	mostTails = 20
	// tailPatience is how long a tail goes on while nothing can be asked.
	tailPatience = 5 * time.Second
	tailPing     = 15 * time.Second
)

// TailEvent is what a tail tells its client. Without an answer it only shows that the tail goes on.
type TailEvent struct {
	Found   *api.SearchResponse // traces that were not told before, the newest last; nil: a ping
	Dropped int                 // traces that were not told since the last event, because the client was too slow
}

// TailTraces tells of traces that match as they arrive, each once, until ctx ends. It looks for
// them every Config.Packet by a search, so what it finds does not depend on where they lie, and
// goes on while live-stores restart. Traces that began up to back ago are told first. send is
// called on the caller's goroutine. While it waits for a slow client, the looks go on, and what
// there is no room for is dropped. Errors: Limited where the tenant has too many tails, those of a
// search, and of send.
func (s *Service) TailTraces(
	ctx context.Context, tenants []string, text string, back time.Duration, send func(TailEvent) error,
) error {
	q := SearchParams{Query: text, Limit: tailTraces, SpansPerSpanSet: 1}
	if _, _, err := s.searchRequest(q, s.limitsFor(tenants)); err != nil {
		return err
	}
	if err := s.tails.open(tenants); err != nil {
		s.Metrics.refusedWork("tail")
		return err
	}
	defer s.tails.close(tenants)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &tail{query: q, seen: map[string]time.Time{}, back: min(back, tailWindow), wake: make(chan struct{}, 1)}
	ended := make(chan error, 1)
	go func() { ended <- t.lookOn(ctx, s, tenants) }()
	ping := time.NewTicker(tailPing)
	defer ping.Stop()
	if err := send(TailEvent{}); err != nil { // the client learns that the tail has begun
		return err
	}
	for {
		event := TailEvent{}
		select {
		case err := <-ended:
			return err
		case <-t.wake:
			event = t.takeFound()
		case <-ping.C:
		}
		if err := send(event); err != nil {
			return err
		}
	}
}

// tails counts the tails of each tenant.
type tails struct {
	mu    sync.Mutex
	count map[string]int
}

func (t *tails) open(tenants []string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range tenants {
		if t.count[name] >= mostTails {
			return status.Limitedf(time.Minute, "%d tails of the tenant are open, which is the most", mostTails)
		}
	}
	if t.count == nil {
		t.count = map[string]int{}
	}
	for _, name := range tenants {
		t.count[name]++
	}
	return nil
}

func (t *tails) close(tenants []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range tenants {
		if t.count[name]--; t.count[name] == 0 {
			delete(t.count, name)
		}
	}
}

// tail is one tail. What stands before wake belongs to the goroutine that looks.
type tail struct {
	query  SearchParams
	seen   map[string]time.Time // trace id -> when it was found last
	back   time.Duration
	looked bool
	warned []string      // what the client was told last
	wake   chan struct{} // something is found

	mu      sync.Mutex
	found   *api.SearchResponse // not told yet; nil: nothing is
	dropped int
}

// lookOn looks for traces until ctx ends, or nothing can be asked for a while.
func (t *tail) lookOn(ctx context.Context, s *Service, tenants []string) error {
	tick := time.NewTicker(max(s.Config.Packet, 50*time.Millisecond))
	defer tick.Stop()
	lastAnswer := time.Now()
	for {
		began := s.Now()
		q := t.query
		q.Seconds = Seconds{Start: uint64(max(began.Add(-tailWindow).Unix(), 1)),
			End: uint64(DefaultEnd(began).Unix()), Asked: tailWindow}
		m, err := s.SearchTraces(ctx, tenants, q, nil)
		switch {
		case err == nil:
			lastAnswer = time.Now()
			t.noteFound(began, m)
		case ctx.Err() != nil:
			return status.Of(ctx.Err())
		case status.Of(err).Class == status.Invalid, time.Since(lastAnswer) > tailPatience:
			return err
		}
		select {
		case <-ctx.Done():
			return status.Of(ctx.Err())
		case <-tick.C:
		}
	}
}

// noteFound keeps what a look has found that was not found before, for the client.
func (t *tail) noteFound(now time.Time, m *api.SearchResponse) {
	var news []*api.TraceSearchMetadata
	for _, tr := range slices.Backward(m.Traces) { // the newest comes last
		_, old := t.seen[tr.TraceID]
		t.seen[tr.TraceID] = now
		before := !t.looked && int64(tr.StartTimeUnixNano) < now.Add(-t.back).UnixNano()
		if !old && !before {
			news = append(news, tr)
		}
	}
	t.looked = true
	for id, at := range t.seen {
		if now.Sub(at) > 2*tailWindow {
			delete(t.seen, id)
		}
	}
	warnings := m.Warnings
	if len(m.Traces) >= tailTraces {
		warnings = append(slices.Clip(warnings), "more traces match at once than a tail looks at; narrow the query")
	}
	if len(news) == 0 && slices.Equal(warnings, t.warned) {
		return
	}
	t.warned = warnings
	t.mu.Lock()
	defer t.mu.Unlock()
	complete := len(warnings) == 0
	all := &api.SearchResponse{Complete: &complete, Warnings: warnings, Watermark: m.Watermark, Traces: news}
	if t.found != nil {
		all.Traces = append(t.found.Traces, news...)
	}
	if over := len(all.Traces) - tailTraces; over > 0 {
		t.dropped += over
		all.Traces = all.Traces[over:]
	}
	t.found = all
	select {
	case t.wake <- struct{}{}:
	default: // the client is not ready for what was found before
	}
}

// takeFound returns what is to be told.
func (t *tail) takeFound() TailEvent {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := TailEvent{Found: t.found, Dropped: t.dropped}
	t.found, t.dropped = nil, 0
	return e
}
