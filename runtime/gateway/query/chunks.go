package query

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/answer"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/long"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// ErrLong is that a trace is too large to be put together in memory. OpenTrace reads it in chunks.
var ErrLong = errors.New("the trace is too large to be held in memory")

func errLong() error {
	return status.Limitedf(0, "%w; read it with /api/traces/{id} or /api/v2/traces/{id}", ErrLong)
}

// Page says which part of a trace is wanted. The zero Page is all of it.
type Page struct {
	After    *long.Cursor
	MaxBytes int64 // about; 0: no bound
}

// PageName returns the text that stands for a cursor in requests and answers.
func PageName(c long.Cursor) string {
	b := binary.BigEndian.AppendUint64(nil, c.Start)
	b = append(b, c.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, c.Print)
	b = binary.AppendUvarint(b, uint64(c.Items))
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParsePage reads the text of PageName. Error: Invalid.
func ParsePage(name string) (c long.Cursor, err error) {
	b, err := base64.RawURLEncoding.DecodeString(name)
	if err == nil && len(b) > 24 {
		items, n := binary.Uvarint(b[24:])
		if n == len(b)-24 && items < 1<<32 {
			c.Start, c.Print, c.Items = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[16:]), int(items)
			copy(c.ID[:], b[8:])
			return c, nil
		}
	}
	return c, invalidf("invalid page: %q is not what an answer has named", name)
}

// TraceReader reads a trace in chunks. It belongs to one goroutine, which must Close it.
type TraceReader struct {
	svc     *Service
	ctx     context.Context
	close   context.CancelFunc
	page    Page
	filter  *answer.Filter
	alone   error          // why only one tenant may have the trace
	reading *tenantReading // of the tenant that has the trace; nil: none has it
	answers []*jobs.Answer // of all tenants whose query has ended
	tenants []string       // of answers
	dropped bool           // the filter has left spans out
}

// tenantReading is the query for a trace of one tenant.
type tenantReading struct {
	tenant string
	begun  chan *jobs.Answer // what is known when the first chunk can be taken
	ended  chan tenantEnd
	id     string
	known  *jobs.Answer
}

// OpenTrace begins to read a trace in chunks. filter may be nil; it must judge spans by themselves.
// Of several tenants only one may have the trace. Errors: Limited where the trace cannot be read in
// chunks, and those of the query.
func (s *Service) OpenTrace(
	ctx context.Context, tenants []string, id trace.ID, filter *answer.Filter, page Page,
) (*TraceReader, error) {
	if filter != nil && filter.NeedsTrace() {
		return nil, status.Limitedf(0, "%w: keep_hierarchy and match_depth need all of it; ask without them", ErrLong)
	}
	return s.openChunks(ctx, tenants, id, TraceReader{page: page, filter: filter, alone: ErrLong},
		jobs.Chunks{After: page.After, MaxBytes: page.MaxBytes})
}

// OpenOutline begins to read the outline of a trace: Next returns its parts. Of several tenants
// only one may have the trace. Errors: Limited where the trace is too large, and those of the
// query.
// Source: docs/format/outline.md.
func (s *Service) OpenOutline(ctx context.Context, tenants []string, id trace.ID) (*TraceReader, error) {
	return s.openChunks(ctx, tenants, id, TraceReader{alone: errOutline}, jobs.Chunks{Outline: true})
}

var errOutline = errors.New("an outline is that of one tenant's trace")

// openChunks has every tenant's query begin, for a reader that asks for chunks.
func (s *Service) openChunks(
	ctx context.Context, tenants []string, id trace.ID, reader TraceReader, chunks jobs.Chunks,
) (*TraceReader, error) {
	frontend, err := s.Directory.Find(kinds.QueryFrontend, "")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &reader
	r.svc, r.ctx, r.close = s, ctx, cancel
	readings := make([]*tenantReading, len(tenants))
	for i, t := range tenants {
		q := jobs.Query{Tenant: t, Trace: &id, Text: id.String(), Chunks: &chunks}
		readings[i] = s.beginReading(ctx, frontend, q)
	}
	for _, one := range readings {
		if err := r.awaitBegin(one); err != nil {
			cancel()
			return nil, err
		}
	}
	return r, nil
}

// beginReading asks one tenant's query for chunks.
func (s *Service) beginReading(ctx context.Context, frontend ask.Ref, q jobs.Query) *tenantReading {
	t := &tenantReading{tenant: q.Tenant, begun: make(chan *jobs.Answer, 1), ended: make(chan tenantEnd, 1)}
	ctx, endSpan := s.beginSpan(ctx, []string{q.Tenant}, &q)
	go func() {
		a, err := ask.Follow(ctx, s.Asker, frontend, &q, func(known *jobs.Answer) {
			select {
			case t.begun <- known:
			default: // it was told before
			}
		})
		endSpan(a, err)
		t.ended <- tenantEnd{answer: a, err: err}
	}()
	return t
}

