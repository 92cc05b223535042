package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/answer"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
)

const tailPath = "/api/tail"

// serveTail answers with server-sent events: `traces` for traces that match as they arrive, and
// `ping` in between. It has no end, so api_timeout does not count.
func (a *handlers) serveTail(c *call) error {
	v := c.r.URL.Query()
	var back time.Duration
	if s := v.Get("since"); s != "" {
		var err error
		if back, err = parseSince(s); err != nil {
			return invalidf("error parsing date range: %s", err)
		}
	}
	q := v.Get("q")
	if q == "" {
		q = "{ }"
	}
	rc := http.NewResponseController(c.ResponseWriter)
	begun := false
	send := func(event []byte) error {
		if err := c.unwritten.Reserve(len(event)); err != nil {
			return err
		}
		defer c.unwritten.Release(len(event))
		if !begun {
			begun = true
			c.Header().Set("Content-Type", typeEvents)
			c.Header().Set("Cache-Control", "no-store")
		}
		if _, err := c.Write(append(event, "\n\n"...)); err != nil {
			return err
		}
		return rc.Flush()
	}
	err := a.TailTraces(query.ContextOfHTTP(c.r), c.tenants, q, back, func(e query.TailEvent) error {
		if e.Found == nil {
			return send([]byte("event: ping\ndata: {}"))
		}
		body := answer.AppendSearchJSON(nil, e.Found, true)
		b := strconv.AppendInt([]byte("event: traces\ndata: {\"dropped\":"), int64(e.Dropped), 10)
		return send(append(append(b, ','), body[1:]...))
	})
	if begun {
		_ = send(append([]byte("event: error\ndata: "), err.Error()...))
		return nil
	}
	return err
}
