package blockbuilder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// workshop is what builds of one partition need, with a log of records of tenant a.
func workshop(t testing.TB, records int) (Deps, *objstore.Memory) {
	log, bucket, ids := kafkalog.NewMemory(1), objstore.NewMemory(), 0
	for i := range records {
		_, err := log.Append(t.Context(), 0, []kafkalog.Record{{
			Tenant: "a",
			Format: kafkalog.FormatOTLP,
			Parts:  1,
			Time:   time.Unix(int64(i), 0),
			Value:  record(i),
		}})
		require.NoError(t, err)
	}
	return Deps{
		Log:     log,
		Bucket:  bucket,
		Clock:   &leap{now: time.Unix(1, 0)},
		Logger:  slog.New(slog.DiscardHandler),
		Metrics: NewMetrics(prometheus.NewRegistry()),
		NewID:   func(string, string, int32, int64, int64, int) string { ids++; return fmt.Sprint("id-", ids) },
	}, bucket
}

// build builds the blocks of a cut.
func build(t *testing.T, d Deps, cut *jobs.CutResult) (*blocks.PublishCut, error) {
	return buildOf(t, d, &buildJob{epoch: "e", cut: cut, view: catalog.New().View()})
}

// buildOf returns what a build would publish.
func buildOf(t *testing.T, d Deps, j *buildJob) (*blocks.PublishCut, error) {
	built, err := buildCut(t.Context(), d, DefaultConfig(), j)
	if err != nil {
		return nil, err
	}
	return built.publish, nil
}

// tableOf returns the span of a record as a table.
func tableOf(t *testing.T, offset int64, value []byte) column.Table {
	seg := live.New(live.Limits{})
	_, err := seg.Append(offset, 1, value)
	require.NoError(t, err)
	seg.Seal()
	return seg.Snapshot(0, offset+1)
}

func record(i int) []byte {
	return otlp.Encode(&otlp.Span{Trace: otlp.TraceID(1), ID: otlp.SpanID(uint64(i) + 1)})
}

func fingerprintOf(t *testing.T, d Deps, offset int64) *blocks.Fingerprint {
	f, err := d.Log.Fingerprint(t.Context(), 0, offset)
	require.NoError(t, err)
	return &blocks.Fingerprint{Crc: f.CRC, LeaderEpoch: f.LeaderEpoch}
}

// kept reads all objects of set-aside records.
func kept(t *testing.T, b *objstore.Memory) (out []asideRecord) {
	require.NoError(t, b.List(t.Context(), "set-aside/", func(o objstore.Info) error {
		raw, err := b.Read(t.Context(), o.Name, 1<<30)
		for line := range bytes.Lines(raw) {
			var r asideRecord
			require.NoError(t, json.Unmarshal(line, &r))
			out = append(out, r)
		}
		return err
	}))
	return out
}

// When a cut is published, the records that it does not hold are in the bucket, byte for byte. The
// cut tells how many of them belong to which tenant. Building it again does not store them twice.
func TestAsideRecordsAreKept(t *testing.T) {
	d, bucket := workshop(t, 9)
	cut := &jobs.CutResult{From: 2, To: 8, Records: 6, Last: fingerprintOf(t, d, 7), Aside: []jobs.AsideRecord{
		{Offset: 3, Tenant: "a", Arrival: 3e9, Reason: "broken"},
		{Offset: 4, Reason: "of another program", Foreign: true},
		{Offset: 7, Tenant: "a", Arrival: 7e9, Reason: "broken too"},
	}}
	for range 2 {
		j := &buildJob{epoch: "e/1", cut: cut, view: catalog.New().View()}
		m, err := buildOf(t, d, j)
		require.NoError(t, err)
		require.Empty(t, m.GetBlocks())
		require.Len(t, m.GetSetAside(), 1, "what another program has written is kept and not named")
		a := m.GetSetAside()[0]
		require.Equal(t, "a", a.GetTenant())
		require.Equal(t, "broken", a.GetReason())
		require.Equal(t, []int64{3, 8, 2}, []int64{a.GetFrom(), a.GetTo(), a.GetRecords()})
		require.Equal(t, []int64{3e9, 7e9}, []int64{a.GetMinArrivalUnixNano(), a.GetMaxArrivalUnixNano()})
		got := kept(t, bucket)
		require.Len(t, got, 3)
		for i, offset := range []int64{3, 4, 7} {
			require.Equal(t, offset, got[i].Offset)
			require.Equal(t, record(int(offset)), got[i].Value)
			require.Equal(t, "e/1", got[i].Epoch)
		}
	}
	cut.Aside = append(cut.Aside, jobs.AsideRecord{Offset: 9})
	cut.To = 10
	_, err := build(t, d, cut)
	require.Error(t, err, "a cut over records that are not kept is not published")
}

