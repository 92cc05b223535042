package trace

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// AppendJSON appends a TracesData message in the JSON form of Tempo's API: proto3 JSON in which the
// ids are base64, too. With v1 the top level key is "batches", else "resourceSpans"; without spans
// the object is empty. Resource, scope and status are always there, possibly `{}`. Invalid UTF-8
// becomes U+FFFD. Entity references of resources are left out, since Tempo's messages do not know
// them. On ErrMalformed dst is returned as it was.
// Source: docs/spec/api.md, "JSON" and "Trace by id".
func AppendJSON(dst, otlp []byte, v1 bool) ([]byte, error) {
	w := jsonVisitor{b: append(dst, '{'), key: `"resourceSpans":[`}
	if v1 {
		w.key = `"batches":[`
	}
	var r Reader
	if err := r.Walk(otlp, &w); err != nil {
		return dst, err
	}
	w.closeResource()
	if w.resources > 0 {
		w.b = append(w.b, ']')
	}
	return append(w.b, '}'), nil
}

// AppendJSONList appends the ResourceSpans of a TracesData message as AppendJSON does, with a comma
// between two of them, and nothing else. n is how many there are. On ErrMalformed dst is returned
// as it was.
func AppendJSONList(dst, otlp []byte) (out []byte, n int, err error) {
	return appendJSONList(dst, otlp, protoJSON)
}

// AppendOTLPJSONList does the same in the form that OTLP has of its own: ids are hexadecimal, and
// kinds and status codes are numbers.
func AppendOTLPJSONList(dst, otlp []byte) (out []byte, n int, err error) {
	return appendJSONList(dst, otlp, otlpJSON)
}

func appendJSONList(dst, otlp []byte, form jsonForm) (out []byte, n int, err error) {
	w := jsonVisitor{b: dst, jsonForm: form}
	var r Reader
	if err := r.Walk(otlp, &w); err != nil {
		return dst, 0, err
	}
	w.closeResource()
	return w.b, w.resources, nil
}

// jsonForm is how JSON has what the JSON of protobuf and that of OTLP have differently.
type jsonForm uint8

const (
	protoJSON jsonForm = iota
	otlpJSON
)

func (f jsonForm) appendID(b, id []byte) []byte {
	if f == protoJSON {
		return jsonBase64(b, id)
	}
	return append(hex.AppendEncode(append(b, '"'), id), '"')
}

func (f jsonForm) appendEnum(b []byte, key string, v int32, names []string) []byte {
	if v == 0 {
		return b
	}
	b = append(b, joinKey(b, key)...)
	if f == protoJSON && v > 0 && int(v) < len(names) {
		return append(append(append(b, '"'), names[v]...), '"')
	}
	return strconv.AppendInt(b, int64(v), 10)
}

// jsonVisitor writes while it walks. resources, scopes and spans count what the open parent holds.
type jsonVisitor struct {
	jsonForm
	b                        []byte
	key                      string
	resources, scopes, spans int
	resourceSchema           []byte
	scopeSchema              []byte
	attrs                    []Attribute
}

func (w *jsonVisitor) closeScope() {
	if w.spans > 0 {
		w.b = append(w.b, ']')
	}
	if w.scopes > 0 {
		w.b = append(jsonText(w.b, `,"schemaUrl":`, w.scopeSchema), '}')
	}
	w.spans = 0
}

func (w *jsonVisitor) closeResource() {
	w.closeScope()
	if w.scopes > 0 {
		w.b = append(w.b, ']')
	}
	if w.resources > 0 {
		w.b = append(jsonText(w.b, `,"schemaUrl":`, w.resourceSchema), '}')
	}
	w.scopes = 0
}

func (w *jsonVisitor) Resource(resource []byte) (err error) {
	w.closeResource()
	if w.resources == 0 {
		w.b = append(w.b, w.key...)
	} else {
		w.b = append(w.b, ',')
	}
	w.resources++
	if w.attrs, err = ResourceAttributes(resource, w.attrs[:0]); err != nil {
		return err
	}
	head, tail := cutFirst(resource)
	w.resourceSchema = schemaURL(w.resourceSchema, tail)
	w.b = append(w.b, `{"resource":{`...)
	w.b = jsonAttributes(w.b, w.attrs)
	w.b = jsonCount(w.b, `"droppedAttributesCount":`, droppedIn(head, 2))
	w.b = append(w.b, '}')
	return nil
}

func (w *jsonVisitor) Scope(scope []byte) error {
	w.closeScope()
	if w.scopes == 0 {
		w.b = append(w.b, `,"scopeSpans":[`...)
	} else {
		w.b = append(w.b, ',')
	}
	w.scopes++
	content, err := ReadScope(scope, nil)
	if err != nil {
		return err
	}
	head, tail := cutFirst(scope)
	w.scopeSchema = schemaURL(w.scopeSchema, tail)
	w.b = append(w.b, `{"scope":{`...)
	w.b = jsonText(w.b, `"name":`, content.Name)
	w.b = jsonText(w.b, joinKey(w.b, `,"version":`), content.Version)
	w.b = jsonAttributes(w.b, content.Attributes)
	w.b = jsonCount(w.b, `"droppedAttributesCount":`, droppedIn(head, 4))
	w.b = append(w.b, '}')
	return nil
}

