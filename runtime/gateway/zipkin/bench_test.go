package zipkin

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinv2"
	"github.com/openzipkin/zipkin-go/model"
)

// BenchmarkRead compares reading a body with what the translator does of it.
func BenchmarkRead(b *testing.B) {
	const span = `{"traceId":"5982fe77008310cc80f1da5e10147517","parentId":"90394f6bcffb5d13","id":"67fae42571535f60","kind":"SERVER","name":"get /owners/{ownerid}",
		"timestamp":1516781775726000,"duration":26000,"localEndpoint":{"serviceName":"customers","ipv4":"10.57.50.83","port":8080},
		"tags":{"http.method":"GET","http.path":"/owners/17","http.status_code":"200","mvc.controller.class":"OwnerResource"},"annotations":[{"timestamp":1516781775730000,"value":"ws"}]}`
	body := []byte("[" + strings.Repeat(span+",", 999) + span + "]")
	b.Run("whole", func(b *testing.B) {
		for b.Loop() {
			_, _ = v2{}.Read("application/json", body)
		}
	})
	b.Run("translator", func(b *testing.B) {
		for b.Loop() {
			var spans []*model.SpanModel
			_ = json.Unmarshal(body, &spans)
			_, _ = zipkinv2.ToTranslator{}.ToTraces(spans)
		}
	})
}
