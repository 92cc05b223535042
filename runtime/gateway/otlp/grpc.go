package otlp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

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

const (
	collectorPackage = "opentelemetry.proto.collector."
	maxRecvKey       = "distributor.receivers.otlp.protocols.grpc.max_recv_msg_size_mib"
)

// newRPC makes a gRPC server of OTLP.
//
// Export is unary for clients. It is served as a stream, because there the handler runs before the
// message has arrived: it can refuse the request, and give up a sender that stops half-way.
func (g *Gateway) newRPC() *grpc.Server {
	s := rpc.NewServer(g.deps.Logger, int(g.maxMessage()), grpc.ForceServerCodecV2(RawCodec{}), grpc.UnknownServiceHandler(g.CountCalls("grpc", g.answerUnknown)))
	for service, handle := range map[string]func(grpc.ServerStream) error{"trace.v1.TraceService": g.exportTraces,
		"metrics.v1.MetricsService": g.passOver("metrics"), "logs.v1.LogsService": g.passOver("logs")} {
		s.RegisterService(&grpc.ServiceDesc{ServiceName: collectorPackage + service,
			Streams: []grpc.StreamDesc{{StreamName: "Export", ServerStreams: true, Handler: g.CountCalls("grpc", handle)}}}, nil)
	}
	return s
}

func (g *Gateway) maxMessage() int64 { return int64(g.cfg.Protocols.GRPC.MaxRecvMsgSize) << 20 }

func (g *Gateway) messageLimit() SizeLimit { return SizeLimit{g.maxMessage(), maxRecvKey} }

// CountCalls runs a handler and counts its answer.
func (g *Gateway) CountCalls(protocol string, handle func(grpc.ServerStream) error) grpc.StreamHandler {
	return func(_ any, s grpc.ServerStream) (err error) {
		defer func() { g.deps.Metrics.requests.WithLabelValues(protocol, grpcstatus.Code(err).String()).Inc() }()
		defer rpc.Recover(g.deps.Logger, protocol, &err)
		_ = grpc.SetSendCompressor(s.Context(), encoding.Identity) // answers are a few bytes long
		return handle(s)
	}
}

// TakeCall receives the one message of a call and hands it to take, unpacked and under h, with the
// tenant who sent it. Refusals before that are counted here.
func (g *Gateway) TakeCall(s grpc.ServerStream, l SizeLimit, take func(tenant string, h *Hold, message []byte) error) error {
	ctx := s.Context()
	md, _ := metadata.FromIncomingContext(ctx)
	id, unnamed := g.FindTenant(md.Get(strings.ToLower(tenant.Header)))
	if unnamed != nil {
		g.CountRefused("", unnamed)
		return g.GRPCStatus(unnamed).Err()
	}
	in, h := g.arrivingOf(ctx), &Hold{g: g}
	defer h.ShrinkTo(0)
	message, wire, err := g.receiveMessage(ctx, s, in, h, l)
	defer func() { in.settleMessage(wire) }()
	if err != nil {
		g.CountRefused(id, err)
		// the code that gRPC itself has for it; without a time to come back clients give up
		if isRefusedFor(refusals.MessageTooLarge, err) {
			return grpcstatus.Error(codes.ResourceExhausted, err.Error())
		}
		return g.GRPCStatus(err).Err()
	}
	return take(id, h, message)
}

func (g *Gateway) exportTraces(s grpc.ServerStream) error {
	return g.TakeCall(s, g.messageLimit(), func(tenant string, _ *Hold, otlp []byte) error {
		g.deps.Metrics.bytes.WithLabelValues("grpc").Add(float64(len(otlp)))
		reply, err := g.Push(s.Context(), tenant, otlp)
		switch {
		case isUnreadable(err):
			return grpcstatus.Error(codes.Internal, "grpc: error unmarshalling request: "+err.Error())
		case err != nil:
			return g.GRPCStatus(err).Err()
		}
		return s.SendMsg(encodeReply(reply))
	})
}

