package delivery

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// The tests run on the clock of a bubble, over connections that hold nothing: what is not read is
// not written.
const (
	stall = 10 * time.Second
	large = 16 << 20 // more than a client of HTTP/2 lets come unread
	small = 128 << 10
)

func metrics() *Metrics { return NewMetrics(prometheus.NewRegistry(), func() int64 { return 0 }) }

// pipes is a listener whose connections are pipes.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	here, there := net.Pipe()
	p.conns <- there
	return here
}

// serve serves h in the bubble; stop ends the server.
func serve(l Limits, m *Metrics, h http.HandlerFunc) (p *pipes, stop func()) {
	s := &http.Server{Handler: Handler(h, l, m), Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	p = newPipes()
	go func() { _ = s.Serve(p) }()
	return p, func() { _ = s.Close() }
}

// client speaks with a server by HTTP/1 or HTTP/2.
func client(p *pipes, h2 bool) (*http.Client, func()) {
	t := &http.Transport{Protocols: new(http.Protocols), DialContext: func(context.Context, string, string) (net.Conn, error) { return p.dial(), nil }}
	t.Protocols.SetHTTP1(!h2)
	t.Protocols.SetUnencryptedHTTP2(h2)
	return &http.Client{Transport: t}, t.CloseIdleConnections
}

// A client that does not read has its answer given up, however the handler writes it, over HTTP/1
// and HTTP/2; the handler goes on and is told.
func TestClientsThatDoNotRead(t *testing.T) {
	for name, write := range map[string]func(http.ResponseWriter) error{
		"at once": func(w http.ResponseWriter) error { _, err := w.Write(make([]byte, large)); return err },
		"with a length": func(w http.ResponseWriter) error {
			w.Header().Set("Content-Length", fmt.Sprint(large))
			_, err := w.Write(make([]byte, large))
			return err
		},
		"as a stream": func(w http.ResponseWriter) (err error) {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
			for sent := 0; sent < large && err == nil; sent += 1 << 20 {
				if _, err = w.Write(make([]byte, 1<<20)); err == nil {
					err = http.NewResponseController(w).Flush()
				}
			}
			return err
		},
	} {
		for _, h2 := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				began, ended := time.Now(), make(chan error, 1)
				m := metrics()
				p, stop := serve(Limits{Stall: stall, Whole: time.Minute}, m, func(w http.ResponseWriter, _ *http.Request) { ended <- write(w) })
				defer stop()
				c, idle := client(p, h2)
				defer idle()
				resp, err := c.Get("http://x/")
				require.NoError(t, err)
				defer resp.Body.Close() // which is not read
				require.Error(t, <-ended, name)
				require.LessOrEqual(t, time.Since(began), stall+time.Second, name)
				require.EqualValues(t, 1, testutil.ToFloat64(m.abandoned.WithLabelValues("http")), name)
			})
		}
	}
}

// A client that reads slowly but steadily gets all of its answer, and one whose answer took long to
// find gets it too: the time begins with the writing. The deadline of one answer is not that of the
// next on the same connection.
func TestSlowAnswersAreDelivered(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := metrics()
			p, stop := serve(Limits{Stall: stall, Whole: time.Minute}, m, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/late" {
					time.Sleep(time.Hour)
				}
				_, _ = w.Write(make([]byte, small))
			})
			defer stop()
			c, idle := client(p, h2)
			defer idle()
			for _, path := range []string{"/", "/late", "/"} {
				resp, err := c.Get("http://x" + path)
				require.NoError(t, err)
				n, err := io.Copy(io.Discard, &steady{resp.Body, 64 << 10})
				require.NoError(t, err)
				require.EqualValues(t, small, n)
				require.NoError(t, resp.Body.Close())
				time.Sleep(2 * time.Minute)
			}
			require.Zero(t, testutil.ToFloat64(m.abandoned.WithLabelValues("http")))
		})
	}
}

// steady reads so many bytes a second.
type steady struct {
	io.Reader
	pace int
}

func (s *steady) Read(b []byte) (int, error) {
	time.Sleep(time.Second)
	return s.Reader.Read(b[:min(len(b), s.pace)])
}

