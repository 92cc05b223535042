package livestore

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// spanOf encodes a span with so many attributes of its own.
func spanOf(n, keys int) []byte {
	id := uint64(n)
	s := &otlp.Span{Trace: otlp.TraceID(id), ID: otlp.SpanID(id + 1), Name: "op", Start: 1e18, End: 1e18 + 1}
	for i := range keys {
		s.Attrs = append(s.Attrs, otlp.Attr{Key: fmt.Sprintf("k%05d", i), Value: true})
	}
	return otlp.Encode(s)
}

// appendOne has the state read a batch of one record.
func appendOne(s *state, now time.Time, tenant string, value []byte) {
	r := kafkalog.Record{Offset: s.next, Tenant: tenant, Format: kafkalog.FormatOTLP, Parts: 1, Value: value}
	b := kafkalog.Batch{Records: []kafkalog.Record{r}, Next: s.next + 1, End: s.next + 1}
	s.appendBatch(now, batchRead{batch: b})
}

// The memory that is counted is what the segments report, whatever messages come in whatever order,
// and the memory that can be cut is never more.
func TestMemoryIsCounted(t *testing.T) {
	cfg := DefaultConfig()
	cfg.SegmentSpans = 5
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 3))
		s, now := newState(0, cfg, nil), time.Unix(0, 0)
		s.startReplay(logBounds{began: now, covered: &jobs.CoveredResult{Epoch: "e"}})
		version := uint64(0)
		for range 200 {
			now = now.Add(time.Second)
			switch r.IntN(9) {
			case 8:
				s.keeping.noteAsked(now, s.floor+r.Int64N(s.next-s.floor+1))
			case 0:
				m := &jobs.CutJob{Epoch: "e", From: s.covered, Bytes: 1, Force: true, Most: int64(r.IntN(4))}
				s.takeCut(now, m, false)
			case 1:
				if s.lastCut.to > s.covered {
					version++
					covered := map[int32]int64{0: s.lastCut.to}
					m := &jobs.CoverageChanged{Epoch: "e", Version: version, Covered: covered}
					s.onCoverage(now, m, r.IntN(2) == 0)
				}
			case 2:
				s.dropCovered(now, r.IntN(3) == 0)
			default:
				appendOne(s, now, fmt.Sprint("t", r.IntN(4)), spanOf(int(s.next), r.IntN(100)))
			}
			var held, free int64
			for _, tenant := range s.tenants {
				for _, g := range tenant.segments {
					held += g.Bytes()
					if g.Next() > max(s.covered, s.lastCut.to) {
						free += g.Bytes()
					}
				}
			}
			require.Equal(t, []int64{held, free}, []int64{s.usage.segments, s.usage.free}, "seed %d", seed)
		}
	}
}

// The memory that is counted and the growth of the heap differ by less than a factor of two, for
// many tenants, many keys, and many small spans alike.
func TestMemoryIsTrue(t *testing.T) {
	if testing.Short() {
		t.Skip("left out of a short run")
	}
	for name, c := range map[string]struct{ tenants, spans, keys int }{
		"tenants":         {1000, 1, 0},
		"tenants of keys": {100, 1, 4000},
		"spans":           {1, 40_000, 0},
		"spans of keys":   {1, 500, 500},
	} {
		s, now := newState(0, DefaultConfig(), nil), time.Unix(0, 0)
		s.startReplay(logBounds{began: now, covered: &jobs.CoveredResult{Epoch: "e"}})
		before := heapBytes()
		for i := range c.tenants * c.spans {
			appendOne(s, now, fmt.Sprint("t", i%c.tenants), spanOf(i, c.keys))
		}
		s.takeCut(now, &jobs.CutJob{Epoch: "e", Bytes: 1, Force: true}, false)
		s.recountMemory()
		free, pending := s.memoryUse()
		said, real := free+pending, heapBytes()-before
		runtime.KeepAlive(s)
		require.Less(t, real, 2*said, "%s: %d bytes are counted", name, said)
		require.Less(t, said, 2*real, "%s: %d bytes are held", name, real)
	}
}

// heapBytes returns how many bytes of the heap are in use.
func heapBytes() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// The same holds of the index of homes, whether or not the ids of spans are kept, and it is given
// back with the segments.
func TestIndexMemoryIsTrue(t *testing.T) {
	if testing.Short() {
		t.Skip("left out of a short run")
	}
	for _, gap := range []uint64{70e9, 0} {
		w := newHomesWorld(t, 10_000)
		sendTwice(w, 20_000, gap, func() {})
		before := heapBytes()
		w.ask(&jobs.HomesJob{Snapshot: jobs.Snapshot{Epoch: "e", Version: 1}, Tenant: "a"})
		x := w.s.tenants["a"].homes
		said, real := x.bytes(), heapBytes()-before
		runtime.KeepAlive(w)
		require.Less(t, real, 2*said, "gap %d: %d bytes are counted", gap, said)
		require.Less(t, said, 2*real, "gap %d: %d bytes are held", gap, real)
		x.dropSegments(w.s.tenants["a"].made, w.s.next)
		require.Less(t, x.bytes(), said/10, "gap %d", gap)
	}
}

// The index keeps track only of blocks that queries still name, not of all blocks there ever were.
func TestHomeIndexForgetsBlocks(t *testing.T) {
	h := newHomeIndex()
	for cut := range 500 {
		h.addTrace(cut, 0, otlp.TraceID(uint64(cut)))
		var named []*blocks.BlockMeta
		for b := max(0, cut-20); b <= cut; b++ {
			named = append(named, &blocks.BlockMeta{Id: fmt.Sprint("block-", b)})
		}
		for _, b := range h.pendingSearches(named, cut) {
			h.noteFound(cut, b, nil, 0)
		}
		require.Empty(t, h.pendingSearches(named, cut), "what was looked at is known")
		h.dropSegments(cut, 0)
		require.LessOrEqual(t, len(h.searched), 21+dropsToForget+1)
	}
}
