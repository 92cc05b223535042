package zipkin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinv2"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// maxTags bounds the tags of a span: the translator compares each with all before it.
const maxTags = 1000

// list collects the spans of one body.
type list struct {
	parseTags  bool
	translator zipkinv2.ToTranslator
	traces     ptrace.Traces
	refused    []ingress.Loss // one for each reason
}

func newList(parseTags bool) *list {
	return &list{parseTags: parseTags, translator: zipkinv2.ToTranslator{ParseStringTags: parseTags},
		traces: ptrace.NewTraces()}
}

func (l *list) toSpans() ingress.Spans { return ingress.Spans{Traces: l.traces, Refused: l.refused} }

// refuseSpan counts a span that is left out. The message of the first span of a reason is
// reported.
func (l *list) refuseSpan(reason refusals.Reason, format string, args ...any) {
	for i := range l.refused {
		if l.refused[i].Reason == reason {
			l.refused[i].Spans++
			return
		}
	}
	l.refused = append(l.refused, ingress.Loss{Reason: reason, Spans: 1,
		Message: "read spans: " + fmt.Errorf(format, args...).Error()})
}

// hasTooMany reports whether a span has too many tags, and then refuses it.
func (l *list) hasTooMany(tags int) bool {
	if tags > maxTags {
		l.refuseSpan(refusals.TooManyTags, "a span of the list has %d tags, at most %d are read: send fewer", tags,
			maxTags)
	}
	return tags > maxTags
}

// putTag puts a tag as it was sent, or, if that is configured, as the number or boolean that its
// text reads as.
func (l *list) putTag(to pcommon.Map, key, text string) {
	if l.parseTags {
		digits := strings.TrimPrefix(text, "-")
		whole, fraction, point := strings.Cut(digits, ".")
		switch {
		case text == "true" || text == "false":
			to.PutBool(key, text == "true")
			return
		case isDigits(digits):
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				to.PutInt(key, n)
				return
			}
		case point && isDigits(whole) && isDigits(fraction):
			if f, err := strconv.ParseFloat(text, 64); err == nil {
				to.PutDouble(key, f)
				return
			}
		}
	}
	to.PutStr(key, text)
}

func isDigits(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// sortAttributes gives all attributes one order. Those of version 2 come from maps of Go, whose
// order varies; but a body that is sent again must become the same spans, so that they are known
// as duplicates.
func sortAttributes(td ptrace.Traces) {
	for _, rs := range td.ResourceSpans().All() {
		sortMap(rs.Resource().Attributes())
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				sortMap(span.Attributes())
				for _, event := range span.Events().All() {
					sortMap(event.Attributes())
				}
				for _, link := range span.Links().All() {
					sortMap(link.Attributes())
				}
			}
		}
	}
}

func sortMap(m pcommon.Map) {
	if m.Len() < 2 {
		return
	}
	keys := make([]string, 0, m.Len())
	for key := range m.All() {
		keys = append(keys, key)
	}
	if slices.IsSorted(keys) {
		return
	}
	slices.Sort(keys)
	sorted := pcommon.NewMap()
	sorted.EnsureCapacity(len(keys))
	for _, key := range keys {
		v, _ := m.Get(key)
		v.MoveTo(sorted.PutEmpty(key))
	}
	sorted.MoveTo(m)
}