// schemaURL copies the schema_url of the tail of a canonical resource or scope.
func schemaURL(dst, tail []byte) []byte {
	dst = dst[:0]
	if len(tail) > 0 {
		_, url := readField(tail, 0)
		dst = append(dst, url...)
	}
	return dst
}

// droppedIn reads a number field of the message in the only field of head.
func droppedIn(head []byte, field uint32) (n uint32) {
	if len(head) == 0 {
		return 0
	}
	_, msg := readField(head, 0)
	for pos := 0; pos < len(msg); {
		f, _ := readField(msg, pos)
		if f.end < 0 {
			break
		}
		if pos = f.end; f.num == field {
			n = uint32(f.val)
		}
	}
	return n
}

func (w *jsonVisitor) Span(s *Span) error {
	if w.spans == 0 {
		w.b = append(w.b, `,"spans":[`...)
	} else {
		w.b = append(w.b, ',')
	}
	w.spans++
	b := append(w.b, '{')
	if !s.TraceID.IsZero() {
		b = w.appendID(append(b, `"traceId":`...), s.TraceID[:])
	}
	if !s.SpanID.IsZero() {
		b = w.appendID(append(b, joinKey(b, `,"spanId":`)...), s.SpanID[:])
	}
	b = jsonText(b, joinKey(b, `,"traceState":`), s.TraceState)
	if s.HasParent {
		b = w.appendID(append(b, joinKey(b, `,"parentSpanId":`)...), s.ParentID[:])
	}
	b = jsonCount(b, `"flags":`, s.Flags)
	b = jsonText(b, joinKey(b, `,"name":`), s.Name)
	b = w.appendEnum(b, `,"kind":`, s.Kind, kindNames[:])
	b = jsonTime(b, `,"startTimeUnixNano":`, s.StartUnixNano)
	b = jsonTime(b, `,"endTimeUnixNano":`, s.EndUnixNano)
	b = jsonAttributes(b, s.Attributes)
	b = jsonCount(b, `"droppedAttributesCount":`, s.DroppedAttributes)
	for i := range s.Events {
		if i == 0 {
			b = append(b, joinKey(b, `,"events":[`)...)
		} else {
			b = append(b, ',')
		}
		b = jsonEvent(b, &s.Events[i])
	}
	if len(s.Events) > 0 {
		b = append(b, ']')
	}
	b = jsonCount(b, `"droppedEventsCount":`, s.DroppedEvents)
	for i := range s.Links {
		if i == 0 {
			b = append(b, joinKey(b, `,"links":[`)...)
		} else {
			b = append(b, ',')
		}
		b = w.appendLink(b, &s.Links[i])
	}
	if len(s.Links) > 0 {
		b = append(b, ']')
	}
	b = jsonCount(b, `"droppedLinksCount":`, s.DroppedLinks)
	b = append(b, joinKey(b, `,"status":{`)...)
	b = jsonText(b, `"message":`, s.StatusMessage)
	b = w.appendEnum(b, `,"code":`, s.Status, statusNames[:])
	w.b = append(b, '}', '}')
	return nil
}

var kindNames = [...]string{"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT",
	"SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"}

var statusNames = [...]string{"STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"}

func jsonEvent(b []byte, e *Event) []byte {
	b = append(b, '{')
	b = jsonTime(b, `,"timeUnixNano":`, e.TimeUnixNano)
	b = jsonText(b, joinKey(b, `,"name":`), e.Name)
	b = jsonAttributes(b, e.Attributes)
	b = jsonCount(b, `"droppedAttributesCount":`, e.Dropped)
	return append(b, '}')
}

func (f jsonForm) appendLink(b []byte, l *Link) []byte {
	b = append(b, '{')
	if len(l.TraceID) > 0 {
		b = f.appendID(append(b, `"traceId":`...), l.TraceID)
	}
	if len(l.SpanID) > 0 {
		b = f.appendID(append(b, joinKey(b, `,"spanId":`)...), l.SpanID)
	}
	b = jsonText(b, joinKey(b, `,"traceState":`), l.TraceState)
	b = jsonAttributes(b, l.Attributes)
	b = jsonCount(b, `"droppedAttributesCount":`, l.Dropped)
	b = jsonCount(b, `"flags":`, l.Flags)
	return append(b, '}')
}

// joinKey returns a key that starts with a comma: without the comma where b has just opened an
// object.
func joinKey(b []byte, key string) string {
	if b[len(b)-1] == '{' {
		return key[1:]
	}
	return key
}

func jsonText(b []byte, key string, text []byte) []byte {
	if len(text) == 0 {
		return b
	}
	return appendJSONString(append(b, key...), text)
}

