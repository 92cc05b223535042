package grpcapi

import (
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/gateway/delivery"
)

// packets sends messages in parts of at most limit bytes. A part holds at least one item, however
// large that is. Metrics are repeated in every part; the rest of what a message tells of the answer
// is in its last part.
type packets[M proto.Message] struct {
	send      func(M) error
	split     func(m M, limit int) []M
	limit     int // 0 or less: none
	unwritten *delivery.Budget
}

// sendMessage sends a message. Its memory counts until the transport has taken it. Error: Limited,
// and those of the stream.
func (p packets[M]) sendMessage(m M) error {
	size := proto.Size(m)
	if err := p.unwritten.Reserve(size); err != nil {
		return err
	}
	defer p.unwritten.Release(size)
	if p.limit <= 0 || size <= p.limit {
		return p.send(m)
	}
	for _, part := range p.split(m, p.limit) {
		if err := p.send(part); err != nil {
			return err
		}
	}
	return nil
}

// sendProgress sends the results so far. Where there is no memory for the message it is left out,
// because a later one holds them too.
func (p packets[M]) sendProgress(m M) error {
	if err := p.sendMessage(m); !errors.Is(err, delivery.ErrFull) {
		return err
	}
	return nil
}

// overhead is what an item takes in its message besides its own bytes: its tag and its length.
const overhead = 6

// cutRuns cuts items into runs that fit into messages of at most limit bytes. spent is what every
// message holds besides.
func cutRuns[I any](items []I, size func(I) int, spent, limit int) [][]I {
	var out [][]I
	from, used := 0, spent
	for i, it := range items {
		n := size(it) + overhead
		if i > from && used+n > limit {
			out = append(out, items[from:i])
			from, used = i, spent
		}
		used += n
	}
	return append(out, items[from:])
}

func sizeOf[M proto.Message](m M) int { return proto.Size(m) }

func splitSearch(m *api.SearchResponse, limit int) []*api.SearchResponse {
	var out []*api.SearchResponse
	for _, run := range cutRuns(m.Traces, sizeOf, proto.Size(m.Metrics), limit) {
		out = append(out, &api.SearchResponse{Traces: run, Metrics: m.Metrics})
	}
	last := out[len(out)-1]
	last.Complete, last.Warnings, last.Watermark = m.Complete, m.Warnings, m.Watermark
	return out
}

func splitTags(m *api.SearchTagsResponse, limit int) []*api.SearchTagsResponse {
	var out []*api.SearchTagsResponse
	for _, run := range cutRuns(m.TagNames, func(s string) int { return len(s) }, proto.Size(m.Metrics), limit) {
		out = append(out, &api.SearchTagsResponse{TagNames: run, Metrics: m.Metrics})
	}
	last := out[len(out)-1]
	last.Complete, last.Warnings, last.Watermark = m.Complete, m.Warnings, m.Watermark
	return out
}

// splitTagsV2 cuts inside scopes: the name of a scope comes again in the next part.
func splitTagsV2(m *api.SearchTagsV2Response, limit int) []*api.SearchTagsV2Response {
	type item struct{ scope, tag string }
	var items []item
	for _, s := range m.Scopes {
		for _, t := range s.Tags {
			items = append(items, item{s.Name, t})
		}
	}
	var out []*api.SearchTagsV2Response
	size := func(i item) int { return len(i.scope) + len(i.tag) + overhead }
	for _, run := range cutRuns(items, size, proto.Size(m.Metrics), limit) {
		part := &api.SearchTagsV2Response{Metrics: m.Metrics}
		for _, i := range run {
			if n := len(part.Scopes); n == 0 || part.Scopes[n-1].Name != i.scope {
				part.Scopes = append(part.Scopes, &api.SearchTagsV2Scope{Name: i.scope})
			}
			s := part.Scopes[len(part.Scopes)-1]
			s.Tags = append(s.Tags, i.tag)
		}
		out = append(out, part)
	}
	last := out[len(out)-1]
	last.Complete, last.Warnings, last.Watermark = m.Complete, m.Warnings, m.Watermark
	return out
}

func splitValues(m *api.SearchTagValuesResponse, limit int) []*api.SearchTagValuesResponse {
	var out []*api.SearchTagValuesResponse
	for _, run := range cutRuns(m.TagValues, func(s string) int { return len(s) }, proto.Size(m.Metrics), limit) {
		out = append(out, &api.SearchTagValuesResponse{TagValues: run, Metrics: m.Metrics})
	}
	last := out[len(out)-1]
	last.Complete, last.Warnings, last.Watermark = m.Complete, m.Warnings, m.Watermark
	return out
}

func splitValuesV2(m *api.SearchTagValuesV2Response, limit int) []*api.SearchTagValuesV2Response {
	var out []*api.SearchTagValuesV2Response
	for _, run := range cutRuns(m.TagValues, sizeOf, proto.Size(m.Metrics), limit) {
		out = append(out, &api.SearchTagValuesV2Response{TagValues: run, Metrics: m.Metrics})
	}
	last := out[len(out)-1]
	last.Complete, last.Warnings, last.Watermark = m.Complete, m.Warnings, m.Watermark
	return out
}

func splitRange(m *api.QueryRangeResponse, limit int) []*api.QueryRangeResponse {
	var out []*api.QueryRangeResponse
	for _, run := range cutRuns(m.Series, sizeOf, proto.Size(m.Metrics), limit) {
		out = append(out, &api.QueryRangeResponse{Series: run, Metrics: m.Metrics})
	}
	last := out[len(out)-1]
	last.Status, last.Message = m.Status, m.Message
	last.Complete, last.Warnings, last.Watermark = m.Complete, m.Warnings, m.Watermark
	return out
}

func splitInstant(m *api.QueryInstantResponse, limit int) []*api.QueryInstantResponse {
	var out []*api.QueryInstantResponse
	for _, run := range cutRuns(m.Series, sizeOf, proto.Size(m.Metrics), limit) {
		out = append(out, &api.QueryInstantResponse{Series: run, Metrics: m.Metrics})
	}
	last := out[len(out)-1]
	last.Status, last.Message = m.Status, m.Message
	last.Complete, last.Warnings, last.Watermark = m.Complete, m.Warnings, m.Watermark
	return out
}

// sentTraces remembers which traces a client has, and as what.
type sentTraces struct {
	sent map[string]*api.TraceSearchMetadata
}

// takeFresh returns the traces of m that the client does not have, with the metrics, which are
// cumulative.
func (d sentTraces) takeFresh(m *api.SearchResponse) *api.SearchResponse {
	out := &api.SearchResponse{Metrics: m.Metrics}
	for _, t := range m.Traces {
		if !proto.Equal(d.sent[t.TraceID], t) {
			d.sent[t.TraceID] = t
			out.Traces = append(out.Traces, t)
		}
	}
	return out
}

// sentSet remembers which names or values a client has.
type sentSet[T comparable] struct{ sent map[T]struct{} }

func newSentSet[T comparable]() *sentSet[T] { return &sentSet[T]{sent: map[T]struct{}{}} }

func (d *sentSet[T]) addIfFresh(v T) bool {
	if _, ok := d.sent[v]; ok {
		return false
	}
	d.sent[v] = struct{}{}
	return true
}

func (d *sentSet[T]) takeFresh(all []T) (fresh []T) {
	for _, v := range all {
		if d.addIfFresh(v) {
			fresh = append(fresh, v)
		}
	}
	return fresh
}
