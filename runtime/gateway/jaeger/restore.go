package jaeger

import (
	"strings"

	"github.com/jaegertracing/jaeger-idl/model/v1"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Names that the translator gives to tags instead of the sent ones.
const (
	statusCode    = "http.status_code"
	newStatusCode = "http.response.status_code"
	version       = "jaeger.version"
	newVersion    = "opencensus.exporterversion"
)

// restoreProcess gives the tags of a process that the translator renamed their names back. What it
// adds by the name of the convention, host.name for hostname, stays beside them.
func restoreProcess(to pcommon.Resource, sent *model.Process) {
	attributes := to.Attributes()
	restoreRenamed(attributes, sent.Tags)
	sentNew := false
	for _, t := range sent.Tags {
		switch t.Key {
		case "hostname", version:
			putTag(attributes, t)
		case newVersion:
			sentNew = true
		}
	}
	if !sentNew {
		attributes.Remove(newVersion)
	}
	if sent.ServiceName == "" {
		return
	}
	// a name that the translator takes for none, and then leaves out the tags too
	if _, ok := attributes.Get("service.name"); !ok {
		attributes.PutStr("service.name", sent.ServiceName)
		for _, t := range sent.Tags {
			putTag(attributes, t)
		}
	}
}

// restoreSpan puts back what the translator took out of a span's tags and logs without another
// place for it.
func restoreSpan(to ptrace.Span, sent *model.Span) {
	attributes := to.Attributes()
	restoreRenamed(attributes, sent.Tags)
	explicit := false // the span says its status itself
	for _, t := range sent.Tags {
		text := t.VType == model.ValueType_STRING
		switch t.Key {
		case "error":
			putTag(attributes, t)
		case "span.kind":
			if to.Kind() == ptrace.SpanKindUnspecified {
				putTag(attributes, t)
			}
		case "otel.status_code":
			explicit = explicit || text
			if !text || !isStatus(t.VStr) {
				putTag(attributes, t)
			}
		case "otel.status_description":
			if !text || to.Status().Message() != t.VStr {
				putTag(attributes, t)
			}
		case "w3c.tracestate":
			if !text {
				putTag(attributes, t)
			}
		}
	}
	if v, ok := attributes.Get("error"); ok && !explicit && to.Status().Code() == ptrace.StatusCodeUnset &&
		isFailure(v) {
		to.Status().SetCode(ptrace.StatusCodeError)
	}
	for i, l := range sent.Logs {
		event := to.Events().At(i)
		restoreRenamed(event.Attributes(), l.Fields)
		for _, f := range l.Fields {
			if f.Key == "event" && f.VType != model.ValueType_STRING {
				putTag(event.Attributes(), f)
			}
		}
	}
}

// restoreRenamed gives the code of an HTTP answer the name that it was sent with: the translator
// knows it by two.
func restoreRenamed(attributes pcommon.Map, tags []model.KeyValue) {
	old, newer := false, false
	for _, t := range tags {
		switch t.Key {
		case statusCode:
			old = true
		case newStatusCode:
			newer = true
		}
	}
	if !newer {
		if !old {
			return
		}
		attributes.Remove(newStatusCode)
	} else if !old {
		attributes.Remove(statusCode)
	}
	for _, t := range tags {
		if t.Key == statusCode || t.Key == newStatusCode {
			putTag(attributes, t)
		}
	}
}

func isStatus(text string) bool {
	switch strings.ToUpper(text) {
	case "OK", "ERROR", "UNSET":
		return true
	}
	return false
}

// isFailure reports whether the value of a tag error says that the span failed. Clients send true,
// "true", 1 or a message.
func isFailure(v pcommon.Value) bool {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return v.Str() != "" && !strings.EqualFold(v.Str(), "false") && v.Str() != "0"
	case pcommon.ValueTypeBool:
		return v.Bool()
	case pcommon.ValueTypeInt:
		return v.Int() != 0
	case pcommon.ValueTypeDouble:
		return v.Double() != 0
	}
	return false
}

// putTag puts a tag as it was sent.
func putTag(to pcommon.Map, t model.KeyValue) {
	switch t.VType {
	case model.ValueType_BOOL:
		to.PutBool(t.Key, t.VBool)
	case model.ValueType_INT64:
		to.PutInt(t.Key, t.VInt64)
	case model.ValueType_FLOAT64:
		to.PutDouble(t.Key, t.VFloat64)
	case model.ValueType_BINARY:
		to.PutEmptyBytes(t.Key).FromRaw(t.VBinary)
	default:
		to.PutStr(t.Key, t.VStr)
	}
}
