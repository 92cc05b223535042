package zipkin

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/proto/zipkin_proto3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// v2 reads lists of spans of version 2. Whatever does not say that it is protobuf is JSON.
type v2 struct{ parseTags bool }

func (v2) Memory(kind string, body []byte) int64 {
	if kind == typeProto {
		return protoMemory(body)
	}
	return jsonMemory(body)
}

func (f v2) Read(kind string, body []byte) (ingress.Spans, error) {
	l := newList(f.parseTags)
	var spans []*model.SpanModel
	var err error
	if kind == typeProto {
		spans, err = l.readProto(body)
	} else {
		spans, err = l.readJSON(body)
	}
	if err != nil {
		return ingress.Spans{}, err
	}
	spans = slices.DeleteFunc(spans, func(s *model.SpanModel) bool {
		if s == nil {
			l.refuseSpan(refusals.MalformedSpan, "a span of the list is null")
			return true
		}
		if s.ID == 0 || s.TraceID.Empty() {
			l.refuseSpan(refusals.InvalidID, "a span of the list has no trace id or no span id")
			return true
		}
		return l.hasTooMany(len(s.Tags))
	})
	l.translateSpans(spans)
	sortAttributes(l.traces)
	return l.toSpans(), nil
}

// readJSON reads the spans that can be read. Where one cannot, all are read again one by one.
func (l *list) readJSON(body []byte) ([]*model.SpanModel, error) {
	var spans []*model.SpanModel
	err := json.Unmarshal(body, &spans)
	if err == nil {
		return spans, nil
	}
	var each []json.RawMessage
	if json.Unmarshal(body, &each) != nil {
		return nil, err
	}
	spans = spans[:0]
	for i, raw := range each {
		var s *model.SpanModel
		if err := json.Unmarshal(raw, &s); err != nil {
			l.refuseSpan(refusals.MalformedSpan, "span %d of the list: %w", i, err)
			continue
		}
		spans = append(spans, s)
	}
	return spans, nil
}

// readProto reads the spans whose ids can be read. Trace ids may have 64 bits.
func (l *list) readProto(body []byte) ([]*model.SpanModel, error) {
	var all zipkin_proto3.ListOfSpans
	if err := proto.Unmarshal(body, &all); err != nil {
		return nil, err
	}
	changed := false
	all.Spans = slices.DeleteFunc(all.Spans, func(s *zipkin_proto3.Span) bool {
		if len(s.TraceId) == 8 {
			s.TraceId, changed = append(make([]byte, 8, 16), s.TraceId...), true
		}
		if len(s.TraceId) == 16 && len(s.Id) == 8 && (len(s.ParentId) == 0 || len(s.ParentId) == 8) {
			return false
		}
		l.refuseSpan(refusals.InvalidID, "invalid TraceID, SpanID or ParentID: "+
			"they have %d, %d and %d bytes, and must have 8 or 16, 8, and 0 or 8",
			len(s.TraceId), len(s.Id), len(s.ParentId))
		changed = true
		return true
	})
	if changed {
		var err error
		if body, err = proto.Marshal(&all); err != nil {
			return nil, err
		}
	}
	return zipkin_proto3.ParseSpans(body, false)
}

// translateSpans adds spans. The translator makes one resource for all spans of a service, from
// the tags of the first. Spans whose tags do not fit that resource are translated alone.
func (l *list) translateSpans(spans []*model.SpanModel) {
	texts := hideTexts(spans)
	td, err := l.translator.ToTraces(spans)
	if err != nil {
		for _, s := range spans {
			l.translateAlone(s, texts[s])
		}
		return
	}
	var alone []*model.SpanModel
	next := 0 // the translator has sorted the list, and its spans are in the order of that
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			ss.Spans().RemoveIf(func(span ptrace.Span) bool {
				sent := spans[next]
				next++
				v := view{span, rs.Resource(), ss.Scope()}
				if !v.fitsTags(sent.Tags) {
					alone = append(alone, sent)
					return true
				}
				l.restoreTags(v, sent, texts[sent])
				return false
			})
		}
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool { return ss.Spans().Len() == 0 })
	}
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool { return rs.ScopeSpans().Len() == 0 })
	td.ResourceSpans().MoveAndAppendTo(l.traces.ResourceSpans())
	for _, s := range alone {
		l.translateAlone(s, texts[s])
	}
}

// translateAlone adds one span with a resource of its own.
func (l *list) translateAlone(s *model.SpanModel, texts map[int]string) {
	td, err := l.translator.ToTraces([]*model.SpanModel{s})
	if err != nil {
		l.refuseSpan(refusals.MalformedSpan, "span %s: %w", s.ID, err)
		return
	}
	rs := td.ResourceSpans().At(0)
	ss := rs.ScopeSpans().At(0)
	l.restoreTags(view{ss.Spans().At(0), rs.Resource(), ss.Scope()}, s, texts)
	td.ResourceSpans().MoveAndAppendTo(l.traces.ResourceSpans())
}

