package otlp

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/gateway/rpc"
	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

const (
	collectorPackage = "opentelemetry.proto.collector."
	maxRecvKey       = "distributor.receivers.otlp.protocols.grpc.max_recv_msg_size_mib"
)

// newRPC makes a gRPC server of OTLP.
//
// Export is unary for clients, but it is served as a stream. The handler of a stream runs before
// the message has arrived, so it can refuse the request and give up a sender that stops half-way.
func (g *Gateway) newRPC() *grpc.Server {
	s := rpc.NewServer(g.door.Logger(), int(g.maxMessage()), grpc.ForceServerCodecV2(ingress.RawCodec{}),
		grpc.UnknownServiceHandler(g.door.CountCalls("grpc", g.answerUnknown)))
	for service, handle := range map[string]func(grpc.ServerStream) error{"trace.v1.TraceService": g.exportTraces,
		"metrics.v1.MetricsService": g.passOver("metrics"), "logs.v1.LogsService": g.passOver("logs")} {
		s.RegisterService(&grpc.ServiceDesc{ServiceName: collectorPackage + service,
			Streams: []grpc.StreamDesc{{StreamName: "Export", ServerStreams: true,
				Handler: g.door.CountCalls("grpc", handle)}}}, nil)
	}
	return s
}

func (g *Gateway) maxMessage() int64 { return int64(g.cfg.Protocols.GRPC.MaxRecvMsgSize) << 20 }

func (g *Gateway) messageLimit() ingress.SizeLimit {
	return ingress.SizeLimit{Bytes: g.maxMessage(), Key: maxRecvKey}
}

// exportTraces serves Export of the trace service.
func (g *Gateway) exportTraces(s grpc.ServerStream) error {
	return g.door.TakeCall(s, g.messageLimit(), func(tenant string, _ *ingress.Hold, otlp []byte) error {
		g.door.CountBytes("grpc", len(otlp))
		reply, err := g.door.Push(s.Context(), tenant, otlp)
		switch {
		case isUnreadable(err):
			return grpcstatus.Error(codes.Internal, "grpc: error unmarshalling request: "+err.Error())
		case err != nil:
			return g.door.GRPCStatus(err).Err()
		}
		return s.SendMsg(encodeReply(reply))
	})
}

// passOver answers exports of signals that Troupe does not keep as if it kept them, because
// clients would log every refusal for ever. The exports are counted and logged.
func (g *Gateway) passOver(signal string) func(grpc.ServerStream) error {
	return func(s grpc.ServerStream) error {
		if err := g.door.SkipCall(s, g.messageLimit()); err != nil {
			return g.door.GRPCStatus(err).Err()
		}
		md, _ := metadata.FromIncomingContext(s.Context())
		id, _ := g.door.FindTenant(md.Get(strings.ToLower(tenant.Header)))
		g.door.CountRefused(id, passedOver(signal))
		return s.SendMsg([]byte(nil))
	}
}

func passedOver(signal string) error {
	return ingress.Refuse(refusals.WrongEndpoint, fmt.Errorf("%s are answered with success and dropped: "+
		"Troupe keeps traces only; turn their exporter off (OTEL_%s_EXPORTER=none) or send them elsewhere",
		signal, strings.ToUpper(signal)))
}

// answerUnknown answers calls of methods that no service of this port has.
func (g *Gateway) answerUnknown(s grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(s)
	err := ingress.Refuse(refusals.WrongEndpoint, fmt.Errorf("unknown method %.100q: "+
		"this port takes traces, by /%strace.v1.TraceService/Export; queries have server.grpc_listen_port",
		method, collectorPackage))
	g.door.CountRefused("", err)
	return grpcstatus.Error(codes.Unimplemented, err.Error())
}

// serveRPC serves gRPC on a port of HTTP.
func (g *Gateway) serveRPC(rpc *grpc.Server, w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	_, _ = c.SetWriteDeadline(time.Time{}), c.SetReadDeadline(time.Time{}) // await has its own
	r, leave := g.door.MeterBody(r, g.maxMessage())
	defer leave()
	rpc.ServeHTTP(w, r)
}