// A record of which no block can be built goes into the bucket instead, with all other records of
// the cut, and no block is made.
func TestCutIsSetAside(t *testing.T) {
	d, bucket := workshop(t, 3)
	tables := map[string][]column.Table{"a": {tableOf(t, 1, record(1))}}
	cut := &jobs.CutResult{From: 1, To: 2, Records: 1, Last: fingerprintOf(t, d, 1), Tables: tables}
	j := &buildJob{epoch: "e", cut: cut, view: catalog.New().View(), aside: "no block could be built"}
	m, err := buildOf(t, d, j)
	require.NoError(t, err)
	require.Empty(t, m.GetBlocks())
	require.Len(t, m.GetSetAside(), 1)
	require.EqualValues(t, 1, m.GetSetAside()[0].GetRecords())
	got := kept(t, bucket)
	require.Len(t, got, 1)
	require.Equal(t, record(1), got[0].Value)
	require.Equal(t, "no block could be built", got[0].Reason)
}

// If the live-store does not know the fingerprint of a cut's last record, it is read from the log,
// unless the log has another history by then.
func TestFingerprintOfPart(t *testing.T) {
	d, _ := workshop(t, 6)
	cut := &jobs.CutResult{From: 0, To: 3, Records: 3, Later: 5, LaterPrint: fingerprintOf(t, d, 5)}
	m, err := build(t, d, cut)
	require.NoError(t, err)
	require.Equal(t, fingerprintOf(t, d, 2).GetCrc(), m.GetFingerprint().GetCrc())
	cut.LaterPrint = &blocks.Fingerprint{Crc: cut.LaterPrint.GetCrc() + 1}
	_, err = build(t, d, cut)
	require.ErrorContains(t, err, "not the one that was read")
}

// broken is a table that breaks whoever reads it, or takes long.
type broken struct {
	column.Table
	f func()
}

func (b broken) Vector(ctx context.Context, k column.Key, page int, v *column.Vector) (bool, error) {
	b.f()
	return b.Table.Vector(ctx, k, page, v)
}

// A build that breaks or takes long because of its input is reported so. One that waits for the
// bucket, or that the bucket refuses, is not.
func TestCauseOfFailure(t *testing.T) {
	for name, c := range map[string]struct {
		table  func(d Deps)
		bucket func(d Deps) error
		input  bool
		slow   bool
	}{
		"the engine breaks":  {table: func(Deps) { panic("no such column") }, input: true},
		"the input is slow":  {table: func(d Deps) { d.Clock.(*leap).add(time.Minute) }, input: true, slow: true},
		"the bucket is slow": {bucket: func(d Deps) error { d.Clock.(*leap).add(time.Hour); return nil }, slow: true},
		"the bucket is full": {bucket: func(Deps) error { return errors.New("no space left") }},
		"nothing fails":      {},
	} {
		t.Run(name, func(t *testing.T) {
			d, bucket := workshop(t, 1)
			d.Bucket = objstore.NewFaulty(bucket, func(objstore.Call) objstore.Fault {
				return objstore.Fault{Hold: func(context.Context) error {
					if c.bucket == nil {
						return nil
					}
					return c.bucket(d)
				}}
			})
			table := broken{tableOf(t, 0, record(0)), func() {
				if c.table != nil {
					c.table(d)
				}
			}}
			tables := map[string][]column.Table{"a": {table}}
			cut := &jobs.CutResult{To: 1, Records: 1, Last: fingerprintOf(t, d, 0), Parts: []int32{1}, Tables: tables}
			_, err := build(t, d, cut)
			require.Equal(t, c.input, errors.Is(err, errInput), "%v", err)
			require.Equal(t, c.slow, errors.Is(err, errSlow), "%v", err)
			require.Equal(t, c.input || c.slow || strings.Contains(name, "full"), err != nil)
		})
	}
}

// Blocks of many small tenants are written at the same time. None is left out, and the cut names
// them in order.
func TestManySmallTenants(t *testing.T) {
	for _, writers := range []int{0, 1, 8} {
		d, _ := workshop(t, 1)
		d.Writers = writers
		tables := map[string][]column.Table{}
		for i := range 50 {
			tables[fmt.Sprintf("t%02d", i)] = []column.Table{tableOf(t, 0, record(i))}
		}
		if writers > 1 {
			d.NewID = func(tenant, _ string, _ int32, _, _ int64, _ int) string { return "of-" + tenant }
		}
		cut := &jobs.CutResult{To: 1, Records: 1, Last: fingerprintOf(t, d, 0), Parts: []int32{1}, Tables: tables}
		m, err := build(t, d, cut)
		require.NoError(t, err)
		require.Len(t, m.GetBlocks(), 50)
		for i, b := range m.GetBlocks() {
			require.Equal(t, fmt.Sprintf("t%02d", i), b.GetTenant())
			require.EqualValues(t, 1, b.GetSpans())
		}
	}
}
