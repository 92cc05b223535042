package jaeger

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"log/slog"

	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/gateway/otlp"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// held is a node whose distributor cannot be found until it is released.
type held struct {
	nobody
	asked   chan struct{}
	release chan struct{}
}

// Find waits.
func (h held) Find(kind, key string) (ask.Ref, error) {
	h.asked <- struct{}{}
	<-h.release
	return h.nobody.Find(kind, key)
}

// udp is a server of packets with a socket, and what it has counted.
type udp struct {
	*UDPServer
	to       *net.UDPConn
	registry *prometheus.Registry
	served   chan error
}

func serveUDP(t *testing.T, cfg UDP, d ask.Directory, multitenancy bool) *udp {
	t.Helper()
	u := &udp{registry: prometheus.NewRegistry(), served: make(chan error, 1)}
	log := slog.New(slog.DiscardHandler)
	g := ingress.New(ingress.Deps{Directory: d, Multitenancy: multitenancy, Logger: log, Metrics: ingress.NewMetrics(u.registry),
		Refusals: refusals.New(u.registry, log)}, otlp.DefaultConfig().Limits())
	u.UDPServer = CompactServer(g, cfg)
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	u.to, err = net.DialUDP("udp", nil, socket.LocalAddr().(*net.UDPAddr))
	require.NoError(t, err)
	go func() { u.served <- u.Serve(socket) }()
	t.Cleanup(func() {
		u.Stop(context.Background())
		require.NoError(t, <-u.served)
		require.Zero(t, u.value(t, "troupe_otlp_buffered_bytes"), "memory is still reserved")
		require.NoError(t, u.to.Close())
	})
	return u
}

// value adds up a metric whose labels hold all of some values.
func (u *udp) value(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	families, err := u.registry.Gather()
	require.NoError(t, err)
	sum := 0.
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	next:
		for _, m := range f.GetMetric() {
			for _, want := range labels {
				found := false
				for _, l := range m.GetLabel() {
					found = found || l.GetValue() == want
				}
				if !found {
					continue next
				}
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

func (u *udp) awaitRefused(t *testing.T, want float64, labels ...string) {
	t.Helper()
	require.Eventually(t, func() bool { return u.value(t, "troupe_distributor_requests_refused_total", labels...) == want }, 10*time.Second,
		time.Millisecond, "%v", labels)
}

func (u *udp) send(t *testing.T, body []byte) {
	t.Helper()
	_, err := u.to.Write(body)
	require.NoError(t, err)
}

func goodPacket(t *testing.T) []byte {
	return forms[2].pack(t, &model.Process{ServiceName: "shop"}, []*model.Span{newSpan(1)})
}

// Packets that find the queue full, are too large or are no batch are counted with the reason;
// those in the queue are taken before the end.
func TestLostPacketsAreCounted(t *testing.T) {
	d := held{asked: make(chan struct{}, 10), release: make(chan struct{})}
	u := serveUDP(t, UDP{QueueSize: 1, MaxPacket: 1000, Workers: 1}, d, false)
	u.send(t, goodPacket(t))
	<-d.asked // the only worker is held
	for range 4 {
		u.send(t, goodPacket(t)) // one waits
	}
	u.awaitRefused(t, 3, "over_capacity")
	u.send(t, make([]byte, 1001))
	u.awaitRefused(t, 1, "message_too_large")
	close(d.release)
	require.Eventually(t, func() bool { return u.value(t, "troupe_otlp_requests_total", "Unavailable") == 2 }, 10*time.Second, time.Millisecond)
	u.send(t, []byte("x"))
	u.awaitRefused(t, 1, "malformed")
	require.EqualValues(t, 4, u.value(t, "troupe_otlp_requests_total", "lost"))
}

// What the kernel drops, because the socket's buffer is full, is counted with the next packet that
// is received.
func TestKernelLossesAreCounted(t *testing.T) {
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer socket.Close()
	lost := countKernelLosses(socket)
	if controlSize == 0 {
		t.Skip("only Linux says how many packets it has dropped")
	}
	require.NoError(t, socket.SetReadBuffer(4096))
	to, err := net.DialUDP("udp", nil, socket.LocalAddr().(*net.UDPAddr))
	require.NoError(t, err)
	defer to.Close()
	const sent = 500
	for range sent {
		_, err := to.Write(make([]byte, 1000))
		require.NoError(t, err)
	}
	received, dropped := 0, int64(0)
	control := make([]byte, controlSize)
	count := func() {
		_, n, _, _, err := socket.ReadMsgUDPAddrPort(make([]byte, 2000), control)
		require.NoError(t, err)
		received++
		dropped += lost(control[:n])
	}
	require.NoError(t, socket.SetReadDeadline(time.Now().Add(10*time.Second)))
	count()
	_, err = to.Write([]byte("last")) // there is room for it, and what was dropped comes with it
	require.NoError(t, err)
	for received+int(dropped) < sent+1 {
		count()
	}
	require.Positive(t, dropped)
	require.Equal(t, sent+1, received+int(dropped))
}

// Packets name no tenant: where tenants are on they are refused, unread.
func TestPacketsWithoutTenant(t *testing.T) {
	u := serveUDP(t, DefaultConfig().Protocols.ThriftCompact, nobody{}, true)
	u.send(t, goodPacket(t))
	u.awaitRefused(t, 1, "no_tenant", "no tenant")
	require.Equal(t, 1, testutil.CollectAndCount(u.registry, "troupe_distributor_requests_refused_total"))
}

// A server that is stopped before it serves closes its socket.
func TestStopBeforeServe(t *testing.T) {
	s := BinaryServer(newGateway(nobody{}, false), DefaultConfig().Protocols.ThriftBinary)
	s.Stop(t.Context())
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	require.NoError(t, s.Serve(socket))
	require.ErrorIs(t, socket.Close(), net.ErrClosed)
}
