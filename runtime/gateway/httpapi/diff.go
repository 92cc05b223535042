package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/troupe-tracing/troupe/runtime/engine/diff"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

const (
	maxDiffBody   = 1 << 20
	maxDiffTraces = 32 << 20 // bytes of both traces
)

type diffSide struct {
	TraceID string `json:"traceId"`
	Start   int64  `json:"start"`
	End     int64  `json:"end"`
}

func (s diffSide) parseID(name string) (id trace.ID, err error) {
	if s.TraceID == "" {
		return id, invalidf("%s.traceId is required", name)
	}
	if id, err = trace.ParseID(s.TraceID); err != nil {
		return id, invalidf("invalid %s.traceId: %s", name, err)
	}
	if s.Start != 0 && s.End != 0 && s.Start >= s.End {
		return id, invalidf("%s.start must be before %s.end. received start=%d end=%d", name, name, s.Start, s.End)
	}
	return id, nil
}

// serveDiff answers with the difference of two traces.
func (a *handlers) serveDiff(c *call) error {
	if c.r.Method != http.MethodPost {
		return &codedError{http.StatusMethodNotAllowed, "Method Not Allowed"}
	}
	var q struct {
		Base    diffSide `json:"base"`
		Compare diffSide `json:"compare"`
		Format  string   `json:"format"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(c, c.r.Body, maxDiffBody)).Decode(&q); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return &codedError{http.StatusRequestEntityTooLarge,
				fmt.Sprintf("trace diff request body is larger than %d bytes", maxDiffBody)}
		}
		return invalidf("invalid trace diff request body: %s", err)
	}
	base, err := q.Base.parseID("base")
	if err != nil {
		return err
	}
	compare, err := q.Compare.parseID("compare")
	if err != nil {
		return err
	}
	switch q.Format {
	case "":
		q.Format = diff.FormatPatch
	case diff.FormatPatch, diff.FormatSummary, diff.FormatComposed:
	default:
		return invalidf("invalid format %q: must be one of %q, %q, %q",
			q.Format, diff.FormatComposed, diff.FormatPatch, diff.FormatSummary)
	}
	var traces [2][]byte
	for i, id := range []trace.ID{base, compare} {
		otlp, m, err := a.FindTrace(c.ctx, c.tenants, id, nil)
		switch {
		case err != nil:
			return err
		case !m.GetComplete():
			return &codedError{http.StatusUnprocessableEntity,
				"trace " + id.String() + " is not complete: " + m.Message}
		case len(otlp) == 0:
			return &codedError{http.StatusNotFound, http.StatusText(http.StatusNotFound)}
		}
		traces[i] = otlp
	}
	if n := len(traces[0]) + len(traces[1]); n > maxDiffTraces {
		return &codedError{http.StatusTooManyRequests,
			fmt.Sprintf("the traces have %d bytes together: more than the %d that are compared", n, maxDiffTraces)}
	}
	var b []byte
	err = a.WorkOn(c.ctx, "compare traces", len(traces[0])+len(traces[1]), func(ctx context.Context) (err error) {
		b, err = compareTraces(ctx, q.Format, traces[0], traces[1])
		return err
	})
	if err != nil {
		return err
	}
	c.Header().Set("Content-Type", typeJSON)
	return c.writeBody(b)
}

// compareTraces prints the difference of two TracesData messages in one of the formats.
func compareTraces(ctx context.Context, format string, base, compare []byte) (_ []byte, err error) {
	var out any
	switch format {
	case diff.FormatPatch:
		out, err = diff.NewPatch(ctx, base, compare)
	case diff.FormatSummary:
		out, err = diff.NewSummary(ctx, base, compare)
	default:
		out, err = diff.NewComposed(ctx, base, compare)
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, status.Errorf(status.Corrupt, "compare traces: %w", err)
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, status.Errorf(status.Internal, "print difference: %w", err)
	}
	return b, nil
}
