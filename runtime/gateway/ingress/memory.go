package ingress

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// A sender that brings less than leastProgress within stalled is taken to have stopped.
const (
	stalled       = 5 * time.Second
	leastProgress = 4 << 10
)

// stepBytes is the number of bytes that are reserved at a time while a request arrives.
const stepBytes = 64 << 10

// memory is what all requests together hold: while they arrive, while they are unpacked and
// decoded, and until they are answered.
//
// Bytes are reserved as they arrive and not as they are announced. One connection has at most half
// of the memory for requests that have not arrived completely, so it can never keep all others
// out. When the memory is used up, whatever has stalled gives way first.
type memory struct {
	total      *semaphore.Weighted
	size       int64
	maxWait    time.Duration
	retryAfter time.Duration
	gauge      prometheus.Gauge
	clock      func() time.Time
	large      *semaphore.Weighted // of requests that are being unpacked to more than largeBytes

	mu       sync.Mutex
	arriving map[*arrival]struct{}
}

func newMemory(l Limits, gauge prometheus.Gauge) *memory {
	size := l.BufferedBytes
	return &memory{
		total:      semaphore.NewWeighted(size),
		size:       size,
		maxWait:    l.MaxWait,
		retryAfter: l.RetryAfter,
		gauge:      gauge,
		clock:      time.Now,
		large:      semaphore.NewWeighted(max(1, size/(3*l.LargestRequest))),
		arriving:   map[*arrival]struct{}{},
	}
}

// acquireBytes waits a moment for n bytes. If they are not free, stalled arrivals give way.
func (m *memory) acquireBytes(ctx context.Context, n int64) error {
	if !m.total.TryAcquire(n) {
		m.makeWay(n)
		wait, cancel := context.WithTimeout(ctx, m.maxWait)
		defer cancel()
		if err := m.total.Acquire(wait, n); err != nil {
			if ctx.Err() != nil {
				return status.Of(ctx.Err())
			}
			return m.overCapacity("requests hold %s already", config.Bytes(m.size))
		}
	}
	m.gauge.Add(float64(n))
	return nil
}

// tryAcquireBytes reserves n bytes if they are free now.
func (m *memory) tryAcquireBytes(n int64) bool {
	if !m.total.TryAcquire(n) {
		return false
	}
	m.gauge.Add(float64(n))
	return true
}

// largeBytes is the size beyond which a request is large when it is unpacked. Only as many large
// requests are unpacked at the same time as fit if each has the largest size. Otherwise many of
// them would each get half-way and none to its end.
const largeBytes = 1 << 20

// unpackLarge waits a moment until one more large request may be unpacked. The caller releases
// m.large.
func (m *memory) unpackLarge(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, m.maxWait)
	defer cancel()
	if err := m.large.Acquire(wait, 1); err != nil {
		if ctx.Err() != nil {
			return status.Of(ctx.Err())
		}
		return m.overCapacity("other large requests are being unpacked")
	}
	return nil
}

func (m *memory) overCapacity(format string, args ...any) error {
	return Refuse(refusals.OverCapacity, status.Limitedf(m.retryAfter, "receive spans: over capacity: "+format,
		args...))
}

func (m *memory) releaseBytes(n int64) {
	m.total.Release(n)
	m.gauge.Sub(float64(n))
}

// makeWay ends arrivals that have stalled, those that stalled first before the others, until they
// have given back n bytes.
func (m *memory) makeWay(n int64) {
	type candidate struct {
		*arrival
		since time.Time
		held  int64
	}
	var stale []candidate
	m.mu.Lock()
	now := m.clock()
	for a := range m.arriving {
		if since, held := a.stalledSince(now); held > 0 {
			stale = append(stale, candidate{a, since, held})
		}
	}
	m.mu.Unlock()
	slices.SortFunc(stale, func(a, b candidate) int { return cmp.Compare(a.since.UnixNano(), b.since.UnixNano()) })
	for _, c := range stale {
		c.endStalled()
		if n -= c.held; n <= 0 {
			break
		}
	}
}

// share is what one connection may hold for requests that have not arrived completely.
type share struct {
	m *memory
	*semaphore.Weighted
}

func (m *memory) newShare() *share { return &share{m, semaphore.NewWeighted(m.size/2 + stepBytes)} }

// arrival is the memory of bytes that are arriving: those of one body, or those of all messages of
// a gRPC connection.
type arrival struct {
	share   *share
	giveWay func() // called from any goroutine before leave, which it must not call: ends the arrival soon

	ending sync.Mutex // held while giveWay runs, so that leave waits for it

	mu      sync.Mutex
	left    bool // set under both locks; nothing is held from then on
	held    int64
	since   time.Time // when the current stretch of progress began
	brought int64     // bytes since then
	waiting bool      // for memory: whoever waits for us has not stalled
}

