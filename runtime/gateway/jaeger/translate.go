package jaeger

import (
	"fmt"
	"slices"

	"github.com/jaegertracing/jaeger-idl/model/v1"
	translator "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/jaeger"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// maxTags bounds the tags of a span, a process and a log: the translator compares each with all
// before it.
const maxTags = 1000

// scope is what made a span.
type scope struct{ name, version string }

// translation collects the spans of one body.
type translation struct {
	out     ingress.Spans
	refused map[refusals.Reason]*ingress.Loss
}

// translateSpans turns spans into OTLP. common is the process of spans that have none of their
// own; it may be nil. The spans are changed but not kept.
func translateSpans(common *model.Process, spans []*model.Span) (ingress.Spans, error) {
	t := &translation{out: ingress.Spans{Traces: ptrace.NewTraces()}, refused: map[refusals.Reason]*ingress.Loss{}}
	if common == nil {
		common = &model.Process{}
	}
	var order []string
	groups := map[string][]*model.Span{}
	for i, s := range spans {
		if !t.acceptsSpan(i, s) {
			continue
		}
		if s.Process == nil {
			s.Process = common
		}
		key := ""
		if s.Process != common {
			bytes, err := s.Process.Marshal()
			if err != nil {
				return ingress.Spans{}, err
			}
			key = "own " + string(bytes)
		}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], s)
	}
	for _, key := range order {
		if err := t.addGroup(groups[key]); err != nil {
			return ingress.Spans{}, err
		}
	}
	for _, l := range t.refused {
		t.out.Refused = append(t.out.Refused, *l)
	}
	slices.SortFunc(t.out.Refused, func(a, b ingress.Loss) int { return int(b.Spans - a.Spans) })
	return t.out, nil
}

// acceptsSpan reports whether a span can be kept, and otherwise refuses it.
func (t *translation) acceptsSpan(i int, s *model.Span) bool {
	most := 0
	if s != nil {
		most = len(s.Tags)
		if s.Process != nil {
			most = max(most, len(s.Process.Tags))
		}
		for _, l := range s.Logs {
			most = max(most, len(l.Fields))
		}
	}
	switch {
	case s == nil || s.SpanID == 0 || s.TraceID == model.TraceID{}:
		t.refuseSpan(refusals.InvalidID, "span %d of the batch has no trace id or no span id", i)
	case most > maxTags:
		t.refuseSpan(refusals.TooManyTags,
			"span %d of the batch has %d tags in one list, at most %d are read: send fewer", i, most, maxTags)
	default:
		return true
	}
	return false
}

// refuseSpan counts a span that is left out, with the reason.
func (t *translation) refuseSpan(reason refusals.Reason, format string, args ...any) {
	l := t.refused[reason]
	if l == nil {
		l = &ingress.Loss{Reason: reason}
		t.refused[reason] = l
	}
	l.Spans++
	l.Message = fmt.Sprintf(format, args...)
}

// addGroup translates spans of one process.
func (t *translation) addGroup(spans []*model.Span) error {
	process := spans[0].Process
	if n := len(process.Tags); n > maxTags {
		for range spans {
			t.refuseSpan(refusals.TooManyTags, "the process has %d tags, at most %d are read: send fewer", n, maxTags)
		}
		return nil
	}
	scopes, rest := make([]scope, len(spans)), make([][]model.KeyValue, len(spans))
	for i, s := range spans {
		s.Process = nil // each is of the batch's process
		scopes[i], rest[i] = takeScope(s)
	}
	td, err := translator.ProtoToTraces([]*model.Batch{{Process: process, Spans: spans}})
	if err != nil {
		return err
	}
	// There is one resource and, without tags of scopes, one scope; its spans are in the order of
	// ours.
	if rs := td.ResourceSpans(); rs.Len() != 1 || rs.At(0).ScopeSpans().Len() != 1 || td.SpanCount() != len(spans) {
		return fmt.Errorf("the translator made %d spans of %d", td.SpanCount(), len(spans))
	}
	from := td.ResourceSpans().At(0)
	to := t.out.Traces.ResourceSpans().AppendEmpty()
	from.Resource().MoveTo(to.Resource())
	restoreProcess(to.Resource(), process)
	byScope := map[scope]ptrace.SpanSlice{}
	translated := from.ScopeSpans().At(0).Spans()
	for i, sent := range spans {
		in, ok := byScope[scopes[i]]
		if !ok {
			ss := to.ScopeSpans().AppendEmpty()
			ss.Scope().SetName(scopes[i].name)
			ss.Scope().SetVersion(scopes[i].version)
			in = ss.Spans()
			byScope[scopes[i]] = in
		}
		restoreSpan(translated.At(i), sent)
		for _, t := range rest[i] {
			putTag(translated.At(i).Attributes(), t)
		}
		translated.At(i).MoveTo(in.AppendEmpty())
	}
	return nil
}

// takeScope takes the tags that stand for a span's scope out of its list. The names of older
// versions count where the newer are missing. It also takes out other tags that the translator
// would read as the name of a scope, and returns them.
func takeScope(s *model.Span) (scope, []model.KeyValue) {
	var name, version, oldName, oldVersion string
	for _, t := range s.Tags {
		if to := scopeField(t, &name, &version, &oldName, &oldVersion); to != nil && *to == "" {
			*to = t.GetVStr()
		}
	}
	found := scope{name, version}
	if name == "" {
		found.name = oldName
	}
	if version == "" {
		found.version = oldVersion
	}
	var rest []model.KeyValue
	s.Tags = slices.DeleteFunc(s.Tags, func(t model.KeyValue) bool {
		if to := scopeField(t, &found.name, &found.version, &found.name, &found.version); to != nil &&
			t.GetVStr() == *to {
			return true
		}
		if t.Key != "otel.scope.name" {
			return false
		}
		rest = append(rest, t)
		return true
	})
	return found, rest
}

// scopeField returns which of its arguments a tag stands for, or nil.
func scopeField(t model.KeyValue, name, version, oldName, oldVersion *string) *string {
	if t.VType != model.ValueType_STRING {
		return nil
	}
	switch t.Key {
	case "otel.scope.name":
		return name
	case "otel.scope.version":
		return version
	case "otel.library.name":
		return oldName
	case "otel.library.version":
		return oldVersion
	}
	return nil
}
