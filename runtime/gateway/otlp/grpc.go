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
	s := rpc.NewServer(g.deps.Logger, int(g.maxMessage()), grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(g.counted("grpc", g.unknown)))
	for service, handle := range map[string]func(grpc.ServerStream) error{"trace.v1.TraceService": g.export,
		"metrics.v1.MetricsService": g.passOver("metrics"), "logs.v1.LogsService": g.passOver("logs")} {
		s.RegisterService(&grpc.ServiceDesc{ServiceName: collectorPackage + service,
			Streams: []grpc.StreamDesc{{StreamName: "Export", ServerStreams: true, Handler: g.counted("grpc", handle)}}}, nil)
	}
	return s
}

func (g *Gateway) maxMessage() int64 { return int64(g.cfg.Protocols.GRPC.MaxRecvMsgSize) << 20 }

func (g *Gateway) messageLimit() sizeLimit { return sizeLimit{g.maxMessage(), maxRecvKey} }

// counted runs a handler and counts its answer.
func (g *Gateway) counted(protocol string, handle func(grpc.ServerStream) error) grpc.StreamHandler {
	return func(_ any, s grpc.ServerStream) (err error) {
		defer func() { g.deps.Metrics.requests.WithLabelValues(protocol, grpcstatus.Code(err).String()).Inc() }()
		defer rpc.Recover(g.deps.Logger, protocol, &err)
		_ = grpc.SetSendCompressor(s.Context(), encoding.Identity) // answers are a few bytes long
		return handle(s)
	}
}

// takeCall receives the one message of a call and hands it to take, unpacked and under h, with the
// tenant who sent it. Refusals before that are counted here.
func (g *Gateway) takeCall(s grpc.ServerStream, l sizeLimit, take func(tenant string, h *hold, message []byte) error) error {
	ctx := s.Context()
	md, _ := metadata.FromIncomingContext(ctx)
	id, unnamed := g.tenant(md.Get(strings.ToLower(tenant.Header)))
	if unnamed != nil {
		g.countRefused("", unnamed)
		return g.refusal(unnamed).Err()
	}
	in, h := g.arrivingOf(ctx), &hold{g: g}
	defer h.shrink(0)
	message, wire, err := g.receive(ctx, s, in, h, l)
	defer func() { in.settle(wire) }()
	if err != nil {
		g.countRefused(id, err)
		// the code that gRPC itself has for it; without a time to come back clients give up
		if refusedFor(refusals.MessageTooLarge, err) {
			return grpcstatus.Error(codes.ResourceExhausted, err.Error())
		}
		return g.refusal(err).Err()
	}
	return take(id, h, message)
}

func (g *Gateway) export(s grpc.ServerStream) error {
	return g.takeCall(s, g.messageLimit(), func(tenant string, _ *hold, otlp []byte) error {
		g.deps.Metrics.bytes.WithLabelValues("grpc").Add(float64(len(otlp)))
		reply, err := g.push(s.Context(), tenant, otlp)
		switch {
		case unreadable(err):
			return grpcstatus.Error(codes.Internal, "grpc: error unmarshalling request: "+err.Error())
		case err != nil:
			return g.refusal(err).Err()
		}
		return s.SendMsg(encodeReply(reply))
	})
}

// passOver answers exports of what is not kept here, as if they were: clients would log every
// refusal for ever. It counts and logs them.
func (g *Gateway) passOver(signal string) func(grpc.ServerStream) error {
	return func(s grpc.ServerStream) error {
		in, h := g.arrivingOf(s.Context()), &hold{g: g}
		defer h.shrink(0)
		_, wire, err := g.await(s.Context(), s, in, h, g.messageLimit())
		defer func() { in.settle(wire) }()
		if err != nil {
			return g.refusal(err).Err()
		}
		md, _ := metadata.FromIncomingContext(s.Context())
		id, _ := g.tenant(md.Get(strings.ToLower(tenant.Header)))
		g.countRefused(id, passedOver(signal))
		return s.SendMsg([]byte(nil))
	}
}

