package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// windowTime is how much time one window has, in which a query looks for spans.
const windowTime = 10 * time.Second

// mergeWindow is what was sent of the spans of one window, and what a node has answered about them.
type mergeWindow struct {
	start   time.Time
	spans   map[string]int // by service, each span once
	samples []trace.ID
	answers map[string]string // first ones, by query
}

// mergeLoad sends traces to a node. Of every tenth trace two spans come in the next window, and so
// in another cut; of every hundredth all spans come once more.
type mergeLoad struct {
	n    *kit.Node
	rate int // spans a second
	sent atomic.Int64

	rand *rand.Rand
	held []*otlp.Span // of the window before, still to be sent
}

const (
	traceSpans = 5
	loadEvery  = 100 * time.Millisecond
)

// send sends until ctx ends. It passes each window on when all its spans were acknowledged, and the
// second is long over after which they must be found.
func (l *mergeLoad) send(ctx context.Context, done func(*mergeWindow)) error {
	l.rand = rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	var before [2]*mergeWindow // the last two, of which the first was acknowledged a window ago
	for ctx.Err() == nil {
		w := &mergeWindow{start: time.Now().Truncate(windowTime), spans: map[string]int{}, answers: map[string]string{}}
		if err := l.sendWindow(ctx, w); err != nil {
			return err
		}
		if before[0] != nil && ctx.Err() == nil {
			done(before[0])
		}
		before[0], before[1] = before[1], w
	}
	return nil
}

// sendWindow sends at the rate, until the window ends, what starts in it and what was held back. It
// returns when all of that was acknowledged.
func (l *mergeLoad) sendWindow(ctx context.Context, w *mergeWindow) error {
	const requests = 16 // at a time
	g, pushing := errgroup.WithContext(context.WithoutCancel(ctx))
	g.SetLimit(requests)
	push := func(spans []*otlp.Span) { g.Go(func() error { return l.push(pushing, spans) }) }
	began, made := time.Now(), 0
	rest := l.held
	l.held = nil
	each := len(rest)/int(windowTime/loadEvery) + 1
	tick := time.NewTicker(loadEvery)
	defer tick.Stop()
	for end := w.start.Add(windowTime); time.Now().Before(end) && pushing.Err() == nil && ctx.Err() == nil; <-tick.C {
		n := min(each, len(rest))
		now := append([]*otlp.Span(nil), rest[:n]...)
		rest = rest[n:]
		for ; made < int(time.Since(began).Seconds()*float64(l.rate/traceSpans)); made++ {
			if now = append(now, l.newTrace(w)...); len(now) >= 1000 {
				push(now)
				now = nil
			}
		}
		push(now)
	}
	push(rest)
	return g.Wait()
}

// newTrace makes a trace of a window, and returns those of its spans that are to be sent now. All
// of them lie inside of the window.
func (l *mergeLoad) newTrace(w *mergeWindow) []*otlp.Span {
	r := l.rand
	var id trace.ID
	binary.BigEndian.PutUint64(id[:], r.Uint64())
	binary.BigEndian.PutUint64(id[8:], r.Uint64())
	if len(w.samples) < 20 && r.IntN(50) == 0 {
		w.samples = append(w.samples, id)
	}
	services := [...]string{"shop", "cart", "stock", "mail", "pay"}
	at := uint64(max(min(time.Since(w.start), windowTime-2*time.Second), time.Second)) + uint64(w.start.UnixNano())
	var spans []*otlp.Span
	for i := range traceSpans {
		service := services[r.IntN(len(services))]
		w.spans[service]++
		start := at + uint64(r.IntN(50e6))
		s := &otlp.Span{
			Trace:    id,
			ID:       otlp.SpanID(r.Uint64() | 1),
			Name:     fmt.Sprint("op-", i),
			Kind:     int32(1 + r.IntN(5)),
			Start:    start,
			End:      start + uint64(r.IntN(200e6)),
			Resource: &otlp.Resource{Attrs: []otlp.Attr{{Key: "service.name", Value: service}}},
			Attrs: []otlp.Attr{
				{Key: "path", Value: fmt.Sprintf("/item/%d", r.IntN(5000))},
				{Key: "size", Value: r.IntN(1 << 16)},
			},
		}
		if i > 0 {
			s.Parent = spans[r.IntN(i)].ID
		}
		if r.IntN(200) == 0 {
			s.Status, s.Message = 2, "out of stock"
		}
		spans = append(spans, s)
	}
	switch n := r.IntN(100); {
	case n < 10:
		l.held = append(l.held, spans[3:]...)
		return spans[:3]
	case n == 10:
		l.held = append(l.held, spans...)
	}
	return spans
}

// push sends spans in one request. What the node has no room for is sent again.
func (l *mergeLoad) push(ctx context.Context, spans []*otlp.Span) error {
	body := otlp.Encode(spans...)
	for {
		code, answer, err := l.n.Push(ctx, "application/x-protobuf", body)
		switch {
		case err == nil && code == http.StatusOK:
			l.sent.Add(int64(len(spans)))
			return nil
		case err != nil:
			return fmt.Errorf("push %d spans: %w", len(spans), err)
		case code != http.StatusTooManyRequests && code != http.StatusServiceUnavailable:
			return fmt.Errorf("push %d spans: status %d: %s", len(spans), code, answer)
		}
		time.Sleep(loadEvery)
	}
}
