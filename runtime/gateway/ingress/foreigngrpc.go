package ingress

import (
	"context"
	"crypto/tls"
	"net"

	"google.golang.org/grpc"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/gateway/rpc"
)

// ForeignServer is a port of gRPC for spans in another format.
type ForeignServer struct {
	*grpc.Server
	door *Door
}

// ForeignGRPC makes the server of one unary method that takes spans in another format and answers
// with an empty message. limit applies to a message as it is sent and after unpacking; key is the
// key of the configuration that sets it. If only some spans are refused, the call is answered as
// if it were, as in Foreign.
func (d *Door) ForeignGRPC(
	protocol, service, method string, limit config.Bytes, key string, format Format,
) *ForeignServer {
	l := SizeLimit{Bytes: int64(limit), Key: key}
	handle := func(s grpc.ServerStream) error { return d.callForeign(s, protocol, l, format) }
	s := rpc.NewServer(d.deps.Logger, int(limit), grpc.ForceServerCodecV2(RawCodec{}))
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: service,
		Streams: []grpc.StreamDesc{{
			StreamName:    method,
			ServerStreams: true,
			Handler:       d.CountCalls(protocol, handle),
		}},
	}, nil)
	return &ForeignServer{s, d}
}

// Serve answers until the server is stopped, with TLS if secured is not nil.
func (s *ForeignServer) Serve(l net.Listener, secured *tls.Config) error {
	if secured != nil {
		secured = secured.Clone()
		secured.NextProtos = []string{"h2"}
		l = tls.NewListener(l, secured)
	}
	return s.Server.Serve(metered{l, s.door})
}

// Stop ends the server. Open requests are answered as long as ctx lasts.
func (s *ForeignServer) Stop(ctx context.Context) {
	defer context.AfterFunc(ctx, s.Server.Stop)()
	s.GracefulStop()
}

// metered is a listener whose connections reserve memory for what arrives.
type metered struct {
	net.Listener
	door *Door
}

// Accept waits for a connection.
func (m metered) Accept() (net.Conn, error) {
	c, err := m.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return m.door.MeterConn(c), nil
}

func (d *Door) callForeign(s grpc.ServerStream, protocol string, l SizeLimit, format Format) error {
	return d.TakeCall(s, l, func(tenant string, h *Hold, body []byte) error {
		if err := d.takeForeign(s.Context(), h, tenant, protocol, "", body, format); err != nil {
			return d.GRPCStatus(err).Err()
		}
		return s.SendMsg([]byte{})
	})
}
