package ingress

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"sync"

	"google.golang.org/grpc/peer"

	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// gRPC collects a message by itself, and hands it over when it is whole. To reserve memory while it
// comes, a connection is looked at from outside: meter reads the heads of HTTP/2's frames in both
// directions and knows how many bytes of open streams have come.
//
//	client ─ DATA of stream 5, 16 KiB ─▶ meter ─▶ gRPC   16 KiB open, none taken: reserve a step
//	         … more DATA …                               300 KiB open: reserve more steps
//	                                     gRPC ─▶ export  a whole message: its handler takes over
//	client ◀─ trailers, END_STREAM ───── meter ◀─ gRPC   stream 5 has ended
//
// Where a step cannot be reserved the connection is not read for a moment, and then its unfinished
// requests are refused.

// arriving is what a handler of gRPC knows about the memory of its message while the message
// arrives.
type arriving interface {
	// refusedSignal is closed when unfinished requests are refused, for refusalCause.
	refusedSignal() <-chan struct{}
	refusalCause() error
	// takeMessage gives the memory of a message to h. wire is its size on the wire in bytes.
	// settleMessage is called when the request has ended.
	takeMessage(ctx context.Context, h *Hold, wire int64) error
	settleMessage(wire int64)
}

// arrivingOf finds it in the context of a request.
func (d *Door) arrivingOf(ctx context.Context) arriving {
	if b, ok := ctx.Value(bodyKey{}).(*meteredBody); ok {
		return b
	}
	if p, ok := peer.FromContext(ctx); ok {
		if a, ok := p.Addr.(meteredAddr); ok {
			return a.meter
		}
	}
	return unmetered{}
}

// unmetered is a connection that is not metered.
type unmetered struct{}

func (unmetered) refusedSignal() <-chan struct{} { return nil }
func (unmetered) refusalCause() error            { return nil }
func (unmetered) takeMessage(ctx context.Context, h *Hold, wire int64) error {
	return h.Grow(ctx, wire)
}
func (unmetered) settleMessage(int64) {}

// alarm tells requests that they are refused.
type alarm struct {
	mu sync.Mutex
	ch chan struct{}
	e  error
}

func (a *alarm) refusedSignal() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ch == nil {
		a.ch = make(chan struct{})
	}
	return a.ch
}

func (a *alarm) refusalCause() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.e
}

// raiseAlarm refuses the requests that wait now, but no later ones.
func (a *alarm) raiseAlarm(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.e = err
	if a.ch != nil {
		close(a.ch)
		a.ch = nil
	}
}

// meter is a connection to a gRPC server that reserves memory for the messages that arrive on it.
type meter struct {
	net.Conn
	alarm
	arrival *arrival
	in, out frames // of what was read, of what was written
	once    sync.Once

	counts  sync.Mutex
	streams map[uint32]int64 // bytes of DATA that came for streams that are open
	open    int64            // their sum
	taken   int64            // of these, what handlers hold themselves
}

// meteredAddr is how a handler finds the meter: gRPC shows the handler the address of the
// connection.
type meteredAddr struct {
	net.Addr
	meter *meter
}

// MeterConn returns a connection that reserves memory for the messages that arrive on c, which is
// one to a gRPC server.
func (d *Door) MeterConn(c net.Conn) net.Conn {
	m := &meter{Conn: c, streams: map[uint32]int64{}, in: frames{skip: len(HTTP2Preface)}}
	m.arrival = d.memory.newShare().beginArrival(func() {
		if m.shrinkToNeed(0) > 0 {
			m.raiseAlarm(d.memory.overCapacity("unfinished requests of this connection brought "+
				"less than %d KiB within %s and gave way to others", leastProgress>>10, stalled))
		}
	})
	return m
}

// HTTP2Preface begins every connection of HTTP/2.
const HTTP2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// RemoteAddr is the address of the client.
func (m *meter) RemoteAddr() net.Addr { return meteredAddr{m.Conn.RemoteAddr(), m} }

// Close gives back what is reserved.
func (m *meter) Close() error {
	m.once.Do(m.arrival.endArrival)
	return m.Conn.Close()
}

// Read waits until there is memory for what it has read.
func (m *meter) Read(b []byte) (int, error) {
	n, err := m.Conn.Read(b)
	if n > 0 {
		m.counts.Lock()
		before := m.open
		m.in.scanHeads(b[:n], m.onReceived)
		came, need := m.open-before, m.neededBytes()
		m.counts.Unlock()
		if came > 0 {
			m.arrival.noteProgress(came)
			if err := m.arrival.growTo(context.Background(), need); err != nil {
				m.raiseAlarm(err)
			}
		}
	}
	return n, err
}

// Write notices which streams have ended.
func (m *meter) Write(b []byte) (int, error) {
	m.counts.Lock()
	before := m.open
	m.out.scanHeads(b, m.onAnswered)
	ended := m.open < before
	m.counts.Unlock()
	if ended {
		m.shrinkToNeed(stepBytes)
	}
	return m.Conn.Write(b)
}

