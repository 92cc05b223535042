package ingress

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

func limits() Limits {
	return Limits{
		BufferedBytes:  128 << 20,
		LargestRequest: 20 << 20,
		MaxWait:        time.Second,
		ReceiveTimeout: 30 * time.Second,
		RetryAfter:     5 * time.Second,
	}
}

// reserve holds n bytes for a request.
func reserve(d *Door, ctx context.Context, n int64) (*Hold, error) {
	h := d.NewHold()
	return h, h.Grow(ctx, n)
}

// What has stalled gives way to others, and only that: not what still comes, nor what waits for
// memory itself.
func TestStalledGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := limits()
		cfg.BufferedBytes = 4 * stepBytes
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
		cfg := limits()
		cfg.BufferedBytes = 2 * stepBytes
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

// The buffers that a body is read into hold little more than has come.
func TestReadBody(t *testing.T) {
	cfg := limits()
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
	headers := append([]byte{0, 0, 30, frameHeaders, 4, 0, 0, 0, 1}, make([]byte, 30)...)
	data := append([]byte{0, 0, 100, frameData, flagEndStream, 0, 0, 0, 1}, make([]byte, 100)...)
	f.Add(append(headers, data...), uint8(7))
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

// When requests hold all the memory there is, the next one waits, and is refused with a time to
// come back if nothing is freed.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := limits()
		cfg.BufferedBytes = 100
		d := New(Deps{Metrics: NewMetrics(prometheus.NewRegistry())}, cfg)
		a, err := reserve(d, t.Context(), 60)
		require.NoError(t, err)
		began := time.Now()
		_, err = reserve(d, t.Context(), 60)
		require.Equal(t, status.Limited, status.Of(err).Class)
		require.Equal(t, cfg.RetryAfter, status.Of(err).RetryAfter)
		require.Equal(t, cfg.MaxWait, time.Since(began))
		var freed sync.WaitGroup
		freed.Go(func() {
			time.Sleep(cfg.MaxWait / 2) // of the bubble's clock
			a.ShrinkTo(10)
		})
		b, err := reserve(d, t.Context(), 60)
		require.NoError(t, err)
		freed.Wait()
		b.ShrinkTo(0)
		a.ShrinkTo(0)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		c, err := reserve(d, t.Context(), 100)
		require.NoError(t, err)
		_, err = reserve(d, gone, 1)
		require.Equal(t, status.Canceled, status.Of(err).Class)
		c.ShrinkTo(0)
	})
}