// passOver answers exports of what is not kept here, as if they were: clients would log every
// refusal for ever. It counts and logs them.
func (g *Gateway) passOver(signal string) func(grpc.ServerStream) error {
	return func(s grpc.ServerStream) error {
		in, h := g.arrivingOf(s.Context()), &Hold{g: g}
		defer h.ShrinkTo(0)
		_, wire, err := g.awaitMessage(s.Context(), s, in, h, g.messageLimit())
		defer func() { in.settleMessage(wire) }()
		if err != nil {
			return g.GRPCStatus(err).Err()
		}
		md, _ := metadata.FromIncomingContext(s.Context())
		id, _ := g.FindTenant(md.Get(strings.ToLower(tenant.Header)))
		g.CountRefused(id, passedOver(signal))
		return s.SendMsg([]byte(nil))
	}
}

func passedOver(signal string) error {
	return Refuse(refusals.WrongEndpoint, fmt.Errorf("%s are answered with success and dropped: Troupe keeps traces only; turn their exporter off (OTEL_%s_EXPORTER=none) or send them elsewhere",
		signal, strings.ToUpper(signal)))
}

// answerUnknown answers what no service of this port serves.
func (g *Gateway) answerUnknown(s grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(s)
	err := Refuse(refusals.WrongEndpoint, fmt.Errorf("unknown method %.100q: this port takes traces, by /%strace.v1.TraceService/Export; queries have server.grpc_listen_port", method, collectorPackage))
	g.CountRefused("", err)
	return grpcstatus.Error(codes.Unimplemented, err.Error())
}

// receiveMessage returns a message unpacked, and the bytes it had on the way, which the caller
// settles. Its memory is h's.
func (g *Gateway) receiveMessage(ctx context.Context, s grpc.ServerStream, in arriving, h *Hold, l SizeLimit) (otlp []byte, wire int64, err error) {
	message, wire, err := g.awaitMessage(ctx, s, in, h, l)
	if err != nil {
		return nil, wire, err
	}
	coding, message := packed.TakeMark(message)
	if int64(len(message)) > l.Bytes {
		return nil, wire, l.tooLarge("")
	}
	if coding != 0 {
		message, err = g.unpackBody(ctx, h, []packed.Coding{coding}, message, l)
	}
	return message, wire, err
}

// awaitMessage waits for the message, but not for ever: a client that stops in the middle of one
// would keep its memory.
func (g *Gateway) awaitMessage(ctx context.Context, s grpc.ServerStream, in arriving, h *Hold, l SizeLimit) (packedBytes []byte, wire int64, err error) {
	type received struct {
		bytes []byte
		err   error
	}
	done := make(chan received, 1)
	go func() {
		var m RawMessage
		err := func() (err error) {
			defer rpc.Recover(g.deps.Logger, "receive a message", &err)
			return s.RecvMsg(&m)
		}()
		done <- received{m.bytes, err}
	}()
	refused := in.refusedSignal()
	late, cancel := context.WithTimeout(ctx, g.cfg.ReceiveTimeout)
	defer cancel()
	var r received
	select {
	case r = <-done:
	case <-refused:
		return nil, 0, in.refusalCause()
	case <-late.Done():
		if ctx.Err() == nil {
			return nil, 0, Refuse(refusals.Incomplete, status.Errorf(status.Timeout, "receive spans: the request did not arrive within %s", g.cfg.ReceiveTimeout))
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

// serveRPC serves gRPC on a port of HTTP.
func (g *Gateway) serveRPC(rpc *grpc.Server, w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	_, _ = c.SetWriteDeadline(time.Time{}), c.SetReadDeadline(time.Time{}) // await has its own
	r, leave := g.MeterBody(w, r)
	defer leave()
	rpc.ServeHTTP(w, r)
}

// isRPC reports whether a request is one of gRPC.
func isRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// RawMessage is a request's bytes.
type RawMessage struct{ bytes []byte }

// RawCodec hands messages over as they are.
type RawCodec struct{}

// Name is the content subtype of protobuf.
func (RawCodec) Name() string { return "proto" }

// Unmarshal copies the message once, out of the transport's buffers.
func (RawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*RawMessage)
	if !ok {
		return fmt.Errorf("BUG: decode message into %T", v)
	}
	m.bytes = data.Materialize()
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
