package livestore

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	answers "github.com/troupe-tracing/troupe/runtime/engine/answer"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// C1: One live-store of a partition says which traces are shared, and another one, whose segments
// were cut elsewhere, scans. It leaves out and names what its own segments share, or repeat, so
// each span counts once: in the scan, or in a candidate that is put together.
func TestC1ScanByAnotherReplica(t *testing.T) {
	lacking := 0
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		one, other := newHomesWorld(t, 5+r.IntN(20)), newHomesWorld(t, 5+r.IntN(20))
		different := map[string]bool{}
		var sent []*otlp.Span
		send := func() {
			s := &otlp.Span{Trace: otlp.TraceID(1 + uint64(r.IntN(20))), ID: otlp.SpanID(uint64(len(sent) + 1)),
				Name: "x", Start: 1e18 + uint64(r.IntN(1e6))}
			if len(sent) > 0 && r.IntN(6) == 0 {
				s = sent[max(0, len(sent)-1-r.IntN(30))]
			}
			s.End = s.Start + 10
			sent = append(sent, s)
			one.appendSpans(s)
			other.appendSpans(s)
		}
		for range 40 + r.IntN(60) {
			send()
		}
		for _, query := range []string{"{ } | count_over_time()", "{ span:childCount >= 0 } | count_over_time()"} {
			q, err := traceql.Parse(query)
			require.NoError(t, err)
			second := int64(time.Second)
			scan := jobs.Scan{Metrics: &eval.MetricsRequest{Query: q, Start: 1e18 - second, End: 1e18 + second, Step: 2 * second}}
			snapshot := jobs.Snapshot{Epoch: "e", Version: 1}
			homes := one.ask(&jobs.HomesJob{Snapshot: snapshot, Tenant: "a", Repeating: scan.IsSpanwise()}).(*jobs.HomesResult)
			clear(different)
			for _, s := range sent {
				different[s.Trace.String()+s.ID.String()] = true
			}
			send() // it comes behind the end of the query
			shared := jobs.NewShared(jobs.SharedOptions{Tenant: "a", Partitions: 1, Spanwise: scan.IsSpanwise()}, nil, homes.Shared)
			a := other.ask(&jobs.LiveScanJob{Snapshot: snapshot, Tenant: "a", UpTo: homes.UpTo, Scan: scan, Shared: shared})
			p := a.(*jobs.ScanResult).Partial
			whole := live.New(live.Limits{}) // it keeps one of equal spans
			for _, c := range p.Metrics.Candidates() {
				require.True(t, shared.Live(c.ID), "its live part is read")
				if !shared.Has(c.ID) {
					lacking++
				}
				for _, span := range sent[:homes.UpTo] {
					if span.Trace == c.ID {
						_, err := whole.Append(whole.Next(), 0, otlp.Encode(span))
						require.NoError(t, err)
					}
				}
			}
			tables := []column.Table{whole.Snapshot(0, whole.Next())}
			assembled, err := jobs.RunScan(t.Context(), tables, scan, nil)
			require.NoError(t, err)
			var sum jobs.Partial
			sum.Merge(p, scan)
			sum.Merge(assembled.Partial, scan)
			out, err := answers.RenderRange(&jobs.Answer{Partial: sum}, scan.Metrics)
			require.NoError(t, err)
			count := 0.0
			for _, sample := range out.GetSeries()[0].GetSamples() {
				count += sample.GetValue()
			}
			require.Equal(t, float64(len(different)), count, fmt.Sprintf("seed %d: %s", seed, query))
		}
	}
	require.Greater(t, lacking, 20, "the set has everything")
}
