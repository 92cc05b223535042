package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
)

// A client that stalls, whatever it speaks, costs a stop a few seconds and not its success: what
// was acknowledged is there afterwards.
func TestStopBesideStalledClients(t *testing.T) {
	n := kit.NewNode(t)
	n.Args = []string{"-set", "shutdown_timeout=12s"}
	n.Start()
	body, ids := request(rand.New(rand.NewPCG(3, 3)), "stalled", 10)
	code, _, err := n.Push(context.Background(), "application/x-protobuf", body)
	require.NoError(t, err)
	require.Equal(t, 200, code)
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	const export = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
	stream := "\x83\x86\x04" + string(rune(len(export))) + export + "\x01\x09localhost\x00\x0ccontent-type\x10application/grpc\x00\x02te\x08trailers"
	for _, c := range []struct{ addr, text string }{
		{n.OTLPGRPC, preface},
		{n.GRPC, preface},
		{n.OTLPGRPC, preface + fmt.Sprintf("\x00\x00%c\x01\x04\x00\x00\x00\x01%s", rune(len(stream)), stream)},
		{n.OTLPHTTP, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000\r\n\r\nabc"},
		{n.OTLPHTTP, preface},
		{n.HTTP, preface},
		{n.HTTP, ""},
	} {
		conn, err := net.Dial("tcp", c.addr)
		require.NoError(t, err)
		defer conn.Close()
		_, err = conn.Write([]byte(c.text))
		require.NoError(t, err)
	}
	time.Sleep(200 * time.Millisecond)
	began := time.Now()
	require.Equal(t, 0, n.Stop(30*time.Second), n.Log())
	require.Less(t, time.Since(began), 12*time.Second)
	n.Start()
	acked := map[string]bool{}
	for _, id := range ids {
		acked[id] = true
	}
	verify(t, n, "stalled", acked, nil)
}
