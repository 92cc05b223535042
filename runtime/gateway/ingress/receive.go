package ingress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/gateway/packed"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// SizeLimit is the size in bytes that a request may have, as it is sent and after unpacking, and
// the key of the configuration that sets it.
type SizeLimit struct {
	Bytes int64
	Key   string
}

func (l SizeLimit) tooLarge(how string) error {
	return Refuse(refusals.MessageTooLarge, status.Errorf(status.Invalid,
		"%w: it has more than %s%s: send smaller batches, or raise %s", errTooLarge, config.Bytes(l.Bytes), how, l.Key))
}

// errTooLarge is the answer to a body beyond the limit, before or after unpacking.
var errTooLarge = errors.New("http: request body too large")

// shareKey is the key under which the context of a request has the share of its connection.
type shareKey struct{}

// ConnContext gives a connection its share of the memory. It is for http.Server.ConnContext.
func (d *Door) ConnContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, shareKey{}, d.memory.newShare())
}

func (d *Door) shareOf(ctx context.Context) *share {
	if s, ok := ctx.Value(shareKey{}).(*share); ok && s.m == d.memory {
		return s
	}
	return d.memory.newShare()
}

// ReceiveBody receives a body and unpacks it. h holds the memory of the result.
func (d *Door) ReceiveBody(w http.ResponseWriter, r *http.Request, h *Hold, l SizeLimit) ([]byte, error) {
	codings, err := packed.Parse(r.Header.Values("Content-Encoding"))
	if err != nil {
		return nil, Refuse(refusals.UnsupportedEncoding, status.Errorf(status.Invalid, "%w", err))
	}
	if r.ContentLength > l.Bytes {
		return nil, l.tooLarge("")
	}
	body, err := d.readReserving(w, r, h, l)
	if err != nil || len(codings) == 0 {
		return body, err
	}
	return d.unpackBody(r.Context(), h, codings, body, l)
}

// unpackBody undoes the codings of a body. h holds the packed bytes before, and the unpacked ones
// after.
func (d *Door) unpackBody(
	ctx context.Context, h *Hold, codings []packed.Coding, body []byte, l SizeLimit,
) ([]byte, error) {
	m, large := d.memory, false
	defer func() {
		if large {
			m.large.Release(1)
		}
	}()
	before := h.bytes
	out, err := packed.Unpack(codings, body, l.Bytes, func(n int64) error {
		if !large && h.bytes-before+n > largeBytes {
			if err := m.unpackLarge(ctx); err != nil {
				return err
			}
			large = true
		}
		// what one request may hold fits always, once nothing else is there
		return h.Grow(ctx, min(n, h.memory.size-h.bytes))
	})
	switch {
	case errors.Is(err, packed.ErrTooLarge):
		return nil, l.tooLarge(" when unpacked")
	case errors.Is(err, packed.ErrDamaged):
		return nil, Refuse(refusals.Unpackable, status.Errorf(status.Invalid, "%w", err))
	case err != nil:
		return nil, err
	}
	h.ShrinkTo(int64(len(out)))
	return out, nil
}

// readReserving reads a body as it was sent, and reserves memory as it arrives.
func (d *Door) readReserving(w http.ResponseWriter, r *http.Request, h *Hold, l SizeLimit) ([]byte, error) {
	var gaveWay atomic.Bool
	a := d.shareOf(r.Context()).beginArrival(func() {
		gaveWay.Store(true)
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) // ends the read that waits
	})
	defer a.endArrival()
	body, err := readBody(r.Context(), r.Body, a, r.ContentLength, l)
	var refused *refusedError
	switch {
	case err == nil:
		return body, h.takeOver(r.Context(), a, int64(cap(body)))
	case gaveWay.Load():
		return nil, d.memory.overCapacity("this request brought less than %d KiB within %s and gave way to others",
			leastProgress>>10, stalled)
	case errors.As(err, &refused):
		return nil, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, Refuse(refusals.Incomplete, status.Errorf(status.Invalid,
			"read body: the request did not arrive within %s", d.limits.ReceiveTimeout))
	case status.Of(err).Class == status.Canceled:
		return nil, Refuse(refusals.Incomplete, err)
	}
	return nil, Refuse(refusals.Incomplete, status.Errorf(status.Invalid, "read body: %w", err))
}

var (
	firsts = sync.Pool{New: func() any { return new([512]byte) }}
	steps  = sync.Pool{New: func() any { return new([stepBytes]byte) }}
)

// readBody reads length bytes, or to the end if length is -1, into buffers that grow with the
// bytes that have arrived. Bytes that a sender has only announced take no memory. A body of up to
// stepBytes is copied once, a larger one by a quarter at most.
func readBody(ctx context.Context, r io.Reader, a *arrival, length int64, l SizeLimit) ([]byte, error) {
	if length == 0 {
		return nil, nil
	}
	most, next := length, func(room int64) int64 {
		if length <= 32*room { // the rest at once
			return length
		}
		return 4 * room
	}
	if length < 0 {
		most, next = l.Bytes+1, func(room int64) int64 { return min(2*room, l.Bytes+1) }
	}
	first := firsts.Get().(*[512]byte)
	defer firsts.Put(first)
	n, err := readSome(r, first[:min(most, int64(len(first)))], a)
	if err != nil && err != io.EOF {
		return nil, err
	}
	have := first[:n]
	if n > 0 && err == nil && int64(n) < most {
		if grown := a.growBy(ctx, min(most, stepBytes)); grown != nil {
			return nil, grown
		}
		step := steps.Get().(*[stepBytes]byte)
		defer steps.Put(step)
		have = step[:copy(step[:], have)]
	}
	for room := int64(cap(have)); err == nil && int64(len(have)) < most; {
		if room = min(room, most); int64(len(have)) == room {
			larger := next(room)
			if grown := a.growBy(ctx, larger-room); grown != nil { // the smaller buffer is garbage from here on
				return nil, grown
			}
			have, room = append(make([]byte, 0, larger), have...), larger
		}
		n, err = readSome(r, have[len(have):room], a)
		have = have[:len(have)+n]
	}
	switch {
	case err != nil && err != io.EOF:
		return nil, err
	case length >= 0 && int64(len(have)) < length:
		return nil, fmt.Errorf("%w: %d of %d bytes came", io.ErrUnexpectedEOF, len(have), length)
	case int64(len(have)) > l.Bytes:
		return nil, l.tooLarge("")
	case cap(have) <= stepBytes: // a buffer of a pool
		have = append(make([]byte, 0, len(have)), have...)
		a.shrinkTo(int64(len(have)))
	}
	return have, nil
}

// readSome reads into b what arrives at once. It returns early, so that progress is noticed.
func readSome(r io.Reader, b []byte, a *arrival) (int, error) {
	n, err := r.Read(b)
	a.noteProgress(int64(n))
	return n, err
}
