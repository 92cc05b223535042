package answer_test

import (
	"fmt"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/answer"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// A search found one trace, but one block could not be read: the answer names it.
func ExampleRenderSearch() {
	found := eval.TraceMatch{
		ID:          trace.ID{15: 0x2a},
		RootService: "shop",
		RootName:    "GET /cart",
		Start:       1_700_000_000_000_000_000,
		Duration:    3_000_000,
	}
	a := &jobs.Answer{
		Partial:  jobs.Partial{Search: &eval.SearchPartial{Traces: []eval.TraceMatch{found}}},
		Warnings: []string{"block 7: cannot be read"},
		Jobs:     2,
		Done:     2,
	}
	message := answer.RenderSearch(a, &eval.SearchRequest{Limit: 20}, false)
	json := string(answer.AppendSearchJSON(nil, message, false))
	fmt.Println(strings.ReplaceAll(json, ",", ",\n"))
	// Output:
	// {"traces":[{"traceID":"2a",
	// "rootServiceName":"shop",
	// "rootTraceName":"GET /cart",
	// "startTimeUnixNano":"1700000000000000000",
	// "durationMs":3}],
	// "metrics":{"completedJobs":2,
	// "totalJobs":2},
	// "complete":false,
	// "warnings":["block 7: cannot be read"]}
}

// Names of attributes are listed by scope; each scope is cut at the limit by itself.
func ExampleRenderTagsV2() {
	names := eval.TagNames{
		"span":     {"http.method": {}, "http.status_code": {}, "peer": {}},
		"resource": {"service.name": {}},
	}
	a := &jobs.Answer{Partial: jobs.Partial{Tags: names}, Complete: true}
	message := answer.RenderTagsV2(a, answer.TagsRequest{Limit: 2})
	for _, scope := range message.Scopes[:2] { // the last one lists the intrinsics
		fmt.Println(scope.Name, scope.Tags)
	}
	// Output:
	// span [http.method http.status_code]
	// resource [service.name]
}
