package queryfrontend

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/cache"
	"github.com/troupe-tracing/troupe/test/kit/views"
)

// What a query costs beside the reading: admission, a child, the plan, slots and messages. Four
// live stores and some blocks answer at once.
func BenchmarkQuery(b *testing.B) {
	for _, n := range []int{0, 8, 1000} {
		b.Run(fmt.Sprintf("blocks=%d", n), func(b *testing.B) {
			s := catalog.New()
			first := &blocks.BlocksReplaced{Tenant: "t"}
			for i := range n {
				first.Outputs = append(first.Outputs, &blocks.BlockMeta{Id: fmt.Sprint("b", i), Tenant: "t", Partition: -1, MaxEndUnixNano: 10})
			}
			require.NoError(b, s.Apply(&blocks.Commit{Seq: 1, Entries: []*blocks.Entry{{Epoch: &blocks.Epoch{Id: "e", Starts: []int64{7, 7, 7, 7}}}, {BlocksReplaced: first}}}))
			view := s.View()
			neighbour := func(name string, key supervise.Keying) supervise.Kind {
				return supervise.Kind{Name: name, Key: key, New: func(string) actor.Actor {
					return actor.ReceiveFunc(func(c actor.Context) {
						switch c.Message().(type) {
						case *jobs.ViewJob:
							c.Respond(view)
						case *jobs.LiveTraceJob, *jobs.BlockTraceJob:
							c.Respond(&jobs.TraceResult{})
						case supervise.Drain:
							c.Respond(supervise.Drained{})
						}
					})
				}}
			}
			sys := system.New(system.Options{Clock: clock.Real(), Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
			pool := work.NewPool("scan", 2, 1000)
			defer pool.Close()
			require.NoError(b, sys.Start([]supervise.Kind{neighbour(kinds.BackendScheduler, supervise.PerNode), neighbour(kinds.LiveStore, supervise.PerPartition),
				neighbour(kinds.Querier, supervise.PerNode), Kind(Deps{Directory: sys, Combine: pool, Clock: clock.Real(), Logger: slog.New(slog.DiscardHandler),
					Metrics: NewMetrics(prometheus.NewRegistry()), Assembled: cache.New[*jobs.ScanResult](1 << 20)}, DefaultConfig())},
				func(k supervise.Kind) []string {
					if k.Key == supervise.PerPartition {
						return []string{"0", "1", "2", "3"}
					}
					return []string{""}
				}))
			front, err := sys.Find(kinds.QueryFrontend, "")
			require.NoError(b, err)
			id := views.ID("1")
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				_, err := ask.Ask[*jobs.Answer](context.Background(), sys, front, &jobs.Query{Tenant: "t", Trace: &id})
				require.NoError(b, err)
			}
			b.StopTimer()
			require.NoError(b, sys.Drain(context.Background()))
		})
	}
}
