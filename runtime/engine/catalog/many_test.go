package catalog

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// largestMeta makes the meta of a block that has as many intervals as a block may have, with a
// meta.json as large as that of such a block.
func largestMeta(n int64) *blocks.BlockMeta {
	const minute, metaBytes = 60e9, 2000
	m := &blocks.BlockMeta{
		Id:                 fmt.Sprintf("d0afd084-0972-578e-8a1d-%012x", n),
		Tenant:             "t",
		Epoch:              "e",
		Parts:              []int32{1},
		From:               n,
		To:                 n + 1,
		MinStartUnixNano:   uint64(n) * minute,
		MaxEndUnixNano:     uint64(n+1) * minute,
		MinArrivalUnixNano: n * minute,
		MaxArrivalUnixNano: (n + 1) * minute,
		Spans:              100_000,
		MetaJson:           bytes.Repeat([]byte{'x'}, metaBytes),
	}
	for i := range uint64(16) {
		start := uint64(n)*minute + 3e9*i
		m.Intervals = append(m.Intervals, &blocks.Interval{StartUnixNano: start, EndUnixNano: start + 1e9})
	}
	return m
}

// A catalog of 20,000 blocks and 70,000 shared traces, with as many commits after its snapshot as
// there are at most.
func BenchmarkManyBlocks(b *testing.B) {
	const many, tail, shared = 20_000, 999, 70_000
	cut := func(n int64) *blocks.Entry {
		list := []*blocks.BlockMeta{largestMeta(n)}
		return &blocks.Entry{CutPublished: &blocks.PublishCut{Epoch: "e", From: n, To: n + 1, Blocks: list}}
	}
	s := New()
	entries := []*blocks.Entry{{Epoch: &blocks.Epoch{Id: "e", Starts: []int64{0}}}}
	for n := range int64(many - tail) {
		entries = append(entries, cut(n))
	}
	entries[1].CutPublished.SharedTraces = []*blocks.SharedTraces{twoHomes(0, shared)}
	require.NoError(b, s.Apply(&blocks.Commit{Seq: 1, Entries: entries}))
	snapshot, err := proto.Marshal(s.Snapshot())
	require.NoError(b, err)
	var commits [][]byte
	for n := range int64(tail) {
		data, err := proto.Marshal(&blocks.Commit{Seq: uint64(n) + 2, Entries: []*blocks.Entry{cut(many - tail + n)}})
		require.NoError(b, err)
		commits = append(commits, data)
	}
	load := func() *State {
		s, err := Load(snapshot, commits)
		require.NoError(b, err)
		return s
	}
	loaded := load()
	require.Equal(b, many, loaded.View().Count())
	b.Run("load", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			load()
		}
		b.ReportMetric(heldBytes(func() any { return load() })/1e6, "held-MB")
		b.ReportMetric(float64(len(snapshot))/1e6, "snapshot-MB")
	})
	b.Run("snapshot", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := proto.MarshalOptions{Deterministic: true}.Marshal(loaded.Snapshot())
			require.NoError(b, err)
		}
	})
	for name, first := range map[string]uint64{"newest": many - 60, "oldest": 0} {
		b.Run("blocks of the "+name+" hour", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if len(loaded.View().Blocks("t", first*60e9+1, (first+60)*60e9)) < 60 {
					b.Fatal("blocks are missing")
				}
			}
		})
	}
	b.Run("publish", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := loaded.With(loaded.View().Version+1, cut(many))
			require.NoError(b, err)
		}
	})
}
