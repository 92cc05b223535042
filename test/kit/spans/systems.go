package spans

import (
	"testing"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit/corpus"
)

// OfSystem returns the requests of a corpus file as records of the log. What can be written as JSON
// is read from JSON by this project's reader: pdata writes a status for spans that have none.
func OfSystem(t testing.TB, from corpus.Source, file string) [][]byte {
	t.Helper()
	requests := from.JSON(t, file)
	if requests == nil {
		return from.Protobuf(t, file)
	}
	for i, request := range requests {
		otlp, _, err := trace.FromJSON(request)
		if err != nil {
			t.Fatal(err)
		}
		requests[i] = otlp
	}
	return requests
}
