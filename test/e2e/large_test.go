package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/troupe-tracing/troupe/test/kit"
)

// With the defaults a prompt of 4 MiB is kept whole: sent over gRPC and HTTP as protobuf and as
// JSON, found by search, answered whole from memory and from a block. A span above the limit keeps
// its place with the value cut and marked, and the sender and the operator are told.
func TestLargeValues(t *testing.T) {
	n := kit.NewNode(t)
	n.Env = []string{"TROUPE_CFG_BLOCK_BUILDER__MAX_BLOCK_DURATION=1s"}
	n.Start()
	conn, err := grpc.NewClient(n.OTLPGRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	id := pcommon.TraceID{15: 7}
	request := func(name string, span byte, prompt int) ptrace.Traces {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "llm")
		s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetTraceID(id)
		s.SetSpanID(pcommon.SpanID{7: span})
		s.SetName(name)
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(time.Second)))
		s.Attributes().PutStr("gen_ai.prompt", strings.Repeat("p", prompt))
		return td
	}
	const whole, more = 4 << 20, 9 << 20
	_, err = ptraceotlp.NewGRPCClient(conn).Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(request("grpc", 1, whole)))
	require.NoError(t, err)
	js, err := (&ptrace.JSONMarshaler{}).MarshalTraces(request("json", 2, whole))
	require.NoError(t, err)
	code, body, err := n.Push(t.Context(), "application/json", js)
	require.NoError(t, err)
	require.Equal(t, 200, code, string(body))
	require.Equal(t, `{"partialSuccess":{}}`, string(body))
	js, err = (&ptrace.JSONMarshaler{}).MarshalTraces(request("cut", 3, more))
	require.NoError(t, err)
	code, body, err = n.Push(t.Context(), "application/json", js)
	require.NoError(t, err)
	require.Equal(t, 200, code, string(body))
	require.Contains(t, string(body), "gen_ai.prompt: 9437184 bytes")
	require.NotContains(t, string(body), "rejectedSpans")

	_, metrics := n.Get("/metrics")
	require.Contains(t, string(metrics), `troupe_distributor_warnings_total{reason="values_cut",tenant="single-tenant"} 1`)
	require.Contains(t, n.Log(), "reason=values_cut requests=1 spans=1")

	lengths := func() map[string]int {
		code, body := n.Get("/api/v2/traces/" + id.String())
		if code != 200 {
			return nil
		}
		var answer struct {
			Trace struct {
				ResourceSpans []struct {
					ScopeSpans []struct {
						Spans []struct {
							Name       string
							Attributes []struct {
								Key   string
								Value struct{ StringValue string }
							}
						}
					}
				}
			}
		}
		require.NoError(t, json.Unmarshal(body, &answer))
		out := map[string]int{}
		for _, rs := range answer.Trace.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					for _, a := range s.Attributes {
						if a.Key == "gen_ai.prompt" {
							out[s.Name] = len(a.Value.StringValue)
							continue
						}
						require.Equal(t, "cut troupe.truncated gen_ai.prompt: 9437184 bytes", s.Name+" "+a.Key+" "+a.Value.StringValue)
					}
				}
			}
		}
		return out
	}
	right := func() bool {
		got := lengths()
		return len(got) == 3 && got["grpc"] == whole && got["json"] == whole && got["cut"] > 8_000_000 && got["cut"] < more
	}
	require.Eventually(t, right, 30*time.Second, 50*time.Millisecond)
	require.Eventually(t, func() bool {
		_, metrics := n.Get("/metrics")
		return !strings.Contains(string(metrics), "troupe_backend_scheduler_blocks 0\n")
	}, 60*time.Second, 100*time.Millisecond)
	require.True(t, right())
	n.Kill()
	n.Start()
	require.Eventually(t, right, 30*time.Second, 50*time.Millisecond)
	var found struct{ Traces []any }
	n.GetJSON(&found, "/api/search", "q", `{ span.gen_ai.prompt =~ "p{9}.*" && span.troupe.truncated != nil }`)
	require.Len(t, found.Traces, 1)
	_, metrics = n.Get("/metrics")
	require.NotContains(t, string(metrics), "troupe_backend_scheduler_blocks 0\n")
}
