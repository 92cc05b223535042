package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

// FromJSON turns OTLP/JSON into a TracesData message. It reads the text once from front to back and
// writes the message as it goes. The message is never longer than the text, and nothing else of the
// text's size is allocated.
//
// It reads what ProtoJSON and OTLP allow: names in lowerCamelCase and snake_case; null for whatever
// is not there; numbers and numbers in quotes, with exponents where they are whole; both alphabets
// of base64; ids in hex of either case; enums by number and by name. Fields that are not known are
// passed over. Values nested deeper than 100 become texts that hold their JSON.
//
// A wrong span is refused alone, and a wrong resource or scope is refused with its spans; losses
// tell of them. The request is refused with an error if the text is not one JSON object (or null,
// an empty request), or if nothing could be kept.
func FromJSON(b []byte) (otlp []byte, losses Losses, err error) {
	r := jsonReader{
		jsonScanner: jsonScanner{b: b},
		dst:         make([]byte, 0, len(b)/2+64),
		place:       make([]placeInJSON, 0, 8),
	}
	if len(b) >= 3 && string(b[:3]) == "\xef\xbb\xbf" { // a byte order mark
		r.pos = 3
	}
	switch r.peek() {
	case '{':
		err = r.readMessage(tracesSchema, 0)
	case 'n':
		err = r.scanLiteral()
	case 0:
		err = errors.New("read JSON: the body is empty")
	default:
		err = fmt.Errorf(`read JSON: want an object {"resourceSpans": […]}, found %s`, r.describeFound())
	}
	if err != nil {
		return nil, Losses{}, err
	}
	if r.peek(); r.pos < len(b) {
		err = fmt.Errorf("%w after the first JSON value: send one object a request", r.syntaxError("nothing"))
		return nil, Losses{}, err
	}
	if r.kept == 0 && r.firstError != nil {
		return nil, Losses{}, r.firstError
	}
	r.losses.writeCounts()
	return r.dst, r.losses, nil
}

// jsonReader transcodes one text.
type jsonReader struct {
	jsonScanner
	dst        []byte
	losses     Losses
	kept       int // spans
	firstError error
	place      []placeInJSON // the lists that pos is in
}

type placeInJSON struct {
	name  string
	index int
}

// describePlace names the place of an error, as in resourceSpans[0].scopeSpans[2].spans[5].
func (r *jsonReader) describePlace() string {
	var out strings.Builder
	for i, p := range r.place {
		if i > 0 {
			out.WriteByte('.')
		}
		fmt.Fprintf(&out, "%s[%d]", p.name, p.index)
	}
	return out.String()
}

// readMessage reads an object and appends the content of its message. depth counts the AnyValues
// around it.
func (r *jsonReader) readMessage(m *jsonSchema, depth int) error {
	if r.peek() != '{' {
		return newMismatch("want an object, found %s", r.describeFound())
	}
	if m == anySchema {
		depth++
	}
	set := false
	more, err := r.openBracket('}')
	for ; more && err == nil; more, err = r.nextOrClose('}') {
		name, err := r.scanName()
		if err != nil {
			return err
		}
		f := m.fields[string(name)]
		if f == nil {
			if err := r.skipUnknown(m, name); err != nil {
				return err
			}
			continue
		}
		if r.peek() == 'n' {
			if err := r.scanLiteral(); err != nil {
				return err
			}
			continue
		}
		if m.oneof {
			if set {
				return newMismatch("%s: more than one value is given", name)
			}
			set = true
		}
		if m.oneof && depth == maxDepth && f.kind == kindMessage {
			err = r.foldValue()
		} else {
			err = r.readMember(f, depth, m.oneof)
		}
		if wrong, ok := err.(*jsonMismatch); ok {
			wrong.text = f.name + ": " + wrong.text
		}
		if err != nil {
			return err
		}
	}
	return err
}

// skipUnknown passes over a field that is not known, and notes those that are known to be old.
func (r *jsonReader) skipUnknown(m *jsonSchema, name []byte) error {
	instead, old := m.old[string(name)]
	if c := r.peek(); !old || c == 'n' {
		return r.skipValue()
	}
	text := fmt.Sprintf("%s is not read here: send %s, as OTLP 1.0 has it", name, instead)
	spans := 0
	if f := m.fields[instead]; f.schema != nil && f.schema.tolerant && r.peek() == '[' {
		var err error
		if spans, err = r.skipListCounting(f.schema); err != nil {
			return err
		}
	} else if err := r.skipValue(); err != nil {
		return err
	}
	r.losses.addLost(OldNames, spans, r.describePlace, text)
	return nil
}

// readMember reads the value of a field and appends it. keep: a zero is written, too, because
// it is a value and not an absence.
func (r *jsonReader) readMember(f *jsonField, depth int, keep bool) error {
	if !f.repeated {
		return r.readValue(f, depth, keep)
	}
	if r.peek() != '[' {
		return newMismatch("want a list, found %s", r.describeFound())
	}
	tolerant := f.schema != nil && f.schema.tolerant
	if tolerant {
		r.place = append(r.place, placeInJSON{name: f.name})
	}
	more, err := r.openBracket(']')
	for i := 0; more && err == nil; i++ {
		if tolerant {
			err = r.readTolerant(f, depth, i)
		} else {
			err = r.readElement(f, depth)
		}
		if err != nil {
			return err
		}
		more, err = r.nextOrClose(']')
	}
	if tolerant {
		r.place = r.place[:len(r.place)-1]
	}
	return err
}

// readElement reads the element of a list. One that is null is passed over, except in a list of
// values, whose places count.
func (r *jsonReader) readElement(f *jsonField, depth int) error {
	if r.peek() != 'n' {
		return r.readValue(f, depth, true)
	}
	if f.schema == anySchema {
		r.dst = append(r.dst, byte(f.num)<<3|wireLen, 0)
	}
	return r.scanLiteral()
}

