// Command gosdk is a shop of one page: it serves /checkout, asks itself for it N times over HTTP,
// and ends. Its exporters are those that the environment names, as in every service that uses
// autoexport.
//
// Usage: gosdk N
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
)

func main() {
	ctx := context.Background()
	n, err := strconv.Atoi(os.Args[1])
	check(err)
	spans, err := autoexport.NewSpanExporter(ctx)
	check(err)
	traces := trace.NewTracerProvider(trace.WithBatcher(spans))
	otel.SetTracerProvider(traces)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	reader, err := autoexport.NewMetricReader(ctx)
	check(err)
	metrics := metric.NewMeterProvider(metric.WithReader(reader))
	otel.SetMeterProvider(metrics)

	checkout := func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "4") {
			http.Error(w, "no items", http.StatusInternalServerError)
		}
	}
	server := httptest.NewServer(otelhttp.NewHandler(http.HandlerFunc(checkout), "/checkout"))
	client := http.Client{Transport: otelhttp.NewTransport(http.DefaultTransport)}
	for i := range n {
		resp, err := client.Get(fmt.Sprintf("%s/checkout/%d", server.URL, i))
		check(err)
		check(resp.Body.Close())
	}
	server.Close()
	check(traces.Shutdown(ctx))
	check(metrics.Shutdown(ctx))
}

// check ends the program with err.
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
