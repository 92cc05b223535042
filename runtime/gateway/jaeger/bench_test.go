package jaeger

import (
	"testing"

	"github.com/jaegertracing/jaeger-idl/model/v1"
	thrift "github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
	translator "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/jaeger"

	"github.com/troupe-tracing/troupe/runtime/gateway/thriftread"
)

// BenchmarkRead compares counting and reading a body with what thrift's decoder and the translator
// do of it.
func BenchmarkRead(b *testing.B) {
	span := newSpan(1, model.String("span.kind", "server"), model.String("http.method", "GET"), model.String("http.url", "http://shop.example/owners/17"),
		model.Int64("http.status_code", 200), model.String("component", "net/http"), model.Bool("internal", false))
	body := forms[1].pack(b, &model.Process{ServiceName: "shop"}, slicesOf(span, 1000))
	b.Run("whole", func(b *testing.B) {
		for b.Loop() {
			_, _ = batch{}.Read("application/x-thrift", body)
		}
	})
	b.Run("counting", func(b *testing.B) {
		for b.Loop() {
			_ = batch{}.Memory("application/x-thrift", body)
		}
	})
	b.Run("translator", func(b *testing.B) {
		for b.Loop() {
			var all thrift.Batch
			_ = thriftread.Binary.Decode(body, all.Read)
			_, _ = translator.ThriftToTraces(&all)
		}
	})
}
