package httpapi

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	messages "github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/answer"
	"github.com/troupe-tracing/troupe/runtime/gateway/delivery"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
)

// serveSearch answers a search.
// Next: runtime/gateway/query checks and asks.
func (a *handlers) serveSearch(c *call) error {
	q, err := a.parseSearch(c)
	if err != nil {
		return err
	}
	if wantsEvents(c.r) {
		return sendEvents(c, func(each func(*messages.SearchResponse) error) (*messages.SearchResponse, error) {
			return a.SearchTraces(c.ctx, c.tenants, q, each)
		}, answer.AppendSearchJSON)
	}
	m, err := a.SearchTraces(c.ctx, c.tenants, q, nil)
	if err != nil {
		return err
	}
	return sendMessage(c, m, a.renderSearch)
}

const (
	largeSearch = 200 // traces
	traceBytes  = 512 // of one trace in an answer, about
)

// renderSearch appends the answer of a search. Large answers are rendered one at a time, because
// this is work outside the slots, and several at once would take every processor from the queries
// beside them. Streams do not wait: their first message is urgent, and the others are paced.
func (a *handlers) renderSearch(b []byte, m *messages.SearchResponse, verbose bool) []byte {
	if len(m.Traces) > largeSearch {
		a.largeAnswer.Lock()
		defer a.largeAnswer.Unlock()
		b = slices.Grow(b, len(m.Traces)*traceBytes)
	}
	return answer.AppendSearchJSON(b, m, verbose)
}

func (a *handlers) parseSearch(c *call) (q query.SearchParams, err error) {
	v := c.r.URL.Query()
	q.Query, q.Tags = v.Get("q"), v.Get("tags")
	if q.Seconds, err = a.parseSearchRange(v); err != nil {
		return q, err
	}
	for _, p := range []struct {
		name string
		to   *time.Duration
	}{{"minDuration", &q.MinDuration}, {"maxDuration", &q.MaxDuration}} {
		if s := v.Get(p.name); s != "" {
			if *p.to, err = time.ParseDuration(s); err != nil {
				return q, invalidf("invalid %s: %s", p.name, err)
			}
		}
	}
	limit, err := parseNumber(v, "limit")
	if err != nil {
		return q, err
	}
	if limit == 0 && v.Get("limit") != "" {
		return q, invalidf("invalid limit: must be a positive number")
	}
	spss, err := parseNumber(v, "spss")
	if err != nil {
		return q, err
	}
	q.Limit, q.SpansPerSpanSet = int(limit), int(spss)
	return q, nil
}

func (a *handlers) parseTags(c *call) (q query.TagsParams, err error) {
	v := c.r.URL.Query()
	q = query.TagsParams{Scope: v.Get("scope"), Query: v.Get("q"), Limit: int(numberOrZero(v, "limit"))}
	q.Seconds, err = a.parseTagsRange(v)
	return q, err
}

func (a *handlers) serveTags(c *call) error {
	q, err := a.parseTags(c)
	if err != nil {
		return err
	}
	m, err := a.ListTags(c.ctx, c.tenants, q, nil)
	if err != nil {
		return err
	}
	return sendMessage(c, m, answer.AppendTagsJSON)
}

func (a *handlers) serveTagsV2(c *call) error {
	q, err := a.parseTags(c)
	if err != nil {
		return err
	}
	m, err := a.ListTagsV2(c.ctx, c.tenants, q, nil)
	if err != nil {
		return err
	}
	return sendMessage(c, m, answer.AppendTagsV2JSON)
}

func (a *handlers) parseValues(c *call, prefix string) (q query.ValuesParams, err error) {
	v := c.r.URL.Query()
	q.Name = strings.TrimSuffix(strings.TrimPrefix(c.r.URL.Path, prefix), "/values")
	q.Query = v.Get("q")
	limit, err := parseNumber(v, "limit")
	if err != nil {
		return q, err
	}
	if _, err := parseNumber(v, "maxStaleValues"); err != nil {
		return q, err
	}
	q.Limit = int(limit)
	q.Seconds, err = a.parseTagsRange(v)
	return q, err
}