// A client that takes a little now and then is held by the bound on the whole, and of a stream by
// that on each part.
func TestTrickleReaders(t *testing.T) {
	for _, flush := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			began, ended := time.Now(), make(chan error, 1)
			p, stop := serve(Limits{Stall: stall, Whole: time.Minute}, nil, func(w http.ResponseWriter, _ *http.Request) {
				_, err := w.Write(make([]byte, 8*small))
				if err == nil && flush {
					err = http.NewResponseController(w).Flush()
				}
				ended <- err
			})
			defer stop()
			c, idle := client(p, false)
			defer idle()
			resp, err := c.Get("http://x/")
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, &steady{resp.Body, 8 << 10})
			require.Error(t, err, "the client learns that it has not all")
			require.Error(t, <-ended)
			require.NoError(t, resp.Body.Close())
			require.Less(t, time.Since(began), 2*time.Minute)
		})
	}
}

// What is not written yet counts, and what would be too much is refused; an answer that is alone
// never is.
func TestBudget(t *testing.T) {
	b := &Budget{Max: 100, Metrics: metrics()}
	require.NoError(t, b.Reserve(1000))
	b.Release(1000)
	require.NoError(t, b.Reserve(60))
	require.NoError(t, b.Reserve(40))
	err := b.Reserve(1)
	require.ErrorIs(t, err, ErrFull)
	require.Equal(t, status.Limited, status.Of(err).Class)
	require.EqualValues(t, 100, b.Bytes())
	b.Release(40)
	require.NoError(t, b.Reserve(1))
	require.EqualValues(t, 1, testutil.ToFloat64(b.Metrics.refused))
	var none *Budget
	require.NoError(t, none.Reserve(1<<40))
	none.Release(1 << 40)
	require.Zero(t, none.Bytes())
}

type endless struct {
	healthpb.UnimplementedHealthServer
	ended chan error
}

// Watch sends until it is stopped; the name of the service makes its messages small.
func (e *endless) Watch(_ *healthpb.HealthCheckRequest, s grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	for {
		m := &healthpb.HealthCheckResponse{}
		// field 15, 1 MiB
		m.ProtoReflect().SetUnknown(append([]byte{0x7a, 0x80, 0x80, 0x40}, strings.Repeat("x", 1<<20)...))
		if err := s.Send(m); err != nil {
			e.ended <- err
			return err
		}
	}
}

// A gRPC client that does not read its stream is given up within the stall, with its connection and
// all that was kept for it; one that reads is not.
func TestStreamsThatAreNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, limits := metrics(), Limits{Stall: stall}
		p := newPipes()
		e := &endless{ended: make(chan error, 2)}
		s := grpc.NewServer(grpc.ChainStreamInterceptor(StreamInterceptor(limits, m)))
		healthpb.RegisterHealthServer(s, e)
		go func() { _ = s.Serve(Listen(p, limits)) }()
		defer s.Stop()
		watch := func() (grpc.ServerStreamingClient[healthpb.HealthCheckResponse], func()) {
			c, err := grpc.NewClient("passthrough:x", grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return p.dial(), nil }))
			require.NoError(t, err)
			w, err := healthpb.NewHealthClient(c).Watch(context.Background(), &healthpb.HealthCheckRequest{})
			require.NoError(t, err)
			return w, func() { _ = c.Close() }
		}
		reader, stop := watch()
		for range 10 { // slowly, but steadily
			_, err := reader.Recv()
			require.NoError(t, err)
			time.Sleep(stall / 10)
		}
		stop()
		require.Error(t, <-e.ended)
		require.Zero(t, testutil.ToFloat64(m.abandoned.WithLabelValues("grpc")))

		idle, stop := watch()
		defer stop()
		require.ErrorContains(t, <-e.ended, "nothing of the answer was read for")
		require.EqualValues(t, 1, testutil.ToFloat64(m.abandoned.WithLabelValues("grpc")))
		var err error
		for err == nil {
			_, err = idle.Recv()
		}
		require.NotErrorIs(t, err, io.EOF, "the client learns that it has not all")
	})
}
