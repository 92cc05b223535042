package trace

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func ptraceTime(v uint64) pcommon.Timestamp { return pcommon.Timestamp(v) }

// loadTraces is a request as services send it: traces of 5 to 60 spans over several services, six
// to eight attributes a span.
func loadTraces(r *rand.Rand, spans int) ptrace.Traces {
	services := []string{"frontend", "cart", "checkout", "payment", "catalog", "shipping", "email", "currency"}
	td := ptrace.NewTraces()
	for n := 0; n < spans; {
		var tid [16]byte
		binary.BigEndian.PutUint64(tid[:8], r.Uint64())
		binary.BigEndian.PutUint64(tid[8:], r.Uint64()|1)
		count := 5 + int(min(55, r.ExpFloat64()*18))
		scopes := map[string]ptrace.ScopeSpans{}
		start := uint64(1_700_000_000_000_000_000) + r.Uint64N(1e12)
		var parent [8]byte
		for i := range count {
			svc := services[r.IntN(len(services))]
			ss, ok := scopes[svc]
			if !ok {
				rs := td.ResourceSpans().AppendEmpty()
				a := rs.Resource().Attributes()
				for _, k := range []string{"service.version", "deployment.environment", "k8s.namespace.name", "k8s.cluster.name", "k8s.pod.name", "host.name", "cloud.region", "telemetry.sdk.language"} {
					a.PutStr(k, fmt.Sprintf("%s-%d", svc, r.IntN(8)))
				}
				a.PutStr("service.name", svc)
				a.PutInt("process.pid", int64(r.IntN(200)))
				ss = rs.ScopeSpans().AppendEmpty()
				ss.Scope().SetName("otelhttp")
				ss.Scope().SetVersion("0.58.0")
				scopes[svc] = ss
			}
			s := ss.Spans().AppendEmpty()
			s.SetTraceID(tid)
			s.SetParentSpanID(parent)
			var id [8]byte
			binary.BigEndian.PutUint64(id[:], r.Uint64()|1)
			parent = id
			s.SetSpanID(id)
			s.SetStartTimestamp(pcommon.Timestamp(start))
			s.SetEndTimestamp(pcommon.Timestamp(start + r.Uint64N(1e8)))
			a := s.Attributes()
			switch i % 3 {
			case 0:
				s.SetName("GET /api/" + svc + "/{id}")
				s.SetKind(ptrace.SpanKindServer)
				a.PutStr("http.request.method", "GET")
				a.PutStr("http.route", "/api/"+svc+"/{id}")
				a.PutStr("url.path", fmt.Sprintf("/api/%s/v1/%d", svc, r.IntN(100000)))
				a.PutInt("http.response.status_code", 200)
				a.PutStr("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36")
				a.PutStr("client.address", fmt.Sprintf("10.0.%d.%d", r.IntN(256), r.IntN(256)))
				a.PutStr("enduser.id", fmt.Sprintf("user-%d", r.IntN(200000)))
				a.PutInt("http.response.body.size", int64(r.IntN(20000)))
				if r.IntN(50) == 0 {
					s.Status().SetCode(ptrace.StatusCodeError)
					s.Status().SetMessage("upstream timed out")
					e := s.Events().AppendEmpty()
					e.SetName("exception")
					e.SetTimestamp(pcommon.Timestamp(start))
					e.Attributes().PutStr("exception.type", "TimeoutError")
				}
			case 1:
				s.SetName("SELECT " + svc)
				s.SetKind(ptrace.SpanKindClient)
				a.PutStr("db.system", "postgresql")
				a.PutStr("db.namespace", "app")
				a.PutStr("db.query.text", fmt.Sprintf("SELECT * FROM %s WHERE id = $1 AND shard = %d", svc, r.IntN(64)))
				a.PutStr("server.address", "postgresql.internal")
				a.PutInt("server.port", 5432)
				a.PutInt("db.response.returned_rows", int64(r.IntN(100)))
			case 2:
				s.SetName(svc + "/Call")
				s.SetKind(ptrace.SpanKindClient)
				a.PutStr("rpc.system", "grpc")
				a.PutStr("rpc.service", svc)
				a.PutStr("rpc.method", "Call")
				a.PutInt("rpc.grpc.status_code", 0)
				a.PutStr("messaging.message.id", fmt.Sprintf("%016x", r.Uint64()))
				a.PutBool("retry", r.IntN(20) == 0)
				a.PutDouble("queue.wait", r.Float64())
			}
		}
		n += count
	}
	return td
}

// perSpan runs f over a request of about 1,000 spans and reports the time for one.
func perSpan(b *testing.B, f func(otlp []byte)) {
	td := loadTraces(rand.New(rand.NewPCG(7, 7)), 1000)
	otlp := marshal(b, td)
	b.SetBytes(int64(len(otlp)))
	b.ReportAllocs()
	f(otlp)
	for b.Loop() {
		f(otlp)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(td.SpanCount()), "ns/span")
}

func BenchmarkWalk(b *testing.B) {
	var r Reader
	var v countVisitor
	perSpan(b, func(otlp []byte) { _ = r.Walk(otlp, &v) })
}

func BenchmarkSplit(b *testing.B) {
	for _, parts := range []int{1, 4, 32} {
		b.Run(fmt.Sprintf("parts=%d", parts), func(b *testing.B) {
			s := Splitter{MaxRecordBytes: 1_000_000, Parts: parts}
			perSpan(b, func(otlp []byte) { _, _ = s.Split("tenant", otlp) })
		})
	}
}

func BenchmarkPdataUnmarshal(b *testing.B) {
	perSpan(b, func(otlp []byte) { _, _ = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(otlp) })
}

func BenchmarkAppendJSON(b *testing.B) {
	var out []byte
	perSpan(b, func(otlp []byte) { out, _ = AppendJSON(out[:0], otlp, false) })
}

func BenchmarkAssemble(b *testing.B) {
	var fragments []Fragment
	perSpan(b, func(otlp []byte) {
		if fragments == nil {
			var c Collector
			_ = c.Add(otlp)
			for _, id := range c.IDs() {
				fragments = append(fragments, c.Fragments(id)...)
			}
		}
		Assemble(fragments)
	})
}
