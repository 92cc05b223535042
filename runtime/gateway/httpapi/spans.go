package httpapi

import (
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

const (
	spansPath = "/api/spans/"
	mostSpans = 1000 // ids of one request
)

// serveSpans answers with some spans of a trace.
func (a *handlers) serveSpans(c *call) error {
	id, err := parseTraceID(c, spansPath)
	if err != nil {
		return err
	}
	only, err := parseSpanIDs(c.r.URL.Query().Get("ids"))
	if err != nil {
		return err
	}
	otlp, m, err := a.FindSpans(c.ctx, c.tenants, id, only)
	if err != nil {
		return err
	}
	return a.sendTraceV2(c, otlp, m)
}

// parseSpanIDs reads a list of span ids. Capitals and leading zeros do not matter.
func parseSpanIDs(list string) ([]trace.SpanID, error) {
	if list == "" {
		return nil, invalidf("missing ids: name up to %d span ids, with commas between them", mostSpans)
	}
	if n := strings.Count(list, ",") + 1; n > mostSpans {
		return nil, invalidf("%d ids: one request covers at most %d", n, mostSpans)
	}
	var out []trace.SpanID
	for text := range strings.SplitSeq(list, ",") {
		id, err := trace.ParseID(text)
		if err != nil || text == "" || len(text) > 16 {
			return nil, invalidf("invalid span id %.40q: it has up to 16 hexadecimal digits", text)
		}
		out = append(out, trace.SpanID(id[8:]))
	}
	return out, nil
}
