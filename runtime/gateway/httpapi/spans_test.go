package httpapi

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	messages "github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Some spans of a trace are asked for by their ids, and come as a trace by its id does. What is no
// list of ids is refused with a text that says so.
func TestSpans(t *testing.T) {
	f, s := newAPI(t, nil)
	f.Query = func(_ context.Context, q *jobs.Query) (*jobs.Answer, error) {
		require.Equal(t, []trace.SpanID{{7: 1}, {6: 0xab, 7: 0xcd}}, q.Only)
		return &jobs.Answer{OfTrace: jobs.OfTrace{Trace: chain(t)}, Warnings: []string{"block b: lost"}}, nil
	}
	resp, body := get(t, s, "/api/spans/8?ids=ABCD,1,0000000000000001", "Accept", "application/protobuf")
	require.Equal(t, 200, resp.StatusCode, body)
	var m messages.TraceByIDResponse
	require.NoError(t, proto.Unmarshal([]byte(body), &m))
	require.Len(t, m.Trace.ResourceSpans, 1)
	require.Equal(t, messages.PartialStatus_PARTIAL, m.Status)
	require.Equal(t, "false", resp.Header.Get("Troupe-Complete"))

	f.Query = func(context.Context, *jobs.Query) (*jobs.Answer, error) {
		return &jobs.Answer{OfTrace: jobs.OfTrace{Long: true}}, nil
	}
	for path, want := range map[string]string{
		"/api/spans/8":          "400 missing ids: name up to 1000 span ids, with commas between them",
		"/api/spans/8?ids=1,,2": `400 invalid span id "": it has up to 16 hexadecimal digits`,
		"/api/spans/8?ids=no":   `400 invalid span id "no": it has up to 16 hexadecimal digits`,
		"/api/spans/no?ids=1":   "400 trace IDs can only contain hex characters: invalid character 'n' at position 1",
		"/api/spans/8?ids=1":    "429 these spans are too large to be held in memory together; ask for fewer",
		"/api/spans/8?ids=" + strings.Repeat("1,", 1000) + "1": "400 1001 ids: one request covers at most 1000",
		"/api/spans/8?ids=00000000000000001":                   `400 invalid span id "00000000000000001": it has up to 16 hexadecimal digits`,
	} {
		resp, body := get(t, s, path)
		require.Equal(t, want, resp.Status[:4]+body, "%.60s", path)
	}
}