// hideTexts takes out the texts of annotations that the translator would take apart, and returns
// them. They contain the sign that the exporter of OpenTelemetry puts between a name, attributes
// and a number.
func hideTexts(spans []*model.SpanModel) map[*model.SpanModel]map[int]string {
	var out map[*model.SpanModel]map[int]string
	for _, s := range spans {
		for i, a := range s.Annotations {
			if !strings.Contains(a.Value, "|") || isEncodedEvent(a.Value) {
				continue
			}
			if out == nil {
				out = map[*model.SpanModel]map[int]string{}
			}
			if out[s] == nil {
				out[s] = map[int]string{}
			}
			out[s][i] = a.Value
			s.Annotations[i].Value = ""
		}
	}
	return out
}

// isEncodedEvent reports whether a text is name|attributes|number.
func isEncodedEvent(text string) bool {
	first, last := strings.Index(text, "|"), strings.LastIndex(text, "|")
	if first == last || first < 0 {
		return false
	}
	digits := text[last+1:]
	return digits != "" && len(digits) < 10 && strings.Trim(digits, "0123456789") == "" &&
		strings.HasPrefix(text[first+1:last], "{") && json.Valid([]byte(text[first+1:last]))
}

// view is a span after its translation.
type view struct {
	span     ptrace.Span
	resource pcommon.Resource
	scope    pcommon.InstrumentationScope
}

// taken are the tags that the translator turns into fields of a span or gives another name.
var fieldTags = map[string]bool{statusCode: true, newStatusCode: true, "error": true, "span.kind": true,
	"otel.status_code":        true,
	"otel.status_description": true, "w3c.tracestate": true}

const (
	statusCode    = "http.status_code"
	newStatusCode = "http.response.status_code"
	linkPrefix    = "otlp.link."
	nameSource    = "otlp.service.name.source"
)

// fitsTags reports whether the resource and the scope belong to a span with these tags, and
// whether none of the tags is lost.
func (v view) fitsTags(tags map[string]string) bool {
	source := tags[nameSource]
	for key, value := range v.resource.Attributes().All() {
		if sent, ok := tags[key]; key != "service.name" && key != source && (!ok || sent != value.AsString()) {
			return false
		}
	}
	version := tags["otel.library.version"]
	if newer, ok := tags["otel.scope.version"]; ok {
		version = newer
	}
	if v.scope.Name() != "" && v.scope.Version() != version {
		return false
	}
	for key, value := range tags {
		if !fieldTags[key] && !strings.HasPrefix(key, linkPrefix) && !v.holdsTag(key, value) {
			return false
		}
	}
	return true
}

// holdsTag reports whether a tag is in the span, its resource or its scope.
func (v view) holdsTag(key, value string) bool {
	if _, ok := v.span.Attributes().Get(key); ok {
		return true
	}
	switch key {
	case "otel.scope.name", "otel.library.name":
		return v.scope.Name() == value
	case "otel.scope.version", "otel.library.version":
		return v.scope.Version() == value && v.scope.Name() != ""
	case nameSource:
		_, ok := v.resource.Attributes().Get(value)
		return ok
	}
	got, ok := v.resource.Attributes().Get(key)
	return ok && got.AsString() == value
}

// restoreTags puts back tags and texts that have no other place.
func (l *list) restoreTags(v view, sent *model.SpanModel, texts map[int]string) {
	attributes := v.span.Attributes()
	_, old := sent.Tags[statusCode]
	if _, newer := sent.Tags[newStatusCode]; old && !newer {
		attributes.Remove(newStatusCode)
	}
	for _, key := range slices.Sorted(maps.Keys(sent.Tags)) {
		value := sent.Tags[key]
		switch {
		case key == statusCode, key == newStatusCode, key == "error":
		case key == "span.kind":
			if v.span.Kind() == ptrace.SpanKindInternal {
				continue
			}
		case key == "otel.status_code":
			if isStatus(value) {
				continue
			}
		case key == "otel.status_description":
			if v.span.Status().Message() == value {
				continue
			}
		case key == "w3c.tracestate":
			if v.span.TraceState().AsRaw() == value {
				continue
			}
		case strings.HasPrefix(key, linkPrefix):
			if _, ok := attributes.Get(key); ok || strings.Count(value, "|") >= 4 {
				continue
			}
		case v.holdsTag(key, value):
			continue
		}
		l.putTag(attributes, key, value)
	}
	for i, text := range texts {
		v.span.Events().At(i).SetName(text)
	}
}

func isStatus(text string) bool {
	switch text {
	case "STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR", "Unset", "Ok", "Error":
		return true
	}
	return false
}