func jsonTime(b []byte, key string, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = append(append(b, joinKey(b, key)...), '"')
	return append(strconv.AppendUint(b, v, 10), '"')
}

func jsonCount(b []byte, key string, v uint32) []byte {
	if v == 0 {
		return b
	}
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return strconv.AppendUint(append(b, key...), uint64(v), 10)
}

func jsonBase64(b, bytes []byte) []byte {
	b = base64.StdEncoding.AppendEncode(append(b, '"'), bytes)
	return append(b, '"')
}

func jsonAttributes(b []byte, attrs []Attribute) []byte {
	for i := range attrs {
		if i == 0 {
			b = append(b, joinKey(b, `,"attributes":[`)...)
		} else {
			b = append(b, ',')
		}
		b = jsonAttribute(b, &attrs[i], 1)
	}
	if len(attrs) > 0 {
		b = append(b, ']')
	}
	return b
}

func jsonAttribute(b []byte, a *Attribute, depth int) []byte {
	b = append(b, '{')
	b = jsonText(b, `"key":`, a.Key)
	b = append(b, joinKey(b, `,"value":`)...)
	return append(jsonValue(b, &a.Value, depth), '}')
}

func jsonValue(b []byte, v *Value, depth int) []byte {
	switch v.Type {
	case String:
		return append(appendJSONString(append(b, `{"stringValue":`...), v.Bytes), '}')
	case Bool:
		return append(strconv.AppendBool(append(b, `{"boolValue":`...), v.Num != 0), '}')
	case Int:
		return append(strconv.AppendInt(append(b, `{"intValue":"`...), int64(v.Num), 10), '"', '}')
	case Float:
		return append(appendJSONFloat(append(b, `{"doubleValue":`...), math.Float64frombits(v.Num)), '}')
	case Bytes:
		return append(jsonBase64(append(b, `{"bytesValue":`...), v.Bytes), '}')
	case Array, Map:
		return jsonList(b, v, depth)
	}
	return append(b, '{', '}')
}

func jsonList(b []byte, v *Value, depth int) []byte {
	if v.Type == Array {
		b = append(b, `{"arrayValue":{`...)
	} else {
		b = append(b, `{"kvlistValue":{`...)
	}
	n := 0
	for list := lastList(v.Bytes); len(list) > 0 && depth < maxDepth; {
		body, rest, ok := takeElement(list)
		if list = rest; !ok {
			continue
		}
		if n++; n == 1 {
			b = append(b, `"values":[`...)
		} else {
			b = append(b, ',')
		}
		if v.Type == Array {
			var e Value
			elementValue(body, &e)
			b = jsonValue(b, &e, depth+1)
		} else {
			var a Attribute
			elementAttribute(body, &a)
			b = jsonAttribute(b, &a, depth+1)
		}
	}
	if n > 0 {
		b = append(b, ']')
	}
	return append(b, '}', '}')
}

// appendJSONFloat prints numbers as encoding/json does, and as a string what JSON has no number
// for.
func appendJSONFloat(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Infinity"`...)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	b = strconv.AppendFloat(b, f, format, -1, 64)
	if n := len(b); format == 'e' && n >= 4 && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' {
		b[n-2] = b[n-1] // e-09 to e-9
		b = b[:n-1]
	}
	return b
}

const hexDigits = "0123456789abcdef"

// appendJSONString quotes text as encoding/json does, with HTML characters escaped.
func appendJSONString(b, s []byte) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' {
				i++
				continue
			}
			b = append(b, s[from:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\b':
				b = append(b, '\\', 'b')
			case '\f':
				b = append(b, '\\', 'f')
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRune(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(append(b, s[from:i]...), `\ufffd`...)
			from = i + 1
		case r == '\u2028' || r == '\u2029': // line ends for JavaScript
			b = append(append(b, s[from:i]...), '\\', 'u', '2', '0', '2', hexDigits[r&15])
			from = i + n
		}
		i += n
	}
	return append(append(b, s[from:]...), '"')
}

// AppendJSONString appends text as a JSON string, quoted as AppendJSON does it.
func AppendJSONString(dst []byte, text string) []byte {
	return appendJSONString(dst, unsafe.Slice(unsafe.StringData(text), len(text)))
}

// AppendJSONFloat appends a number, or "NaN", "Infinity", "-Infinity" as a string.
func AppendJSONFloat(dst []byte, f float64) []byte { return appendJSONFloat(dst, f) }

// KindName is the name of a span's kind in OTLP, or its number where it has none.
func KindName(kind int32) string { return enumName(kind, kindNames[:]) }

// StatusName is the name of a status code in OTLP, or its number where it has none.
func StatusName(code int32) string { return enumName(code, statusNames[:]) }

func enumName(v int32, names []string) string {
	if v >= 0 && int(v) < len(names) {
		return names[v]
	}
	return strconv.Itoa(int(v))
}
