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

func (a *api) search(c *call) error {
	q, err := a.searchParams(c)
	if err != nil {
		return err
	}
	if wantsEvents(c.r) {
		return events(c, func(each func(*messages.SearchResponse) error) (*messages.SearchResponse, error) {
			return a.Search(c.ctx, c.tenants, q, each)
		}, answer.AppendSearchJSON)
	}
	m, err := a.Search(c.ctx, c.tenants, q, nil)
	if err != nil {
		return err
	}
	return message(c, m, a.renderSearch)
}

const (
	largeSearch = 200 // traces
	traceBytes  = 512 // of one in an answer, about
)

// renderSearch appends a search answer. Large ones are rendered one at a time: it is work outside
// of the slots, and several at once would take every processor from the queries beside them.
// Streams do not wait: their first packet is urgent, the others are paced.
func (a *api) renderSearch(b []byte, m *messages.SearchResponse, verbose bool) []byte {
	if len(m.Traces) > largeSearch {
		a.large.Lock()
		defer a.large.Unlock()
		b = slices.Grow(b, len(m.Traces)*traceBytes)
	}
	return answer.AppendSearchJSON(b, m, verbose)
}

func (a *api) searchParams(c *call) (q query.Search, err error) {
	v := c.r.URL.Query()
	q.Query, q.Tags = v.Get("q"), v.Get("tags")
	if q.Seconds, err = a.searchRange(v); err != nil {
		return q, err
	}
	for _, p := range []struct {
		name string
		to   *time.Duration
	}{{"minDuration", &q.MinDuration}, {"maxDuration", &q.MaxDuration}} {
		if s := v.Get(p.name); s != "" {
			if *p.to, err = time.ParseDuration(s); err != nil {
				return q, bad("invalid %s: %s", p.name, err)
			}
		}
	}
	limit, err := number(v, "limit")
	if err != nil {
		return q, err
	}
	if limit == 0 && v.Get("limit") != "" {
		return q, bad("invalid limit: must be a positive number")
	}
	spss, err := number(v, "spss")
	if err != nil {
		return q, err
	}
	q.Limit, q.SpansPerSpanSet = int(limit), int(spss)
	return q, nil
}

func (a *api) tagsParams(c *call) (q query.Tags, err error) {
	v := c.r.URL.Query()
	q = query.Tags{Scope: v.Get("scope"), Query: v.Get("q"), Limit: int(lenient(v, "limit"))}
	q.Seconds, err = a.tagsRange(v)
	return q, err
}

func (a *api) tags(c *call) error {
	q, err := a.tagsParams(c)
	if err != nil {
		return err
	}
	m, err := a.Tags(c.ctx, c.tenants, q, nil)
	if err != nil {
		return err
	}
	return message(c, m, answer.AppendTagsJSON)
}

func (a *api) tagsV2(c *call) error {
	q, err := a.tagsParams(c)
	if err != nil {
		return err
	}
	m, err := a.TagsV2(c.ctx, c.tenants, q, nil)
	if err != nil {
		return err
	}
	return message(c, m, answer.AppendTagsV2JSON)
}

func (a *api) valuesParams(c *call, prefix string) (q query.Values, err error) {
	v := c.r.URL.Query()
	q.Name = strings.TrimSuffix(strings.TrimPrefix(c.r.URL.Path, prefix), "/values")
	q.Query = v.Get("q")
	limit, err := number(v, "limit")
	if err != nil {
		return q, err
	}
	if _, err := number(v, "maxStaleValues"); err != nil {
		return q, err
	}
	q.Limit = int(limit)
	q.Seconds, err = a.tagsRange(v)
	return q, err
}

func (a *api) values(c *call) error {
	q, err := a.valuesParams(c, "/api/search/tag/")
	if err != nil {
		return err
	}
	m, err := a.Values(c.ctx, c.tenants, q, nil)
	if err != nil {
		return err
	}
	return message(c, m, answer.AppendValuesJSON)
}

func (a *api) valuesV2(c *call) error {
	q, err := a.valuesParams(c, "/api/v2/search/tag/")
	if err != nil {
		return err
	}
	m, err := a.ValuesV2(c.ctx, c.tenants, q, nil)
	if err != nil {
		return err
	}
	if format(c.r) == typeLLM {
		if err := c.check(m); err != nil {
			return err
		}
		b, err := answer.MarshalValuesForLLM(m)
		if err != nil {
			return err
		}
		return c.send(typeLLM+"+json", b, m)
	}
	return message(c, m, answer.AppendValuesV2JSON)
}

func (a *api) queryRange(c *call) error {
	q, err := a.seriesRange(c.r.URL.Query())
	if err != nil {
		return err
	}
	if wantsEvents(c.r) {
		return events(c, func(each func(*messages.QueryRangeResponse) error) (*messages.QueryRangeResponse, error) {
			return a.Range(c.ctx, c.tenants, q, each)
		}, answer.AppendRangeJSON)
	}
	m, err := a.Range(c.ctx, c.tenants, q, nil)
	if err != nil {
		return err
	}
	if err := c.check(m); err != nil {
		return err
	}
	return c.send(typeJSON, answer.AppendRangeJSON(nil, m, c.verbose), m)
}

func (a *api) queryInstant(c *call) error {
	q, err := a.seriesRange(c.r.URL.Query())
	if err != nil {
		return err
	}
	m, err := a.Instant(c.ctx, c.tenants, q, nil)
	if query.BadQuery(err) && err.Error() != query.ErrNotMetrics.Error() {
		return bad("compiling query: %s", err)
	}
	if err != nil {
		return err
	}
	if err := c.check(m); err != nil {
		return err
	}
	return c.send(typeJSON, answer.AppendInstantJSON(nil, m, c.verbose), m)
}

// events answers with server-sent events: `progress` with all that is known, which takes the place
// of the one before, at last `result`, or `error` with the text of the error. What is wrong with
// the request is answered without a stream.
func events[M interface {
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
			return nil // a later event has what this one would have had
		}
		return err
	})
	if err == nil {
		err = c.check(m)
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
