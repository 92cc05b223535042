package delivery

import (
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	grpcstatus "google.golang.org/grpc/status"
)

// StreamInterceptor ends a stream whose client takes nothing of it for as long as a stall may last.
// The library keeps what it was given to send for as long as the connection is there, so the
// connection is closed too, if it comes from Listen.
func StreamInterceptor(l Limits, m *Metrics) grpc.StreamServerInterceptor {
	return func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		if l.Stall <= 0 {
			return handle(srv, s)
		}
		return handle(srv, &stream{ServerStream: s, stall: l.Stall, metrics: m})
	}
}

type stream struct {
	grpc.ServerStream
	stall   time.Duration
	metrics *Metrics
}

// SendMsg returns when the message is on its way, or after the stall. The library's own call then
// ends with the stream, which ends when its handler returns the error.
func (s *stream) SendMsg(m any) error {
	done := make(chan error, 1)
	go func() { done <- s.ServerStream.SendMsg(m) }()
	timer := time.NewTimer(s.stall)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
	}
	s.metrics.countAbandoned("grpc")
	if p, ok := peer.FromContext(s.Context()); ok {
		if a, ok := p.Addr.(*address); ok {
			_ = a.conn.Close()
		}
	}
	return grpcstatus.Errorf(codes.ResourceExhausted,
		"nothing of the answer was read for %s (server.write_stall_timeout)", s.stall)
}

// Listen makes connections of which every write must make progress, and which StreamInterceptor can
// close. Without a bound on a stall it is the listener itself.
func Listen(l net.Listener, limits Limits) net.Listener {
	if limits.Stall <= 0 {
		return l
	}
	return listener{l, limits.Stall}
}

type listener struct {
	net.Listener
	stall time.Duration
}

// Accept waits for the next connection.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{c, l.stall}, nil
}

type conn struct {
	net.Conn
	stall time.Duration
}

// Write has the bound on a stall for each piece.
func (c *conn) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		piece := b[:min(len(b), pieceBytes)]
		_ = c.SetWriteDeadline(time.Now().Add(c.stall))
		k, err := c.Conn.Write(piece)
		if n += k; err != nil {
			return n, err
		}
		b = b[len(piece):]
	}
	return n, nil
}

// RemoteAddr leads from a request back to its connection.
func (c *conn) RemoteAddr() net.Addr { return &address{c.Conn.RemoteAddr(), c.Conn} }

type address struct {
	net.Addr
	conn net.Conn
}
