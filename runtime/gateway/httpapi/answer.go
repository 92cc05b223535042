package httpapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/runtime/engine/answer"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// Headers that say how complete an answer is, for clients that do not know the fields.
const (
	headerComplete  = "Troupe-Complete"
	headerWatermark = "Troupe-Watermark"
	headerWarning   = "Troupe-Warning"
)

const maxWarningHeaders = 8 // the body has them all

const (
	typeJSON     = "application/json"
	typeProtobuf = "application/protobuf"
	typeLLM      = "application/vnd.grafana.llm"
	typeEvents   = "text/event-stream"
)

// acceptedType returns the form of answer that a client accepts. Like Tempo it looks for these
// types in this order, and it ignores q-values.
func acceptedType(r *http.Request) string {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	for _, t := range []string{typeProtobuf, typeJSON, typeLLM} {
		if strings.Contains(accept, t) {
			return t
		}
	}
	return typeJSON
}

func wantsEvents(r *http.Request) bool {
	return strings.Contains(strings.Join(r.Header.Values("Accept"), ","), typeEvents)
}

// sendAnswer writes an answer.
func (c *call) sendAnswer(contentType string, body []byte, m answer.Completeness) error {
	h := c.Header()
	setCompleteness(h, m)
	h.Set("Content-Type", contentType)
	return c.writeBody(body)
}

// sendJSON sends an answer that the API of Tempo does not know, as encoding/json writes it.
func (c *call) sendJSON(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.Header().Set("Content-Type", typeJSON)
	return c.writeBody(b)
}

// writeBody writes the body of an answer. The body counts in the memory of answers until the
// client, or the machine's network for it, has taken it. Error: Limited.
func (c *call) writeBody(body []byte) error {
	if err := c.unwritten.Reserve(len(body)); err != nil {
		return err
	}
	defer c.unwritten.Release(len(body))
	_, _ = c.Write(body) // a client that has gone is no error of the server
	return nil
}

// sendMessage writes an answer as protobuf or as JSON, whichever the client accepts.
func sendMessage[M interface {
	proto.Message
	answer.Completeness
}](c *call, m M, json func([]byte, M, bool) []byte) error {
	if err := c.checkComplete(m); err != nil {
		return err
	}
	if acceptedType(c.r) == typeProtobuf {
		b, err := proto.Marshal(m)
		if err != nil {
			return status.Errorf(status.Internal, "encode answer: %w", err)
		}
		return c.sendAnswer(typeProtobuf, b, m)
	}
	return c.sendAnswer(typeJSON, json(make([]byte, 0, 4096), m, c.knowsCompleteness), m)
}

// checkComplete returns an error for an answer that lacks something, where the client accepts only
// complete ones.
func (c *call) checkComplete(m answer.Completeness) error {
	if c.requireComplete {
		return query.RequireComplete(m)
	}
	return nil
}

// setCompleteness sets the headers that say how complete an answer is.
func setCompleteness(h http.Header, m answer.Completeness) {
	h.Set(headerComplete, strconv.FormatBool(m.GetComplete()))
	if w := m.GetWatermark(); w > 0 {
		h.Set(headerWatermark, time.Unix(0, int64(w)).UTC().Format(time.RFC3339Nano))
	}
	for i, w := range m.GetWarnings() {
		if i == maxWarningHeaders {
			break
		}
		h.Add(headerWarning, strings.Map(toPrintable, w))
	}
}

// toPrintable replaces what may not be in a header, so that a warning is one line of ASCII.
func toPrintable(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}
