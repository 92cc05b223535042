package answer

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// The form of answers for language models: attributes are plain JSON objects, ids are hex digits
// and numbers are JSON numbers.
// Source: docs/spec/api.md, "The form for language models".

type llmAnswer struct {
	Trace   *llmTrace  `json:"trace,omitempty"`
	Metrics llmMetrics `json:"metrics"`
	Status  string     `json:"status"`
	Message string     `json:"message,omitempty"`
}

type llmMetrics struct {
	InspectedBytes uint64 `json:"inspectedBytes,omitempty"`
}

type llmTrace struct {
	TraceID  string        `json:"traceId"`
	Services []*llmService `json:"services"`
}

type llmService struct {
	ServiceName string         `json:"serviceName,omitempty"`
	Resource    map[string]any `json:"resource,omitempty"`
	Scopes      []*llmScope    `json:"scopes,omitempty"`
}

type llmScope struct {
	Name    string    `json:"name,omitempty"`
	Version string    `json:"version,omitempty"`
	Spans   []llmSpan `json:"spans,omitempty"`
}

type llmSpan struct {
	SpanID            string         `json:"spanId"`
	Name              string         `json:"name,omitempty"`
	ParentSpanID      string         `json:"parentSpanId,omitempty"`
	Kind              string         `json:"kind,omitempty"`
	StartTimeUnixNano uint64         `json:"startTimeUnixNano,omitempty,string"`
	EndTimeUnixNano   uint64         `json:"endTimeUnixNano,omitempty,string"`
	DurationMs        float64        `json:"durationMs,omitempty"`
	Attributes        map[string]any `json:"attributes,omitempty"`
	Events            []llmEvent     `json:"events,omitempty"`
	Links             []llmLink      `json:"links,omitempty"`
	Status            llmStatus      `json:"status"`
}

type llmEvent struct {
	Name         string         `json:"name,omitempty"`
	TimeUnixNano uint64         `json:"timeUnixNano,omitempty,string"`
	Attributes   map[string]any `json:"attributes,omitempty"`
}

type llmLink struct {
	TraceID    string         `json:"traceId,omitempty"`
	SpanID     string         `json:"spanId,omitempty"`
	Attributes map[string]any `json:"attributes,omitempty"`
}

type llmStatus struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// MarshalTraceForLLM returns the JSON of trace by id v2 in the form for language models. otlp is
// the trace as a TracesData message; without spans the answer is an empty object. The errors are
// trace.ErrMalformed and that of ctx.
func MarshalTraceForLLM(ctx context.Context, otlp []byte, m *api.TraceByIDResponse) ([]byte, error) {
	v := llmVisitor{ctx: ctx}
	var r trace.Reader
	if err := r.Walk(otlp, &v); err != nil {
		return nil, err
	}
	if v.trace.TraceID == "" {
		return []byte("{}"), nil
	}
	return json.Marshal(llmAnswer{
		Trace:   &v.trace,
		Metrics: llmMetrics{m.GetMetrics().GetInspectedBytes()},
		Status:  m.Status.String(),
		Message: m.Message,
	})
}

// llmVisitor builds the trace of an answer while a trace.Reader walks over it.
type llmVisitor struct {
	ctx   context.Context
	trace llmTrace
	spans int
}

func (v *llmVisitor) Resource(resource []byte) error {
	attrs, err := trace.ResourceAttributes(resource, nil)
	if err != nil {
		return err
	}
	s := &llmService{Resource: trace.Plain(attrs)}
	if name, ok := s.Resource["service.name"].(string); ok {
		s.ServiceName = name
		delete(s.Resource, "service.name")
	}
	v.trace.Services = append(v.trace.Services, s)
	return nil
}

func (v *llmVisitor) Scope(scope []byte) error {
	content, err := trace.ReadScope(scope, nil)
	if err != nil {
		return err
	}
	s := v.trace.Services[len(v.trace.Services)-1]
	s.Scopes = append(s.Scopes, &llmScope{
		Name:    validText(string(content.Name)),
		Version: validText(string(content.Version)),
	})
	return nil
}

func (v *llmVisitor) Span(s *trace.Span) error {
	if v.spans++; v.spans%1024 == 0 && v.ctx.Err() != nil {
		return v.ctx.Err()
	}
	v.trace.TraceID = s.TraceID.String()
	scopes := v.trace.Services[len(v.trace.Services)-1].Scopes
	out := llmSpan{
		SpanID:            s.SpanID.String(),
		Name:              validText(string(s.Name)),
		StartTimeUnixNano: s.StartUnixNano,
		EndTimeUnixNano:   s.EndUnixNano,
		Attributes:        trace.Plain(s.Attributes),
		Status:            llmStatus{Code: trace.StatusName(s.Status), Message: validText(string(s.StatusMessage))},
	}
	if s.HasParent {
		out.ParentSpanID = s.ParentID.String()
	}
	if s.Kind != 0 {
		out.Kind = trace.KindName(s.Kind)
	}
	if s.EndUnixNano > s.StartUnixNano {
		out.DurationMs = float64(s.EndUnixNano-s.StartUnixNano) / float64(time.Millisecond)
	}
	for i := range s.Events {
		e := &s.Events[i]
		out.Events = append(out.Events, llmEvent{
			Name:         validText(string(e.Name)),
			TimeUnixNano: e.TimeUnixNano,
			Attributes:   trace.Plain(e.Attributes),
		})
	}
	for i := range s.Links {
		l := &s.Links[i]
		out.Links = append(out.Links, llmLink{
			TraceID:    hex.EncodeToString(l.TraceID),
			SpanID:     hex.EncodeToString(l.SpanID),
			Attributes: trace.Plain(l.Attributes),
		})
	}
	scope := scopes[len(scopes)-1]
	scope.Spans = append(scope.Spans, out)
	return nil
}

// MarshalValuesForLLM returns the JSON of tag values v2 in the form for language models, which
// lists values by type.
func MarshalValuesForLLM(m *api.SearchTagValuesV2Response) ([]byte, error) {
	byType := map[string][]string{}
	for _, v := range m.TagValues {
		byType[v.Type] = append(byType[v.Type], v.Value)
	}
	return json.Marshal(struct {
		TagValues map[string][]string `json:"tagValues"`
		Metrics   llmMetrics          `json:"metrics"`
	}{byType, llmMetrics{m.GetMetrics().GetInspectedBytes()}})
}