func (a *handlers) serveValues(c *call) error {
	q, err := a.parseValues(c, "/api/search/tag/")
	if err != nil {
		return err
	}
	m, err := a.ListValues(c.ctx, c.tenants, q, nil)
	if err != nil {
		return err
	}
	return sendMessage(c, m, answer.AppendValuesJSON)
}

func (a *handlers) serveValuesV2(c *call) error {
	q, err := a.parseValues(c, "/api/v2/search/tag/")
	if err != nil {
		return err
	}
	m, err := a.ListValuesV2(c.ctx, c.tenants, q, nil)
	if err != nil {
		return err
	}
	if acceptedType(c.r) == typeLLM {
		if err := c.checkComplete(m); err != nil {
			return err
		}
		b, err := answer.MarshalValuesForLLM(m)
		if err != nil {
			return err
		}
		return c.sendAnswer(typeLLM+"+json", b, m)
	}
	return sendMessage(c, m, answer.AppendValuesV2JSON)
}

func (a *handlers) serveRange(c *call) error {
	q, err := a.parseSeries(c.r.URL.Query())
	if err != nil {
		return err
	}
	if wantsEvents(c.r) {
		type send = func(*messages.QueryRangeResponse) error
		return sendEvents(c, func(each send) (*messages.QueryRangeResponse, error) {
			return a.QueryRange(c.ctx, c.tenants, q, each)
		}, answer.AppendRangeJSON)
	}
	m, err := a.QueryRange(c.ctx, c.tenants, q, nil)
	if err != nil {
		return err
	}
	if err := c.checkComplete(m); err != nil {
		return err
	}
	return c.sendAnswer(typeJSON, answer.AppendRangeJSON(nil, m, c.knowsCompleteness), m)
}

func (a *handlers) serveInstant(c *call) error {
	q, err := a.parseSeries(c.r.URL.Query())
	if err != nil {
		return err
	}
	m, err := a.QueryInstant(c.ctx, c.tenants, q, nil)
	if query.IsQueryError(err) && err.Error() != query.ErrNotMetrics.Error() {
		return invalidf("compiling query: %s", err)
	}
	if err != nil {
		return err
	}
	if err := c.checkComplete(m); err != nil {
		return err
	}
	return c.sendAnswer(typeJSON, answer.AppendInstantJSON(nil, m, c.knowsCompleteness), m)
}

// sendEvents answers with server-sent events. Each event `progress` holds everything known so far
// and takes the place of the one before; the last event is `result`, or `error` with the text of
// the error. An error that comes before any event is answered without a stream.
func sendEvents[M interface {
	proto.Message
	answer.Completeness
}](c *call, run func(each func(M) error) (M, error), json func([]byte, M, bool) []byte) error {
	rc := http.NewResponseController(c.ResponseWriter)
	begun := false
	// send writes one event. Its memory counts until the client has taken it.
	send := func(event []byte) error {
		if err := c.unwritten.Reserve(len(event)); err != nil {
			return err
		}
		defer c.unwritten.Release(len(event))
		if !begun {
			begun = true
			h := c.Header()
			h.Set("Content-Type", typeEvents)
			h.Set("Cache-Control", "no-store")
		}
		if _, err := c.Write(append(event, "\n\n"...)); err != nil {
			return err
		}
		return rc.Flush()
	}
	m, err := run(func(m M) error {
		err := send(json([]byte("event: progress\ndata: "), m, true))
		if errors.Is(err, delivery.ErrFull) {
			return nil // a later event holds what this one would have held
		}
		return err
	})
	if err == nil {
		err = c.checkComplete(m)
	}
	if err == nil {
		if err = send(json([]byte("event: result\ndata: "), m, true)); !errors.Is(err, delivery.ErrFull) {
			return nil // it is sent, or the client is gone
		}
	}
	switch {
	case !begun:
		return err
	case c.ctx.Err() == nil:
		_ = send([]byte("event: error\ndata: " + strings.ReplaceAll(err.Error(), "\n", " ")))
	}
	return nil
}
