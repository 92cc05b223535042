package jaeger

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/gateway/otlp"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// nobody is a node without a distributor.
type nobody struct{}

// Find finds nobody.
func (nobody) Find(string, string) (ask.Ref, error) {
	return nil, status.Errorf(status.Unavailable, "no distributor")
}

// Keys finds none.
func (nobody) Keys(string) []string { return nil }

func newGateway(d ask.Directory, multitenancy bool) *ingress.Door {
	return ingress.New(ingress.Deps{Directory: d, Multitenancy: multitenancy, Logger: slog.New(slog.DiscardHandler),
		Metrics: ingress.NewMetrics(prometheus.NewRegistry())}, otlp.DefaultConfig().Limits())
}

// fuzz reads any bytes as one form. They do not end the process, are not read past what was
// reserved for them, and become valid OTLP.
func fuzz(f *testing.F, form form) {
	process := &model.Process{ServiceName: "shop", Tags: model.KeyValues{model.String("hostname", "h")}}
	span := newSpan(1, model.String("span.kind", "client"), model.Bool("error", true), model.Binary("b", []byte{1}), model.Float64("d", 1))
	span.Logs = []model.Log{{Timestamp: start, Fields: model.KeyValues{model.String("event", "e"), model.Int64("http.status_code", 1)}}}
	span.References = []model.SpanRef{model.NewFollowsFromRef(span.TraceID, 2)}
	f.Add(form.pack(f, process, []*model.Span{span, newSpan(2, model.String("otel.scope.name", "s"))}))
	f.Add(form.pack(f, process, nil))
	if form.name != "grpc" {
		f.Add(claim(f, form, thrift.STRUCT, 1<<31))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		need := form.format.Memory(form.kind, body)
		if need > 64<<20 {
			return // refused unread
		}
		got, err := form.format.Read(form.kind, body)
		if err != nil {
			return
		}
		b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(got.Traces)
		require.NoError(t, err)
		_, err = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(b)
		require.NoError(t, err)
	})
}

func FuzzGRPC(f *testing.F)    { fuzz(f, forms[0]) }
func FuzzHTTP(f *testing.F)    { fuzz(f, forms[1]) }
func FuzzCompact(f *testing.F) { fuzz(f, forms[2]) }
func FuzzBinary(f *testing.F)  { fuzz(f, forms[3]) }

// Over HTTP another method, content type or body is refused with a reason, as clients of Jaeger
// know it.
func TestAnswersOverHTTP(t *testing.T) {
	h := newHandler(newGateway(nobody{}, false), DefaultConfig().Protocols.ThriftHTTP)
	good := forms[1].pack(t, &model.Process{ServiceName: "shop"}, []*model.Span{newSpan(1)})
	for _, c := range []struct {
		method, kind string
		body         []byte
		code         int
		text         string
	}{
		{"GET", "", nil, 405, "spans come by POST"},
		{"POST", "application/json", good, 400, "is not read here"},
		{"POST", "application/x-thrift", good[:len(good)-1], 400, "read spans"},
		{"POST", "application/x-thrift", nil, 400, "read spans"},
		{"POST", "application/x-thrift", make([]byte, 5<<20), 400, "request body too large"},
		{"POST", "application/vnd.apache.thrift.binary", good, 503, "no distributor"},
		{"POST", "application/x-thrift; charset=utf-8", good, 503, "no distributor"},
	} {
		r := httptest.NewRequest(c.method, "/api/traces?format=jaeger.thrift", bytes.NewReader(c.body))
		r.Header.Set("Content-Type", c.kind)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, c.code, w.Code, "%s %s: %s", c.method, c.kind, w.Body)
		require.Contains(t, w.Body.String(), c.text)
	}
}