// awaitBegin waits until a tenant's trace can be read, or is known not to be there.
func (r *TraceReader) awaitBegin(t *tenantReading) error {
	select {
	case known := <-t.begun:
		if r.reading != nil {
			return status.Limitedf(0, "%w, and both tenant %s and tenant %s have it; ask for one of them",
				r.alone, r.reading.tenant, t.tenant)
		}
		t.id, t.known = known.QueryID, known
		r.reading = t
		return nil
	case e := <-t.ended:
		return r.takeEnd(t, e)
	}
}

func (r *TraceReader) takeEnd(t *tenantReading, e tenantEnd) error {
	if e.err != nil {
		return e.err
	}
	r.answers, r.tenants = append(r.answers, e.answer), append(r.tenants, t.tenant)
	return nil
}

// Found reports whether the trace is there.
func (r *TraceReader) Found() bool { return r.reading != nil }

// Next returns the next chunk, a TracesData message, or the next part of an outline; nil: there is
// none any more.
func (r *TraceReader) Next() ([]byte, error) {
	for r.reading != nil {
		otlp, err := r.takeChunk()
		if err != nil || otlp == nil {
			return nil, err
		}
		if r.filter == nil {
			return otlp, nil
		}
		kept, dropped, err := r.svc.filterTrace(r.ctx, r.filter, otlp)
		r.dropped = r.dropped || dropped
		if err != nil || len(kept) > 0 {
			return kept, err
		}
	}
	return nil, nil
}

// takeChunk takes the next chunk of the query, and its answer after the last one.
func (r *TraceReader) takeChunk() ([]byte, error) {
	frontend, err := r.svc.Directory.Find(kinds.QueryFrontend, "")
	if err != nil {
		return nil, err
	}
	t := r.reading
	chunk, err := ask.Ask[*jobs.TraceChunk](r.ctx, r.svc.Asker, frontend, &jobs.TakeChunk{Query: t.id})
	if err == nil && len(chunk.Bytes) > 0 {
		return chunk.Bytes, nil
	}
	// The query has ended, and its own end tells most.
	if endErr := r.takeEnd(t, <-t.ended); endErr != nil {
		return nil, endErr
	}
	return nil, err
}

// Answer returns the message of the API without its trace: as far as it is known, and whole when
// there is no chunk any more. next is the page that goes on; empty: the trace has ended.
func (r *TraceReader) Answer() (m *api.TraceByIDResponse, next string, err error) {
	answers, tenants := r.answers, r.tenants
	if r.reading != nil && !slices.Contains(tenants, r.reading.tenant) {
		answers, tenants = append(slices.Clip(answers), r.reading.known), append(slices.Clip(tenants), r.reading.tenant)
	}
	a, err := answer.JoinTenants(tenants, answers, jobs.Scan{})
	if err != nil {
		return nil, "", err
	}
	var reasons []string
	if a.Next != nil {
		next = PageName(*a.Next)
		reasons = append(reasons, fmt.Sprintf("Trace exceeds maximum size of %d bytes, a partial trace is returned; "+
			"its next part is page=%s", r.page.MaxBytes, next))
	}
	return describeTrace(a, reasons, r.dropped), next, nil
}

// Close ends the reading.
func (r *TraceReader) Close() { r.close() }

// describeTrace makes the message of the API for a trace, without the trace. reasons are why the
// answer is partial beside what it lacks, and dropped that a filter has left spans out.
func describeTrace(a *jobs.Answer, reasons []string, dropped bool) *api.TraceByIDResponse {
	m := &api.TraceByIDResponse{
		Metrics:   &api.TraceByIDMetrics{InspectedBytes: uint64(max(a.Bytes, 0))},
		Complete:  &a.Complete,
		Warnings:  a.Warnings,
		Watermark: uint64(a.Watermark),
	}
	if !a.Complete {
		reasons = append(reasons, a.Warnings...)
	}
	if dropped {
		reasons = append(reasons, "Trace filtered, only a subset of spans matching the filter is returned")
	}
	if len(reasons) > 0 {
		m.Status = api.PartialStatus_PARTIAL
		m.Message = strings.ToValidUTF8(strings.Join(reasons, "; "), "\ufffd")
	}
	return m
}

// filterTrace applies a filter to a trace or to a chunk of one.
func (s *Service) filterTrace(
	ctx context.Context, filter *answer.Filter, otlp []byte,
) (kept []byte, dropped bool, err error) {
	err = s.WorkOn(ctx, "filter trace", len(otlp), func(ctx context.Context) (err error) {
		kept, dropped, err = filter.Apply(ctx, otlp)
		return err
	})
	return kept, dropped, invalidQuery("", err)
}
