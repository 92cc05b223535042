package otlp

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
)

// GRPC makes the server of OTLP over gRPC.
//
// Export is unary for clients. It is served as a stream, because there the handler runs before the message is received and unpacked: it
// reserves the memory first, and until it has, HTTP/2's flow control holds the client's bytes back.
func (g *Gateway) GRPC() *grpc.Server {
	s := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.MaxRecvMsgSize(g.maxMessage()), grpc.MaxConcurrentStreams(100),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}))
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "opentelemetry.proto.collector.trace.v1.TraceService", Metadata: "opentelemetry/proto/collector/trace/v1/trace_service.proto",
		Streams: []grpc.StreamDesc{{StreamName: "Export", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			st := g.export(s)
			g.deps.Metrics.requests.WithLabelValues("grpc", st.Code().String()).Inc()
			return st.Err()
		}}}}, nil)
	return s
}

func (g *Gateway) maxMessage() int { return g.cfg.Protocols.GRPC.MaxRecvMsgSize << 20 }

func (g *Gateway) export(s grpc.ServerStream) *grpcstatus.Status {
	ctx := s.Context()
	h, err := g.reserve(ctx, int64(g.maxMessage()))
	if err != nil {
		return g.refusal(err)
	}
	defer h.shrink(0)
	otlp, err := g.receive(ctx, s)
	if err != nil {
		return grpcstatus.Convert(err)
	}
	h.shrink(int64(len(otlp)))
	g.deps.Metrics.bytes.WithLabelValues("grpc").Add(float64(len(otlp)))
	md, _ := metadata.FromIncomingContext(ctx)
	id, err := g.tenant(md.Get(strings.ToLower(tenant.Header)))
	if err != nil {
		return g.refusal(err)
	}
	reply, err := g.push(ctx, id, otlp)
	switch {
	case unreadable(err):
		return grpcstatus.New(codes.Internal, "grpc: error unmarshalling request: "+err.Error())
	case err != nil:
		return g.refusal(err)
	}
	if err := s.SendMsg(encodeReply(reply)); err != nil {
		return grpcstatus.Convert(err)
	}
	return grpcstatus.New(codes.OK, "")
}

// receive waits for the message, but not for ever: a client that stops in the middle of one would keep its memory.
func (g *Gateway) receive(ctx context.Context, s grpc.ServerStream) ([]byte, error) {
	type received struct {
		otlp []byte
		err  error
	}
	done := make(chan received, 1)
	go func() {
		var m message
		err := s.RecvMsg(&m)
		done <- received{m.bytes, err}
	}()
	ctx, cancel := context.WithTimeout(ctx, g.cfg.ReceiveTimeout)
	defer cancel()
	select {
	case r := <-done:
		return r.otlp, r.err
	case <-ctx.Done():
		return nil, grpcstatus.Errorf(codes.DeadlineExceeded, "receive spans: the request did not arrive within %s", g.cfg.ReceiveTimeout)
	}
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
		return nil, fmt.Errorf("BUG: encode message of %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}
