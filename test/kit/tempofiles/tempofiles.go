// Package tempofiles writes blocks as Tempo does: a Parquet file whose rows are traces, beside a
// meta.json. Tests import them.
//
// The two forms have the two ways of nested lists that Parquet has, and names as OTLP has them.
// nested has lists of three columns, times of events from the start of their span, and dedicated
// columns of one value; flat has repeated columns, ends instead of durations, arrays in dedicated
// columns, and integers.
package tempofiles

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Form is a way to write blocks.
type Form struct {
	Name, Format string
	Dedicated    []map[string]any // the dedicated columns, as meta.json has them
	Write        func(t testing.TB, traces []ptrace.Traces) []byte
}

// Forms returns all forms.
func Forms() []Form {
	return []Form{
		{"nested", "vParquet4", []map[string]any{
			{"s": "resource", "n": "host.name"},
			{"n": "db.system"},
			{"n": "rpc.service", "o": []string{"blob"}},
		}, writeNested},
		{"flat", "vParquet5", []map[string]any{
			{"n": "http.method", "o": []string{"array"}},
			{"n": "http.status_code", "t": "int"},
			{"s": "event", "n": "exception.type"},
			{"n": "http.url"},
			{"s": "resource", "n": "service.name"},
		}, writeFlat},
	}
}

// WriteBlock writes a block of traces into a folder of tenants, and returns its id.
func (f Form) WriteBlock(t testing.TB, root, tenant string, traces []ptrace.Traces) string {
	t.Helper()
	id := uuid.NewString()
	dir := filepath.Join(root, tenant, id)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	data := f.Write(t, traces)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data.parquet"), data, 0o644))
	first, last := pcommon.Timestamp(1<<62), pcommon.Timestamp(0)
	for _, td := range traces {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					first, last = min(first, s.StartTimestamp()), max(last, s.EndTimestamp())
				}
			}
		}
	}
	meta, err := json.Marshal(map[string]any{
		"format": f.Format, "blockID": id, "tenantID": tenant, "totalObjects": len(traces), "size": len(data),
		"startTime": first.AsTime().Format(time.RFC3339), "endTime": last.AsTime().Format(time.RFC3339),
		"dedicatedColumns": f.Dedicated,
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "meta.json"), meta, 0o644))
	return id
}

// GroupByTrace returns the spans of requests by trace, each under the resource and scope that it
// came with, as rows hold them.
func GroupByTrace(requests []ptrace.Traces) (list []ptrace.Traces) {
	byID := map[pcommon.TraceID]ptrace.Traces{}
	for _, td := range requests {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					to, ok := byID[s.TraceID()]
					if !ok {
						to = ptrace.NewTraces()
						byID[s.TraceID()] = to
						list = append(list, to)
					}
					r := to.ResourceSpans().AppendEmpty()
					rs.Resource().CopyTo(r.Resource())
					sc := r.ScopeSpans().AppendEmpty()
					ss.Scope().CopyTo(sc.Scope())
					s.CopyTo(sc.Spans().AppendEmpty())
				}
			}
		}
	}
	return list
}
