package otlp

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
)

// Both forms of OTLP are answered on the port of either, because clients are often given the port
// of the other one. A port of gRPC serves gRPC as fast as it can and looks at the first bytes of
// each connection; a port of HTTP looks at the content type.

// firstBytesWithin is how long a connection may be silent before its protocol is known.
const firstBytesWithin = 10 * time.Second

// GRPCServer is the port of OTLP over gRPC, which answers OTLP over HTTP/1 too.
type GRPCServer struct {
	*grpc.Server
	g   *Gateway
	web *http.Server
}

// GRPC makes the server of OTLP over gRPC. The caller gives it a listener.
func (g *Gateway) GRPC() *GRPCServer { return &GRPCServer{g.newRPC(), g, g.newWeb(nil)} }

// LogTo sets the log for what clients do wrong below HTTP.
func (s *GRPCServer) LogTo(l *log.Logger) { s.web.ErrorLog = l }

// Serve answers until the server is stopped, with TLS if secured is not nil.
func (s *GRPCServer) Serve(l net.Listener, secured *tls.Config) error {
	if secured != nil {
		secured = secured.Clone()
		secured.NextProtos = []string{"h2", "http/1.1"}
		l = tls.NewListener(l, secured)
	}
	rpc, web := newBranch(l), newBranch(l)
	served := make(chan error, 2)
	go func() { served <- s.Server.Serve(rpc) }()
	go func() {
		if err := s.web.Serve(web); !errors.Is(err, http.ErrServerClosed) {
			served <- err
		}
	}()
	go s.splitConns(l, rpc, web)
	return <-served
}

// splitConns accepts connections and gives each to the server of its protocol.
func (s *GRPCServer) splitConns(l net.Listener, rpc, web *branch) {
	for {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			rpc.endWith(err)
			web.endWith(err)
			return
		case err != nil: // for want of files, for instance, which passes
			time.Sleep(50 * time.Millisecond)
			continue
		}
		go func() {
			speaksRPC, c := firstBytes(c)
			switch {
			case c == nil:
			case speaksRPC:
				rpc.giveConn(s.g.door.MeterConn(c))
			default:
				web.giveConn(c)
			}
		}()
	}
}

// firstBytes reports whether a connection begins with HTTP/2. The connection that it returns still
// has these bytes to be read; it is nil if the connection has ended.
func firstBytes(c net.Conn) (rpc bool, _ net.Conn) {
	_ = c.SetDeadline(time.Now().Add(firstBytesWithin))
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil {
		_ = c.Close()
		return false, nil
	}
	_ = c.SetDeadline(time.Time{})
	return string(head) == ingress.HTTP2Preface[:len(head)], &begun{c, head}
}

// begun is a connection whose first bytes were read already.
type begun struct {
	net.Conn
	head []byte
}

func (b *begun) Read(p []byte) (int, error) {
	if len(b.head) == 0 {
		return b.Conn.Read(p)
	}
	n := copy(p, b.head)
	b.head = b.head[n:]
	return n, nil
}

// Stop ends the server. Open requests are answered as long as ctx lasts.
func (s *GRPCServer) Stop(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() {
		defer context.AfterFunc(ctx, s.Server.Stop)()
		s.GracefulStop()
	})
	both.Go(func() {
		if s.web.Shutdown(ctx) != nil {
			_ = s.web.Close() // what is still open has had its time
		}
	})
	both.Wait()
}

// branch is the part of a listener's connections that one server gets.
type branch struct {
	net.Listener // for its address and its end
	conns        chan net.Conn
	ended        chan struct{}
	once         sync.Once
	err          error
}

func newBranch(l net.Listener) *branch {
	return &branch{Listener: l, conns: make(chan net.Conn), ended: make(chan struct{})}
}

// giveConn hands a connection to the server, and closes it if the server has ended.
func (b *branch) giveConn(c net.Conn) {
	select {
	case b.conns <- c:
	case <-b.ended:
		_ = c.Close()
	}
}

// endWith ends the branch with an error, once.
func (b *branch) endWith(err error) { b.once.Do(func() { b.err = err; close(b.ended) }) }

// Accept waits for a connection of this protocol.
func (b *branch) Accept() (net.Conn, error) {
	select {
	case c := <-b.conns:
		return c, nil
	case <-b.ended:
		return nil, b.err
	}
}

// Close ends the listener and with it both branches.
func (b *branch) Close() error {
	b.endWith(net.ErrClosed)
	return b.Listener.Close()
}

// HTTP makes the server of OTLP over HTTP, which answers gRPC too. The caller gives it a listener.
func (g *Gateway) HTTP() *http.Server {
	return g.newWeb(g.newRPC())
}

// newWeb makes a server of HTTP. rpc may be nil.
func (g *Gateway) newWeb(rpc *grpc.Server) *http.Server {
	s := g.door.Server(g.makeHandler(rpc))
	s.Protocols.SetUnencryptedHTTP2(rpc != nil)
	return s
}

// Beside serves OTLP in both forms on a port of HTTP, and passes other requests to rest.
func (g *Gateway) Beside(rest http.Handler) http.Handler {
	ours := g.makeHandler(g.newRPC())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isRPC(r) && strings.HasPrefix(r.URL.Path, "/"+collectorPackage) || g.isOurs(r.URL.Path) {
			ours.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

func (g *Gateway) isOurs(path string) bool {
	return path == g.cfg.Protocols.HTTP.TracesPath || path == metricsPath || path == logsPath
}