// neededBytes is the number of bytes to be reserved, in whole steps. counts is held.
func (m *meter) neededBytes() int64 {
	if n := m.open - m.taken; n > 0 {
		return (n + stepBytes - 1) / stepBytes * stepBytes
	}
	return 0
}

// shrinkToNeed gives back what is reserved beyond the need and a rest in bytes, which serves the
// next message. It returns the need.
func (m *meter) shrinkToNeed(rest int64) int64 {
	m.counts.Lock()
	need := m.neededBytes()
	m.counts.Unlock()
	m.arrival.shrinkTo(need + rest)
	return need
}

// onReceived is called for each frame that was read, with counts held.
func (m *meter) onReceived(kind, flags byte, stream uint32, length int) {
	switch kind {
	case frameData:
		if had, ok := m.streams[stream]; ok {
			m.streams[stream] = had + int64(length)
			m.open += int64(length)
		}
	case frameHeaders:
		if _, ok := m.streams[stream]; !ok {
			m.streams[stream] = 0
		}
	case frameReset:
		m.endStream(stream)
	}
}

// onAnswered is called for each frame that is written, with counts held.
func (m *meter) onAnswered(kind, flags byte, stream uint32, _ int) {
	if kind == frameReset || (kind == frameData || kind == frameHeaders) && flags&flagEndStream != 0 {
		m.endStream(stream)
	}
}

// endStream forgets a stream. counts is held.
func (m *meter) endStream(stream uint32) {
	m.open -= m.streams[stream]
	delete(m.streams, stream)
}

func (m *meter) takeMessage(ctx context.Context, h *Hold, wire int64) error {
	m.counts.Lock()
	m.taken += wire
	m.counts.Unlock()
	err := h.takeOver(ctx, m.arrival, wire)
	m.shrinkToNeed(stepBytes)
	return err
}

func (m *meter) settleMessage(wire int64) {
	m.counts.Lock()
	m.taken -= wire
	m.counts.Unlock()
}

// Frames of HTTP/2. Source: RFC 9113 §4.1, §6.
const (
	frameData     = 0
	frameHeaders  = 1
	frameReset    = 3
	flagEndStream = 1
	frameHead     = 9
)

// frames finds the heads of frames in a stream of bytes, however it is cut into pieces.
type frames struct {
	head [frameHead]byte
	have int // bytes of head
	skip int // bytes before the next head
}

// scanHeads looks at the next bytes of the stream and calls each for every head that ends in them.
func (f *frames) scanHeads(b []byte, each func(kind, flags byte, stream uint32, length int)) {
	for len(b) > 0 {
		if n := min(f.skip, len(b)); n > 0 {
			b, f.skip = b[n:], f.skip-n
			continue
		}
		n := copy(f.head[f.have:], b)
		b, f.have = b[n:], f.have+n
		if f.have < frameHead {
			return
		}
		length := int(f.head[0])<<16 | int(f.head[1])<<8 | int(f.head[2])
		f.have, f.skip = 0, length
		each(f.head[3], f.head[4], binary.BigEndian.Uint32(f.head[5:])&(1<<31-1), length)
	}
}

// meteredBody is the body of a gRPC request on a port of HTTP. gRPC would read it ahead as far as
// the client sends.
type meteredBody struct {
	body interface {
		Read([]byte) (int, error)
		Close() error
	}
	alarm
	arrival *arrival
	limit   int64
	came    int64
}

type bodyKey struct{}

// MeterBody returns r with a body that reserves memory as it arrives. most is the largest message
// in bytes. The caller calls leave when the request has ended.
func (d *Door) MeterBody(r *http.Request, most int64) (_ *http.Request, leave func()) {
	b := &meteredBody{body: r.Body, limit: most + 4<<10}
	b.arrival = d.shareOf(r.Context()).beginArrival(func() {
		b.raiseAlarm(d.memory.overCapacity("this request brought less than %d KiB within %s and gave way to others",
			leastProgress>>10, stalled))
	})
	r = r.WithContext(context.WithValue(r.Context(), bodyKey{}, b))
	r.Body = b
	return r, b.arrival.endArrival
}

// Read waits until there is memory for what it has read.
func (b *meteredBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if n == 0 {
		return n, err
	}
	b.arrival.noteProgress(int64(n))
	if b.came += int64(n); b.came > b.limit {
		return 0, status.Errorf(status.Invalid, "the stream is longer than its one message may be")
	}
	if grown := b.arrival.growTo(context.Background(), (b.came+stepBytes-1)/stepBytes*stepBytes); grown != nil {
		b.raiseAlarm(grown)
		return 0, grown
	}
	return n, err
}

// Close ends the reading.
func (b *meteredBody) Close() error { return b.body.Close() }

func (b *meteredBody) takeMessage(ctx context.Context, h *Hold, wire int64) error {
	err := h.takeOver(ctx, b.arrival, wire)
	b.arrival.shrinkTo(0)
	return err
}

func (b *meteredBody) settleMessage(int64) {}