// beginArrival begins an arrival. The caller ends it with endArrival. giveWay is called if the
// arrival has stalled and others need its memory.
func (s *share) beginArrival(giveWay func()) *arrival {
	a := &arrival{share: s, giveWay: giveWay, since: s.m.clock()}
	s.m.mu.Lock()
	s.m.arriving[a] = struct{}{}
	s.m.mu.Unlock()
	return a
}

// endArrival ends an arrival and gives back what it holds. giveWay is not called after it.
func (a *arrival) endArrival() {
	m := a.share.m
	m.mu.Lock()
	delete(m.arriving, a)
	m.mu.Unlock()
	a.ending.Lock()
	a.mu.Lock()
	n := a.held
	a.held, a.left = 0, true
	a.mu.Unlock()
	a.ending.Unlock()
	a.releaseBytes(n)
}

// endStalled calls giveWay, unless the arrival has ended meanwhile: then the things that giveWay
// uses may be gone.
func (a *arrival) endStalled() {
	a.ending.Lock()
	defer a.ending.Unlock()
	if !a.left {
		a.giveWay()
	}
}

// noteProgress records that n bytes have arrived.
func (a *arrival) noteProgress(n int64) {
	a.mu.Lock()
	if a.brought += n; a.brought >= leastProgress {
		a.since, a.brought = a.share.m.clock(), 0
	}
	a.mu.Unlock()
}

func (a *arrival) stalledSince(now time.Time) (since time.Time, held int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting || now.Sub(a.since) < stalled {
		return a.since, 0
	}
	return a.since, a.held
}

// growBy reserves n bytes more. An arrival that has ended gets none.
func (a *arrival) growBy(ctx context.Context, n int64) error {
	if n <= 0 {
		return nil
	}
	a.setWaiting(true)
	defer a.setWaiting(false)
	m := a.share.m
	if !a.share.TryAcquire(n) {
		wait, cancel := context.WithTimeout(ctx, m.maxWait)
		defer cancel()
		if err := a.share.Acquire(wait, n); err != nil {
			if ctx.Err() != nil {
				return status.Of(ctx.Err())
			}
			return m.overCapacity("unfinished requests of this connection hold %s already", config.Bytes(m.size/2))
		}
	}
	if err := m.acquireBytes(ctx, n); err != nil {
		a.share.Release(n)
		return err
	}
	a.mu.Lock()
	left := a.left
	if !left {
		a.held += n
	}
	a.mu.Unlock()
	if left { // while we waited, so that nobody would give it back
		a.releaseBytes(n)
		return status.Of(context.Canceled)
	}
	return nil
}

// growTo reserves what is missing to n bytes in all.
func (a *arrival) growTo(ctx context.Context, n int64) error {
	a.mu.Lock()
	n -= a.held
	a.mu.Unlock()
	return a.growBy(ctx, n)
}

func (a *arrival) setWaiting(w bool) {
	a.mu.Lock()
	a.waiting = w
	if !w {
		a.since, a.brought = a.share.m.clock(), 0
	}
	a.mu.Unlock()
}

// shrinkTo gives back what is held beyond a number of bytes.
func (a *arrival) shrinkTo(to int64) {
	a.mu.Lock()
	n := a.held - to
	if n > 0 {
		a.held = to
	}
	a.mu.Unlock()
	a.releaseBytes(n)
}

func (a *arrival) releaseBytes(n int64) {
	if n > 0 {
		a.share.m.releaseBytes(n)
		a.share.Release(n)
	}
}

// handOver gives up to n bytes to a request that has arrived completely, and returns how many.
func (a *arrival) handOver(n int64) int64 {
	a.mu.Lock()
	n = min(n, a.held)
	a.held -= n
	a.mu.Unlock()
	if n > 0 {
		a.share.Release(n)
	}
	return n
}

// Hold is memory that is reserved for one request that has arrived completely. It is used by one
// goroutine at a time, and given back with ShrinkTo(0).
type Hold struct {
	memory *memory
	bytes  int64
}

// NewHold returns a hold of no bytes.
func (d *Door) NewHold() *Hold { return &Hold{memory: d.memory} }

// Bytes is the number of bytes that are reserved.
func (h *Hold) Bytes() int64 { return h.bytes }

// takeOver takes n bytes over from an arrival, and reserves those that it does not hold.
func (h *Hold) takeOver(ctx context.Context, a *arrival, n int64) error {
	got := a.handOver(n)
	h.bytes += got
	return h.Grow(ctx, n-got)
}

// Grow reserves n bytes more. It waits a moment for them, and refuses the request if others have
// them all.
func (h *Hold) Grow(ctx context.Context, n int64) error {
	if n <= 0 {
		return nil
	}
	if err := h.memory.acquireBytes(ctx, n); err != nil {
		return err
	}
	h.bytes += n
	return nil
}

// ShrinkTo gives back what is reserved beyond a number of bytes.
func (h *Hold) ShrinkTo(to int64) {
	if to < h.bytes {
		h.memory.releaseBytes(h.bytes - to)
		h.bytes = to
	}
}
