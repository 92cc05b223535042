package kafkalog

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// BenchmarkAppend appends 200 KB records, each acknowledged, and trims behind itself. p50 and p99
// are of one acknowledgement.
func BenchmarkAppend(b *testing.B) {
	value := noise(200_000)
	for _, c := range []struct {
		name    string
		callers int
		noSync  bool
	}{{"callers=1", 1, false}, {"callers=8", 8, false}, {"callers=8,nosync", 8, true}} {
		b.Run(c.name, func(b *testing.B) {
			l := open(b, b.TempDir(), EmbeddedConfig{NoSync: c.noSync})
			ctx := context.Background()
			b.SetBytes(int64(len(value)))
			b.ReportAllocs()
			var mu sync.Mutex
			var took []time.Duration
			var wg sync.WaitGroup
			b.ResetTimer()
			for i := range c.callers {
				wg.Go(func() {
					for range b.N/c.callers + 1 {
						start := time.Now()
						n, err := l.Append(ctx, int32(i%4), []Record{{Tenant: "a", Format: FormatOTLP, Parts: 4, Value: value}})
						if err == nil && n%500 == 0 {
							err = l.Trim(ctx, int32(i%4), n)
						}
						if err != nil {
							b.Error(err)
							return
						}
						d := time.Since(start)
						mu.Lock()
						took = append(took, d)
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// BenchmarkReopen opens a log of 512 MB after a kill, every byte checked. Heap is what opening
// allocated.
func BenchmarkReopen(b *testing.B) {
	value := noise(200_000)
	dir := b.TempDir()
	l := open(b, dir, EmbeddedConfig{NoSync: true})
	for i := range 2560 {
		_, err := l.Append(context.Background(), int32(i%4), []Record{{Tenant: "a", Format: FormatOTLP, Parts: 4, Value: value}})
		require.NoError(b, err)
	}
	b.SetBytes(l.Size())
	abandon(l)
	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	for b.Loop() {
		l := open(b, dir, EmbeddedConfig{})
		abandon(l)
	}
	runtime.ReadMemStats(&m1)
	b.ReportMetric(float64(m1.TotalAlloc-m0.TotalAlloc)/float64(b.N)/1e6, "alloc-MB/op")
}

// BenchmarkRead reads 200 KB records, from memory and from disk.
func BenchmarkRead(b *testing.B) {
	value := noise(200_000)
	for name, tail := range map[string]int64{"memory": 0, "disk": -1} {
		b.Run(name, func(b *testing.B) {
			l := open(b, b.TempDir(), EmbeddedConfig{NoSync: true, TailBytes: tail, Partitions: 1})
			for range 200 {
				_, err := l.Append(context.Background(), 0, []Record{{Tenant: "a", Format: FormatOTLP, Parts: 4, Value: value}})
				require.NoError(b, err)
			}
			b.SetBytes(200 * int64(len(value)))
			for b.Loop() {
				require.Len(b, readAll(b, l, 0, 0, 1<<20), 200)
			}
		})
	}
}
