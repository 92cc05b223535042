package otlp

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// What has stalled gives way to others, and only that: not what still comes, nor what waits for
// memory itself.
func TestStalledGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.MaxBufferedBytes = 4 * stepBytes
		m := newMemory(cfg, NewMetrics(prometheus.NewRegistry()).buffered)
		ended := map[string]bool{}
		begin := func(name string) *arrival {
			var a *arrival
			a = m.newShare().beginArrival(func() { ended[name] = true; go a.endArrival() })
			require.NoError(t, a.growBy(t.Context(), stepBytes))
			return a
		}
		begin("stalled")
		alive := begin("alive")
		trickles := begin("trickles")
		begin("stalled later")
		for range 6 {
			time.Sleep(time.Second) // of the bubble's clock
			alive.noteProgress(leastProgress)
			trickles.noteProgress(leastProgress / 10)
		}
		late := m.newShare().beginArrival(func() { t.Error("who waits has not stalled") })
		require.NoError(t, late.growBy(t.Context(), stepBytes))
		require.Len(t, ended, 1, "one step was needed and one is freed: %v", ended)
		require.NoError(t, late.growBy(t.Context(), stepBytes))
		require.NoError(t, late.growBy(t.Context(), stepBytes))
		require.Equal(t, map[string]bool{"stalled": true, "stalled later": true, "trickles": true}, ended)
		_, held := alive.stalledSince(time.Now())
		require.Zero(t, held)
		began := time.Now()
		require.Equal(t, status.Limited, status.Of(late.growBy(t.Context(), stepBytes)).Class, "of one connection")
		require.Equal(t, cfg.MaxWait, time.Since(began))
		late.endArrival()
		alive.endArrival()
		synctest.Wait()
		require.Zero(t, testutil.ToFloat64(m.gauge))
	})
}

// What has ended holds nothing and is not ended again: not by memory that comes to it late, nor by
// others who chose it to give way before.
func TestEndedArrivals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.MaxBufferedBytes = 2 * stepBytes
		m := newMemory(cfg, NewMetrics(prometheus.NewRegistry()).buffered)
		require.NoError(t, m.acquireBytes(t.Context(), 2*stepBytes))
		a := m.newShare().beginArrival(func() { t.Error("gave way after its end") })
		got := make(chan error)
		go func() { got <- a.growBy(t.Context(), stepBytes) }()
		synctest.Wait() // it waits for memory
		a.endArrival()
		m.releaseBytes(2 * stepBytes)
		require.Equal(t, status.Canceled, status.Of(<-got).Class)
		require.Zero(t, testutil.ToFloat64(m.gauge))
		require.True(t, a.share.TryAcquire(m.size/2+stepBytes), "the connection's share is whole again")
		a.endStalled()
	})
}

// small is a gateway with little memory, and its ports.
func small(t *testing.T) (w *world, rpc, web string) {
	w = newWorld(t, func(c *Config, _ *Deps) {
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
		require.Eventually(t, func() bool { return testutil.ToFloat64(w.deps.Metrics.buffered) == 0 }, 5*time.Second, time.Millisecond, "memory still reserved")
	})
	return l.Addr().String(), l2.Addr().String()
}

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
	out := append([]byte(HTTP2Preface), frame(4, 0, 0, nil)...)
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
	require.Less(t, testutil.ToFloat64(w.deps.Metrics.buffered), float64(2<<20), "nothing has come")

	streams(t, rpc, 20, 2<<20, 1<<20) // 20 MiB of halves on one connection: it has half of the memory at most
	for range 20 {
		others()
	}
	require.LessOrEqual(t, testutil.ToFloat64(w.deps.Metrics.buffered), float64(4<<20+4*stepBytes))
}

// The buffers that a body is read into hold little more than has come.
func TestReadBody(t *testing.T) {
	cfg := DefaultConfig()
	m := newMemory(cfg, NewMetrics(prometheus.NewRegistry()).buffered)
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 5<<20)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	l := SizeLimit{5 << 20, "some.key"}
	for _, size := range []int{0, 1, 511, 512, 513, stepBytes - 1, stepBytes, stepBytes + 1, 300_000, 1 << 20, 3<<20 + 7, 5 << 20} {
		for _, known := range []bool{true, false} {
			length := int64(-1)
			if known {
				length = int64(size)
			}
			a := m.newShare().beginArrival(nil)
			got, err := readBody(t.Context(), &pieces{noise[:size], a, t}, a, length, l)
			require.NoError(t, err, size)
			require.True(t, bytes.Equal(noise[:size], got), size)
			// the first bytes are looked at before anything is reserved
			require.LessOrEqual(t, int64(cap(got)), max(a.held, 512))
			if known && size > 0 {
				require.Equal(t, size, cap(got))
				_, err = readBody(t.Context(), bytes.NewReader(noise[:size-1]), a, length, l)
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			}
			a.endArrival()
		}
	}
	a := m.newShare().beginArrival(nil)
	_, err := readBody(t.Context(), bytes.NewReader(append(noise, 1)), a, -1, l)
	require.ErrorIs(t, err, errTooLarge)
	require.ErrorContains(t, err, "some.key")
	a.endArrival()
	require.Zero(t, testutil.ToFloat64(m.gauge))
}

// pieces gives bytes in pieces, and looks at what is reserved meanwhile.
type pieces struct {
	left []byte
	a    *arrival
	t    *testing.T
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), 9973)], p.left)
	p.left = p.left[n:]
	return n, nil
}

// Heads of frames are found wherever the bytes are cut.
func FuzzFrames(f *testing.F) {
	f.Add(append(frame(1, 4, 1, make([]byte, 30)), frame(0, 1, 1, make([]byte, 100))...), uint8(7))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		type head struct {
			kind, flags byte
			stream      uint32
			length      int
		}
		var whole, cut []head
		a, c := frames{skip: 3}, frames{skip: 3}
		a.scanHeads(b, func(k, fl byte, s uint32, l int) { whole = append(whole, head{k, fl, s, l}) })
		for n := int(step)%20 + 1; len(b) > 0; b = b[min(n, len(b)):] {
			c.scanHeads(b[:min(n, len(b))], func(k, fl byte, s uint32, l int) { cut = append(cut, head{k, fl, s, l}) })
		}
		require.Equal(t, whole, cut)
	})
}

// Many bodies that are small when packed stay within the memory together.
func TestManyBombs(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *Deps) {
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
			most = max(most, testutil.ToFloat64(w.deps.Metrics.buffered))
		}
	}
	require.LessOrEqual(t, most, float64(32<<20))
}
