package traceql

import "testing"

// BenchmarkParse reads queries as users type them; queries/s is over all of them.
func BenchmarkParse(b *testing.B) {
	queries := []string{
		`{}`,
		`{ resource.service.name = "checkout" }`,
		`{ span.http.response.status_code = 500 && duration > 100ms }`,
		`{ .rpc.service = "cart" && .retry = true }`,
		`{ resource.service.name = "frontend" } >> { status = error }`,
		`{ span.db.system = "redis" } | count() > 5`,
		`{ kind = server } | quantile_over_time(duration, .5, .99) by (span.http.route)`,
		`({ status = error } | rate()) / ({} | rate()) * 100`,
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		for _, q := range queries {
			if _, err := Parse(q); err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "queries/s")
}
