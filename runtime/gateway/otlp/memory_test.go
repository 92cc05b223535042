package otlp

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
)

// small is a gateway with little memory, and its ports.
func small(t *testing.T) (w *world, rpc, web string) {
	w = newWorld(t, func(c *Config, _ *ingress.Deps) {
		c.MaxBufferedBytes, c.Protocols.HTTP.MaxBodySize, c.Protocols.GRPC.MaxRecvMsgSize = 8<<20, 4<<20, 2
		c.MaxWait = 200 * time.Millisecond
	})
	rpc, web = listen(t, w)
	return w, rpc, web
}

func listen(t *testing.T, w *world) (rpc, web string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := w.GRPC()
	go func() { _ = s.Serve(l, nil) }()
	l2, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h := w.HTTP()
	go func() { _ = h.Serve(l2) }()
	t.Cleanup(func() {
		_ = h.Close()
		now, cancel := context.WithCancel(context.Background())
		cancel()
		s.Stop(now)
		require.Eventually(t, func() bool { return w.buffered(t) == 0 }, 5*time.Second, time.Millisecond, "memory still reserved")
	})
	return l.Addr().String(), l2.Addr().String()
}

// The kinds of frames of HTTP/2 that senders use.
const (
	frameData    = 0
	frameHeaders = 1
)

// frame is one of HTTP/2.
func frame(kind, flags byte, stream uint32, body []byte) []byte {
	out := []byte{byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body)), kind, flags}
	return append(binary.BigEndian.AppendUint32(out, stream), body...)
}

// streams opens Export calls on one connection by hand; each announces a message of size bytes and
// sends the first part of it.
func streams(t *testing.T, addr string, count, size, sent int) net.Conn {
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	go func() { _, _ = io.Copy(io.Discard, c) }()
	text := func(b []byte, s string) []byte {
		if len(s) < 127 {
			return append(append(b, byte(len(s))), s...)
		}
		return append(append(b, 0x7f, byte(len(s)-127)), s...)
	}
	head := text([]byte{0x83, 0x86, 0x04}, export)
	head = text(append(head, 0x01), "localhost")
	for _, s := range []string{"content-type", "application/grpc", "te", "trailers"} {
		if s == "content-type" || s == "te" {
			head = append(head, 0)
		}
		head = text(head, s)
	}
	out := append([]byte(ingress.HTTP2Preface), frame(4, 0, 0, nil)...)
	for i := range count {
		id := uint32(2*i + 1)
		out = append(out, frame(frameHeaders, 4, id, head)...)
		if size > 0 {
			out = append(out, frame(frameData, 0, id, binary.BigEndian.AppendUint32([]byte{0}, uint32(size)))...)
		}
	}
	_, err = c.Write(out)
	require.NoError(t, err)
	go func() {
		for part := range sent / (16 << 10) { // windows open as the server reads
			for i := range count {
				if _, err := c.Write(frame(frameData, 0, uint32(2*i+1), make([]byte, 16<<10))); err != nil {
					return
				}
			}
			if part == 2 {
				time.Sleep(50 * time.Millisecond)
			}
		}
	}()
	return c
}

// Requests that send nothing, or a part of what they announce, hold nothing or that part, and
// others are served beside them.
func TestUnfinishedRequestsKeepNobodyOut(t *testing.T) {
	w, rpc, web := small(t)
	pb, _ := request(nil)
	others := func() {
		t.Helper()
		for range 3 {
			r, err := http.Post("http://"+web+"/v1/traces", typeProto, bytes.NewReader(pb))
			require.NoError(t, err)
			b, _ := io.ReadAll(r.Body)
			_ = r.Body.Close()
			require.Equal(t, 200, r.StatusCode, "%s", b)
		}
	}
	streams(t, rpc, 90, 0, 0)
	streams(t, rpc, 90, 2<<20, 0)
	for range 90 {
		c, err := net.Dial("tcp", web)
		require.NoError(t, err)
		defer c.Close()
		_, err = fmt.Fprintf(c, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 4000000\r\n\r\n", typeProto)
		require.NoError(t, err)
	}
	time.Sleep(100 * time.Millisecond)
	others()
	require.Less(t, w.buffered(t), float64(2<<20), "nothing has come")

	streams(t, rpc, 20, 2<<20, 1<<20) // 20 MiB of halves on one connection: it has half of the memory at most
	for range 20 {
		others()
	}
	require.LessOrEqual(t, w.buffered(t), float64(4<<20+4*(64<<10)))
}

// Many bodies that are small when packed stay within the memory together.
func TestManyBombs(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *ingress.Deps) {
		c.MaxBufferedBytes, c.Protocols.HTTP.MaxBodySize, c.Protocols.GRPC.MaxRecvMsgSize, c.MaxWait = 32<<20, 4<<20, 2, 30*time.Second
	})
	_, web := listen(t, w)
	bomb := pack("gzip", make([]byte, 16<<20))
	codes := make(chan int, 20)
	for range cap(codes) {
		go func() {
			r, _ := http.NewRequest(http.MethodPost, "http://"+web+"/v1/traces", bytes.NewReader(bomb))
			r.Header.Set("Content-Type", typeProto)
			r.Header.Set("Content-Encoding", "gzip")
			a, err := http.DefaultClient.Do(r)
			if err != nil {
				codes <- 0
				return
			}
			_ = a.Body.Close()
			codes <- a.StatusCode
		}()
	}
	most := 0.0
	for n := 0; n < cap(codes); {
		select {
		case code := <-codes:
			require.Equal(t, 400, code, "each is unpacked up to the limit, a few at a time")
			n++
		case <-time.After(time.Millisecond):
			most = max(most, w.buffered(t))
		}
	}
	require.LessOrEqual(t, most, float64(32<<20))
}
