package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/answer"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// parseTraceID reads the id in the path and checks the parameters of trace by id. start and end
// leave out nothing: a trace is looked for in all of time, at a cost that does not depend on it.
func parseTraceID(c *call, prefix string) (trace.ID, error) {
	id, err := trace.ParseID(strings.TrimPrefix(c.r.URL.Path, prefix))
	if err != nil {
		return id, invalidf("%s", err)
	}
	v := c.r.URL.Query()
	var at [2]int64
	for i, name := range []string{"start", "end"} {
		if s := v.Get(name); s != "" {
			if at[i], err = strconv.ParseInt(s, 10, 64); err != nil {
				return id, invalidf("invalid %s: %s", name, err)
			}
		}
	}
	if at[0] != 0 && at[1] != 0 && at[1] <= at[0] {
		return id, invalidf("http parameter start must be before end. received start=%d end=%d", at[0], at[1])
	}
	switch mode := v.Get("mode"); mode {
	case "", "all", "ingesters", "blocks", "external":
	default:
		return id, invalidf("invalid value for mode %s", mode)
	}
	return id, nil
}

func (a *handlers) serveTraceV1(c *call) error {
	id, err := parseTraceID(c, "/api/traces/")
	if err != nil {
		return err
	}
	otlp, m, err := a.FindTrace(c.ctx, c.tenants, id, nil)
	if errors.Is(err, query.ErrLong) {
		return a.sendChunks(c, id, nil, query.Page{}, formV1(acceptedType(c.r)))
	}
	if err != nil {
		return err
	}
	if err := c.checkComplete(m); err != nil {
		return err
	}
	if len(otlp) == 0 {
		return c.sendNotFound(m)
	}
	switch f := acceptedType(c.r); f {
	case typeProtobuf:
		return c.sendAnswer(typeProtobuf, otlp, m)
	default: // language models get the same text under their own type
		b, err := trace.AppendJSON(make([]byte, 0, 4*len(otlp)), otlp, true)
		if err != nil {
			return status.Errorf(status.Corrupt, "print trace: %w", err)
		}
		return c.sendAnswer(f, b, m)
	}
}

// sendNotFound answers trace by id v1 where no home has the trace.
func (c *call) sendNotFound(m *api.TraceByIDResponse) error {
	if !m.GetComplete() { // nobody can say that the trace does not exist
		return status.Errorf(status.Unavailable,
			"trace not found, but not everything could be read: %s", m.Message)
	}
	setCompleteness(c.Header(), m)
	c.Header()["Content-Type"] = nil
	c.Header().Del("Content-Disposition")
	c.WriteHeader(http.StatusNotFound)
	return nil
}

func (a *handlers) serveTraceV2(c *call) error {
	id, err := parseTraceID(c, "/api/v2/traces/")
	if err != nil {
		return err
	}
	filter, err := a.parseTraceFilter(c)
	if err != nil {
		return err
	}
	page, asked, err := a.parsePage(c)
	if err != nil {
		return err
	}
	accepted := acceptedType(c.r)
	if asked && accepted != typeLLM {
		return a.sendChunks(c, id, filter, page, c.formV2(accepted))
	}
	otlp, m, err := a.FindTrace(c.ctx, c.tenants, id, filter)
	if errors.Is(err, query.ErrLong) && accepted != typeLLM {
		return a.sendChunks(c, id, filter, page, c.formV2(accepted))
	}
	if err != nil {
		return err
	}
	return a.sendTraceV2(c, otlp, m)
}

// sendTraceV2 answers with a trace in the message of version 2, in the form that the client
// accepts.
func (a *handlers) sendTraceV2(c *call, otlp []byte, m *api.TraceByIDResponse) error {
	if err := c.checkComplete(m); err != nil {
		return err
	}
	switch acceptedType(c.r) {
	case typeProtobuf:
		b, err := proto.Marshal(m)
		if err != nil {
			return status.Errorf(status.Internal, "encode answer: %w", err)
		}
		// The trace goes out as it is stored: the fields of a message may be joined in any order.
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		return c.sendAnswer(typeProtobuf, protowire.AppendBytes(b, otlp), m)
	case typeLLM:
		var b []byte
		err := a.WorkOn(c.ctx, "print trace", len(otlp), func(ctx context.Context) (err error) {
			if b, err = answer.MarshalTraceForLLM(ctx, otlp, m); err != nil && ctx.Err() == nil {
				err = status.Errorf(status.Corrupt, "print trace: %w", err)
			}
			return err
		})
		if err != nil {
			return err
		}
		return c.sendAnswer(typeLLM+"+json", b, m)
	default:
		b, err := answer.AppendTraceByIDJSON(make([]byte, 0, 4*len(otlp)+256), otlp, m, c.knowsCompleteness)
		if err != nil {
			return status.Errorf(status.Corrupt, "print trace: %w", err)
		}
		return c.sendAnswer(typeJSON, b, m)
	}
}

// parsePage reads which part of a trace is wanted, and reports whether the request says so.
func (a *handlers) parsePage(c *call) (p query.Page, asked bool, err error) {
	v := c.r.URL.Query()
	p.MaxBytes = int64(a.Config.TraceByID.MaxBytes)
	if s := v.Get("page_bytes"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n <= 0 {
			return p, false, invalidf("invalid value for page_bytes: must be a positive number")
		}
		if asked = true; p.MaxBytes == 0 || n < p.MaxBytes {
			p.MaxBytes = n
		}
	}
	if s := v.Get("page"); s != "" {
		after, err := query.ParsePage(s)
		if err != nil {
			return p, false, err
		}
		p.After, asked = &after, true
	}
	return p, asked, nil
}

// parseTraceFilter reads the filter of trace by id v2, nil where there is none.
func (a *handlers) parseTraceFilter(c *call) (*answer.Filter, error) {
	v := c.r.URL.Query()
	text := v.Get("q")
	if text == "" {
		return nil, nil
	}
	q, err := traceql.ParseMax(text, int(a.Config.MaxQueryBytes))
	if err != nil {
		return nil, invalidf("invalid TraceQL filter: failed to parse TraceQL spanset filter: %s", err)
	}
	f, err := answer.NewFilter(q)
	if err != nil {
		return nil, invalidf("invalid TraceQL filter: %s", err)
	}
	if s := v.Get("keep_hierarchy"); s != "" {
		if f.Hierarchy, err = strconv.ParseBool(s); err != nil {
			return nil, invalidf("invalid value for keep_hierarchy: %s", err)
		}
	}
	if f.MatchDepth, err = parseDepth(v.Get("match_depth"), "match_depth", 0); err != nil {
		return nil, err
	}
	if f.Hierarchy {
		if f.AncestorDepth, err = parseDepth(v.Get("ancestor_depth"), "ancestor_depth", -1); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func parseDepth(s, name string, otherwise int) (int, error) {
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, invalidf("invalid value for %s: %s", name, err)
	}
	if n < -1 {
		return 0, invalidf("invalid value for %s: must be >= -1", name)
	}
	return n, nil
}
