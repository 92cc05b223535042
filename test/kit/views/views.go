// Package views makes versions of the catalog out of the fields of a script's line, for tests of
// what is planned on them. Traces are named by numbers, times are nanoseconds, and the tenant is t.
package views

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit"
)

// Parse makes a version of the catalog. Its fields:
//
//	covered=100,200        the covered offsets of partitions 0 and 1
//	blocks=a:10-20@0/500   block a of partition 0 holds 500 spans from 10 to 20
//	shared=1:10-20         trace 1, which lasts from 10 to 20, has all of the blocks for homes
//	gap=0:100-150@5-25     records [100, 150) of partition 0 are lost, which arrived from 5 to 25
//	aside=u:100-150@5-25   so many records of partition 0 and tenant u are set aside; - is any tenant
//	version=7
func Parse(t testing.TB, e kit.Event) *catalog.View {
	t.Helper()
	s := catalog.New()
	first := &blocks.Entry{Epoch: &blocks.Epoch{Id: "e"}}
	for _, f := range List(e.Fields["covered"]) {
		first.Epoch.Starts = append(first.Epoch.Starts, int64(number(t, f)))
	}
	add := &blocks.BlocksReplaced{Tenant: "t"}
	for _, f := range List(e.Fields["blocks"]) {
		add.Outputs = append(add.Outputs, block(t, f))
	}
	for _, x := range Extents(t, e.Fields["shared"]) {
		m := &blocks.SharedTrace{Tenant: "t", TraceId: x.ID[:], StartUnixNano: x.Start, EndUnixNano: x.End,
			Disjoint: x.Disjoint}
		for _, b := range add.Outputs {
			m.Homes = append(m.Homes, b.GetId())
		}
		add.Shared = append(add.Shared, m)
	}
	entries := []*blocks.Entry{first, {BlocksReplaced: add}}
	if f := e.Fields["gap"]; f != "" {
		p, r := records(t, f)
		partition := number(t, p)
		first.Epoch.Starts[partition] = r.from
		entries = append(entries, &blocks.Entry{Gap: &blocks.Gap{Epoch: "e", Partition: int32(partition), From: r.from,
			To:                 r.to,
			MinArrivalUnixNano: r.firstArrival, MaxArrivalUnixNano: r.lastArrival}})
	}
	if f := e.Fields["aside"]; f != "" {
		tenant, r := records(t, f)
		first.Epoch.Starts[0] = r.from
		aside := &blocks.SetAside{Epoch: "e", Tenant: strings.Trim(tenant, "-"), From: r.from, To: r.to, Records: 1,
			MinArrivalUnixNano: r.firstArrival, MaxArrivalUnixNano: r.lastArrival, Reason: "it broke the engine"}
		entries = append(entries, &blocks.Entry{CutPublished: &blocks.PublishCut{Epoch: "e", From: r.from, To: r.to,
			SetAside: []*blocks.SetAside{aside}}})
	}
	require.NoError(t, s.Apply(&blocks.Commit{Seq: 1, Entries: entries}))
	for v := e.Int(t, "version"); s.View().Version < uint64(v); {
		require.NoError(t, s.Apply(&blocks.Commit{Seq: s.View().Version + 1}))
	}
	return s.View()
}

// Shared returns traces that have several homes, as a version of the catalog has them.
func Shared(l *catalog.SharedList) *catalog.SharedTraces {
	m := &blocks.Snapshot{}
	if list := l.Message("t"); list != nil {
		m.SharedTraces = append(m.SharedTraces, list)
	}
	s, err := catalog.Restore(m)
	if err != nil {
		panic(err)
	}
	return s.View().Shared("t")
}

// block reads name:start-end@partition/spans. Without a partition it may hold spans of any.
func block(t testing.TB, f string) *blocks.BlockMeta {
	name, rest, _ := strings.Cut(f, ":")
	times, rest, _ := strings.Cut(rest, "@")
	p, spans, _ := strings.Cut(rest, "/")
	start, end := Span(t, times)
	m := &blocks.BlockMeta{Id: name, Tenant: "t", Epoch: "e", Partition: -1, MinStartUnixNano: start,
		MaxEndUnixNano: end, Spans: 500, Bytes: 1000}
	if p != "" {
		m.Partition, m.Parts = int32(number(t, p)), []int32{2}
	}
	if spans != "" {
		m.Spans = int64(number(t, spans))
	}
	return m
}

// someRecords are records of a log, with the times at which they arrived.
type someRecords struct{ from, to, firstArrival, lastArrival int64 }

// records reads name:from-to@first-last.
func records(t testing.TB, f string) (name string, r someRecords) {
	name, rest, _ := strings.Cut(f, ":")
	offsets, arrival, _ := strings.Cut(rest, "@")
	from, to := Span(t, offsets)
	first, last := Span(t, arrival)
	return name, someRecords{from: int64(from), to: int64(to), firstArrival: int64(first), lastArrival: int64(last)}
}

// Extents reads the extents of traces: 1:10-20,2:30-40. A disjoint one is 3:50-60:disjoint.
func Extents(t testing.TB, s string) (out []catalog.Extent) {
	t.Helper()
	for _, f := range List(s) {
		id, times, _ := strings.Cut(f, ":")
		times, word, _ := strings.Cut(times, ":")
		start, end := Span(t, times)
		out = append(out, catalog.Extent{ID: ID(id), Start: start, End: end, Disjoint: word == "disjoint"})
	}
	return out
}

// ID is the id of the trace with a number.
func ID(number string) (id trace.ID) {
	n, _ := strconv.Atoi(number)
	id[15] = byte(n)
	return id
}

// Numbers writes the numbers of traces.
func Numbers(ids []trace.ID) string {
	var out []string
	for _, id := range ids {
		out = append(out, strconv.Itoa(int(id[15])))
	}
	return strings.Join(out, ",")
}

// List reads a list with commas.
func List(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// Span reads start-end.
func Span(t testing.TB, s string) (start, end uint64) {
	t.Helper()
	a, b, _ := strings.Cut(s, "-")
	return number(t, a), number(t, b)
}

func number(t testing.TB, s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	require.NoError(t, err)
	return n
}