func passedOver(signal string) error {
	return refuse(refusals.WrongEndpoint, fmt.Errorf("%s are answered with success and dropped: Troupe keeps traces only; turn their exporter off (OTEL_%s_EXPORTER=none) or send them elsewhere",
		signal, strings.ToUpper(signal)))
}

// unknown answers what no service of this port serves.
func (g *Gateway) unknown(s grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(s)
	err := refuse(refusals.WrongEndpoint, fmt.Errorf("unknown method %.100q: this port takes traces, by /%strace.v1.TraceService/Export; queries have server.grpc_listen_port", method, collectorPackage))
	g.countRefused("", err)
	return grpcstatus.Error(codes.Unimplemented, err.Error())
}

// receive returns a message unpacked, and the bytes it had on the way, which the caller settles.
// Its memory is h's.
func (g *Gateway) receive(ctx context.Context, s grpc.ServerStream, in arriving, h *hold, l sizeLimit) (otlp []byte, wire int64, err error) {
	message, wire, err := g.await(ctx, s, in, h, l)
	if err != nil {
		return nil, wire, err
	}
	coding, message := packed.TakeMark(message)
	if int64(len(message)) > l.bytes {
		return nil, wire, l.tooLarge("")
	}
	if coding != 0 {
		message, err = g.unpack(ctx, h, []packed.Coding{coding}, message, l)
	}
	return message, wire, err
}

// await waits for the message, but not for ever: a client that stops in the middle of one would
// keep its memory.
func (g *Gateway) await(ctx context.Context, s grpc.ServerStream, in arriving, h *hold, l sizeLimit) (packedBytes []byte, wire int64, err error) {
	type received struct {
		bytes []byte
		err   error
	}
	done := make(chan received, 1)
	go func() {
		var m message
		err := func() (err error) {
			defer rpc.Recover(g.deps.Logger, "receive a message", &err)
			return s.RecvMsg(&m)
		}()
		done <- received{m.bytes, err}
	}()
	refused := in.refused()
	late, cancel := context.WithTimeout(ctx, g.cfg.ReceiveTimeout)
	defer cancel()
	var r received
	select {
	case r = <-done:
	case <-refused:
		return nil, 0, in.cause()
	case <-late.Done():
		if ctx.Err() == nil {
			return nil, 0, refuse(refusals.Incomplete, status.Errorf(status.Timeout, "receive spans: the request did not arrive within %s", g.cfg.ReceiveTimeout))
		}
		r = <-done // gRPC itself may have ended the stream, and then it says why
	}
	switch {
	case r.err == nil:
		const head = 5 // of a message of gRPC
		wire = int64(len(r.bytes)) + head
		return r.bytes, wire, in.take(ctx, h, wire)
	case grpcstatus.Code(r.err) == codes.ResourceExhausted:
		text := fmt.Sprintf("%s: send smaller batches, or raise %s", grpcstatus.Convert(r.err).Message(), l.key)
		return nil, 0, refuse(refusals.MessageTooLarge, status.Errorf(status.Invalid, "%s", text))
	case ctx.Err() != nil:
		return nil, 0, status.Of(ctx.Err())
	}
	if cause := in.cause(); cause != nil {
		return nil, 0, cause
	}
	return nil, 0, refuse(refusals.Incomplete, r.err)
}

// serveRPC serves gRPC on a port of HTTP.
func (g *Gateway) serveRPC(rpc *grpc.Server, w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	_, _ = c.SetWriteDeadline(time.Time{}), c.SetReadDeadline(time.Time{}) // await has its own
	r, leave := g.meterBody(w, r)
	defer leave()
	rpc.ServeHTTP(w, r)
}

// isRPC reports whether a request is one of gRPC.
func isRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// message is a request's bytes.
type message struct{ bytes []byte }

// rawCodec hands messages over as they are.
type rawCodec struct{}

// Name is the content subtype of protobuf.
func (rawCodec) Name() string { return "proto" }

// Unmarshal copies the message once, out of the transport's buffers.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*message)
	if !ok {
		return fmt.Errorf("BUG: decode message into %T", v)
	}
	m.bytes = data.Materialize()
	return nil
}

// Marshal sends bytes.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, errors.New("BUG: encode what is no bytes")
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}
