package ingress

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/troupe-tracing/troupe/runtime/gateway/packed"
	"github.com/troupe-tracing/troupe/runtime/gateway/rpc"
	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// CountCalls returns a handler that runs handle and counts its answer.
func (d *Door) CountCalls(protocol string, handle func(grpc.ServerStream) error) grpc.StreamHandler {
	return func(_ any, s grpc.ServerStream) (err error) {
		defer func() { d.CountAnswer(protocol, grpcstatus.Code(err).String()) }()
		defer rpc.Recover(d.deps.Logger, protocol, &err)
		_ = grpc.SetSendCompressor(s.Context(), encoding.Identity) // answers are a few bytes long
		return handle(s)
	}
}

// TakeCall receives the one message of a call, unpacks it, and hands it to take with the tenant who
// sent it. h holds the memory of the message, until take returns. Refusals before that are counted
// here.
func (d *Door) TakeCall(
	s grpc.ServerStream, l SizeLimit, take func(tenant string, h *Hold, message []byte) error,
) error {
	ctx := s.Context()
	md, _ := metadata.FromIncomingContext(ctx)
	id, unnamed := d.FindTenant(md.Get(strings.ToLower(tenant.Header)))
	if unnamed != nil {
		d.CountRefused("", unnamed)
		return d.GRPCStatus(unnamed).Err()
	}
	in, h := d.arrivingOf(ctx), d.NewHold()
	defer h.ShrinkTo(0)
	message, wire, err := d.receiveMessage(ctx, s, in, h, l)
	defer func() { in.settleMessage(wire) }()
	if err != nil {
		d.CountRefused(id, err)
		// This is the code that gRPC itself uses. Without a time to come back clients give up.
		if isRefusedFor(refusals.MessageTooLarge, err) {
			return grpcstatus.Error(codes.ResourceExhausted, err.Error())
		}
		return d.GRPCStatus(err).Err()
	}
	return take(id, h, message)
}

// SkipCall receives the one message of a call and drops it.
func (d *Door) SkipCall(s grpc.ServerStream, l SizeLimit) error {
	in, h := d.arrivingOf(s.Context()), d.NewHold()
	defer h.ShrinkTo(0)
	_, wire, err := d.awaitMessage(s.Context(), s, in, h, l)
	in.settleMessage(wire)
	return err
}

// receiveMessage returns a message unpacked, under h, and its size on the wire in bytes, which the
// caller settles.
func (d *Door) receiveMessage(
	ctx context.Context, s grpc.ServerStream, in arriving, h *Hold, l SizeLimit,
) (body []byte, wire int64, err error) {
	message, wire, err := d.awaitMessage(ctx, s, in, h, l)
	if err != nil {
		return nil, wire, err
	}
	coding, message := packed.TakeMark(message)
	if int64(len(message)) > l.Bytes {
		return nil, wire, l.tooLarge("")
	}
	if coding != 0 {
		message, err = d.unpackBody(ctx, h, []packed.Coding{coding}, message, l)
	}
	return message, wire, err
}

// awaitMessage waits for the message of a call as it was sent, under h, and returns its size on the
// wire too. It does not wait for ever: a client that stops in the middle of a message would keep
// its memory.
func (d *Door) awaitMessage(
	ctx context.Context, s grpc.ServerStream, in arriving, h *Hold, l SizeLimit,
) (sent []byte, wire int64, err error) {
	type received struct {
		bytes []byte
		err   error
	}
	done := make(chan received, 1)
	go func() {
		var m RawMessage
		err := func() (err error) {
			defer rpc.Recover(d.deps.Logger, "receive a message", &err)
			return s.RecvMsg(&m)
		}()
		done <- received{m.Bytes, err}
	}()
	refused := in.refusedSignal()
	late, cancel := context.WithTimeout(ctx, d.limits.ReceiveTimeout)
	defer cancel()
	var r received
	select {
	case r = <-done:
	case <-refused:
		return nil, 0, in.refusalCause()
	case <-late.Done():
		if ctx.Err() == nil {
			return nil, 0, Refuse(refusals.Incomplete, status.Errorf(status.Timeout,
				"receive spans: the request did not arrive within %s", d.limits.ReceiveTimeout))
		}
		r = <-done // gRPC itself may have ended the stream, and then it says why
	}
	switch {
	case r.err == nil:
		const head = 5 // of a message of gRPC
		wire = int64(len(r.bytes)) + head
		return r.bytes, wire, in.takeMessage(ctx, h, wire)
	case grpcstatus.Code(r.err) == codes.ResourceExhausted:
		text := fmt.Sprintf("%s: send smaller batches, or raise %s", grpcstatus.Convert(r.err).Message(), l.Key)
		return nil, 0, Refuse(refusals.MessageTooLarge, status.Errorf(status.Invalid, "%s", text))
	case ctx.Err() != nil:
		return nil, 0, status.Of(ctx.Err())
	}
	if cause := in.refusalCause(); cause != nil {
		return nil, 0, cause
	}
	return nil, 0, Refuse(refusals.Incomplete, r.err)
}

// RawMessage is a message as bytes.
type RawMessage struct{ Bytes []byte }

// RawCodec leaves messages undecoded: it reads them into a RawMessage and sends bytes.
type RawCodec struct{}

// Name is the content subtype of protobuf.
func (RawCodec) Name() string { return "proto" }

// Unmarshal copies the message once, out of the transport's buffers.
func (RawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*RawMessage)
	if !ok {
		return fmt.Errorf("BUG: decode message into %T", v)
	}
	m.Bytes = data.Materialize()
	return nil
}

// Marshal sends bytes.
func (RawCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, errors.New("BUG: encode what is no bytes")
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}
