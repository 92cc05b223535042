package httpapi

import (
	"net/http"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/answer"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// A trace that is too large for memory is sent as it is read. What is known only at its end is in
// trailers, and in the message of v2 behind the trace. An error after the first byte breaks the
// connection off, or the stream over HTTP/2, so that no client takes a part for the whole.

// headerNextPage names the page that goes on with a trace.
const headerNextPage = "Troupe-Next-Page"

// brokenError is why an answer ends in the middle.
type brokenError struct{ cause error }

func (e *brokenError) Error() string { return "the answer broke off: " + e.cause.Error() }
func (e *brokenError) Unwrap() error { return e.cause }

// What an answer in chunks may have unwritten, about, in each of its forms.
const (
	memoryOfProtobuf = 16 << 20
	memoryOfJSON     = 32 << 20
)

// chunkForm is a form of the answer that is written in chunks.
type chunkForm struct {
	contentType string
	begin       string
	// chunk appends a chunk of the trace; first reports that nothing of the trace is written yet.
	chunk func(b, otlp []byte, first bool) ([]byte, error)
	// end appends what follows the trace; empty reports that nothing of the trace was written.
	end func(b []byte, m *api.TraceByIDResponse, empty bool) ([]byte, error)
	// notFound answers where there is no trace; nil: as where it has no spans.
	notFound func(c *call, m *api.TraceByIDResponse) error
}

// formV1 is the form of trace by id v1: the trace alone.
func formV1(accepted string) chunkForm {
	f := chunkForm{contentType: accepted, notFound: (*call).sendNotFound}
	if accepted == typeProtobuf {
		f.chunk = func(b, otlp []byte, _ bool) ([]byte, error) { return append(b, otlp...), nil }
		f.end = func(b []byte, _ *api.TraceByIDResponse, _ bool) ([]byte, error) { return b, nil }
		return f
	}
	f.begin = "{"
	f.chunk = appendJSONChunk(`"batches":[`)
	f.end = func(b []byte, _ *api.TraceByIDResponse, empty bool) ([]byte, error) {
		return closeJSONTrace(b, empty), nil
	}
	return f
}

// formV2 is the form of trace by id v2: the trace in a message, of which each chunk has a part.
// Parsers of protobuf join the parts.
func (c *call) formV2(accepted string) chunkForm {
	if accepted == typeProtobuf {
		return chunkForm{
			contentType: typeProtobuf,
			chunk: func(b, otlp []byte, _ bool) ([]byte, error) {
				return protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), otlp), nil
			},
			end: func(b []byte, m *api.TraceByIDResponse, empty bool) ([]byte, error) {
				if empty {
					b = append(b, 1<<3|2, 0)
				}
				return proto.MarshalOptions{}.MarshalAppend(b, m)
			},
		}
	}
	return chunkForm{
		contentType: typeJSON,
		begin:       `{"trace":{`,
		chunk:       appendJSONChunk(`"resourceSpans":[`),
		end: func(b []byte, m *api.TraceByIDResponse, empty bool) ([]byte, error) {
			return answer.AppendTraceByIDEnd(closeJSONTrace(b, empty), m, c.knowsCompleteness), nil
		},
	}
}

func appendJSONChunk(key string) func(b, otlp []byte, first bool) ([]byte, error) {
	return appendListChunk(key, trace.AppendJSONList)
}

func appendListChunk(
	key string, list func(dst, otlp []byte) ([]byte, int, error),
) func(b, otlp []byte, first bool) ([]byte, error) {
	return func(b, otlp []byte, first bool) ([]byte, error) {
		if first {
			b = append(b, key...)
		} else {
			b = append(b, ',')
		}
		b, _, err := list(b, otlp)
		if err != nil {
			return nil, status.Errorf(status.Corrupt, "print trace: %w", err)
		}
		return b, nil
	}
}

func closeJSONTrace(b []byte, empty bool) []byte {
	if !empty {
		b = append(b, ']')
	}
	return append(b, '}')
}

// sendChunks answers with a trace as it is read.
func (a *handlers) sendChunks(c *call, id trace.ID, filter *answer.Filter, page query.Page, form chunkForm) error {
	memory := memoryOfJSON
	if form.contentType == typeProtobuf {
		memory = memoryOfProtobuf
	}
	if err := c.unwritten.Reserve(memory); err != nil {
		return err
	}
	defer c.unwritten.Release(memory)
	r, err := a.OpenTrace(c.ctx, c.tenants, id, filter, page)
	if err != nil {
		return err
	}
	defer r.Close()
	m, _, err := r.Answer()
	if err != nil {
		return err
	}
	if err := c.checkComplete(m); err != nil {
		return err
	}
	if !r.Found() && form.notFound != nil {
		return form.notFound(c, m)
	}
	otlp, err := r.Next()
	if err != nil {
		return err
	}
	h := c.Header()
	h.Set("Content-Type", form.contentType)
	for _, name := range []string{headerComplete, headerWatermark, headerWarning, headerNextPage} {
		h.Add("Trailer", name)
	}
	if err := a.writeChunks(c, r, form, otlp); err != nil {
		return &brokenError{err}
	}
	return nil
}

// writeChunks writes a trace, of which otlp is the first chunk, and what follows it.
func (a *handlers) writeChunks(c *call, r *query.TraceReader, form chunkForm, otlp []byte) error {
	control := http.NewResponseController(c.ResponseWriter)
	b := []byte(form.begin)
	empty := true
	for ; otlp != nil; empty = false {
		var err error
		if b, err = form.chunk(b, otlp, empty); err != nil {
			return err
		}
		if _, err = c.Write(b); err != nil {
			return err
		}
		_ = control.Flush() // each chunk has its time to be read
		if otlp, err = r.Next(); err != nil {
			return err
		}
		b = b[:0]
	}
	m, next, err := r.Answer()
	if err != nil {
		return err
	}
	if err := c.checkComplete(m); err != nil {
		return err
	}
	if b, err = form.end(b, m, empty); err != nil {
		return err
	}
	_, err = c.Write(b)
	setCompleteness(c.Header(), m)
	if next != "" {
		c.Header().Set(headerNextPage, next)
	}
	return err
}