// readTolerant reads an element that may be wrong. Nothing of a wrong element is kept, and its
// spans are refused.
func (r *jsonReader) readTolerant(f *jsonField, depth, index int) error {
	r.place[len(r.place)-1].index = index
	before := *r
	r.losses = Losses{} // of this element, in case that it is kept
	err := r.readElement(f, depth)
	inner := r.losses
	r.losses = before.losses
	wrong, ok := err.(*jsonMismatch)
	if !ok {
		if f == spansField && len(r.dst) > len(before.dst) {
			r.kept++
		}
		r.losses.mergePart(inner)
		return err
	}
	r.pos, r.kept, r.firstError = before.pos, before.kept, before.firstError
	r.place = r.place[:len(before.place)]
	r.dst = r.dst[:len(before.dst)]
	spans, err := r.skipCounting(f.schema)
	if err != nil {
		return err
	}
	if r.firstError == nil {
		r.firstError = fmt.Errorf("%s: %w", r.describePlace(), wrong)
	}
	r.losses.addLost(wrong.code, spans, r.describePlace, wrong.text)
	return nil
}

// skipCounting passes over a tolerant message and counts the spans in it.
func (r *jsonReader) skipCounting(m *jsonSchema) (spans int, err error) {
	if m.below == nil {
		return 1, r.skipValue()
	}
	if r.peek() != '{' {
		return 0, r.skipValue()
	}
	more, err := r.openBracket('}')
	for ; more && err == nil; more, err = r.nextOrClose('}') {
		name, err := r.scanName()
		if err != nil {
			return 0, err
		}
		if m.fields[string(name)] != m.below || r.peek() != '[' {
			if err := r.skipValue(); err != nil {
				return 0, err
			}
			continue
		}
		n, err := r.skipListCounting(m.below.schema)
		if err != nil {
			return 0, err
		}
		spans += n
	}
	return spans, err
}

func (r *jsonReader) skipListCounting(m *jsonSchema) (spans int, err error) {
	more, err := r.openBracket(']')
	for ; more && err == nil; more, err = r.nextOrClose(']') {
		n, err := r.skipCounting(m)
		if err != nil {
			return 0, err
		}
		spans += n
	}
	return spans, err
}

// foldValue reads an array or map that is nested too deep, and appends its JSON as a text.
func (r *jsonReader) foldValue() error {
	r.peek()
	from := r.pos
	if err := r.skipValue(); err != nil {
		return err
	}
	r.dst = appendLen(r.dst, 1<<3|wireLen, r.b[from:r.pos])
	r.losses.addChanged(ValuesNested, 1, r.describePlace, causeFolded)
	return nil
}

// readValue reads one value, which is not null, and appends it as a field.
func (r *jsonReader) readValue(f *jsonField, depth int, keep bool) error {
	tag := byte(f.num << 3) // of fields below 16
	switch f.kind {
	case kindMessage:
		var mark int
		r.dst, mark = openMessage(r.dst, tag|wireLen)
		if err := r.readMessage(f.schema, depth); err != nil {
			return err
		}
		r.dst = closeMessage(r.dst, mark)
		return nil
	case kindText:
		return r.readText(tag|wireLen, keep)
	case kindID:
		var err error
		r.dst, err = r.appendHexID(r.dst, tag|wireLen, f.size)
		return err
	case kindBase64:
		var err error
		r.dst, err = r.appendBase64(r.dst, tag|wireLen)
		return err
	case kindDouble:
		n, err := r.readFloat()
		if err == nil {
			r.dst = binary.LittleEndian.AppendUint64(append(r.dst, tag|wireI64), math.Float64bits(n))
		}
		return err
	case kindBool:
		yes, err := r.readBool()
		if err == nil {
			r.dst = append(r.dst, tag|wireVarint, 0)
			if yes {
				r.dst[len(r.dst)-1] = 1
			}
		}
		return err
	}
	return r.readWhole(f, tag, keep)
}

func (r *jsonReader) readText(tag byte, keep bool) error {
	if r.peek() != '"' {
		return newMismatch("want a text, found %s", r.describeFound())
	}
	raw, escaped, err := r.scanQuoted()
	switch {
	case err != nil:
		return err
	case escaped:
		var mark int
		r.dst, mark = openMessage(r.dst, tag)
		r.dst = closeMessage(appendUnescaped(r.dst, raw), mark)
	case len(raw) > 0 || keep:
		r.dst = appendLen(r.dst, tag, raw)
	}
	return nil
}

func (r *jsonReader) readWhole(f *jsonField, tag byte, keep bool) (err error) {
	var n uint64
	switch f.kind {
	case kindInt:
		n, err = r.readInteger(math.MinInt64, math.MaxInt64)
	case kindUint32, kindFixed32:
		n, err = r.readInteger(0, math.MaxUint32)
	case kindFixed64:
		n, err = r.readInteger(0, math.MaxUint64)
	case kindEnum:
		n, err = r.readEnum(f.names)
	}
	if err != nil || n == 0 && !keep {
		return err
	}
	switch {
	case f.kind == kindFixed64:
		r.dst = binary.LittleEndian.AppendUint64(append(r.dst, tag|wireI64), n)
	case f.kind == kindFixed32:
		r.dst = binary.AppendUvarint(r.dst, uint64(f.num<<3|wireI32))
		r.dst = binary.LittleEndian.AppendUint32(r.dst, uint32(n))
	default:
		r.dst = binary.AppendUvarint(append(r.dst, tag|wireVarint), n)
	}
	return nil
}
