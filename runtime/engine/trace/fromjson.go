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
// A span that is wrong is refused alone, and a resource or scope that is wrong is refused with its
// spans; losses tell of them. The request is refused with an error if the text is not one JSON
// object (or null, an empty request), or if nothing could be kept.
func FromJSON(b []byte) (otlp []byte, losses Losses, err error) {
	r := jsonReader{jsonScanner: jsonScanner{b: b}, dst: make([]byte, 0, len(b)/2+64), place: make([]placeInJSON, 0, 8)}
	if len(b) >= 3 && string(b[:3]) == "\xef\xbb\xbf" { // a byte order mark
		r.pos = 3
	}
	switch r.peek() {
	case '{':
		err = r.message(tracesSchema, 0)
	case 'n':
		err = r.literal()
	case 0:
		err = errors.New("read JSON: the body is empty")
	default:
		err = fmt.Errorf(`read JSON: want an object {"resourceSpans": […]}, found %s`, r.found())
	}
	if err != nil {
		return nil, Losses{}, err
	}
	if r.peek(); r.pos < len(b) {
		err = fmt.Errorf("%w after the first JSON value: send one object a request", r.syntax("nothing"))
		return nil, Losses{}, err
	}
	if r.kept == 0 && r.first != nil {
		return nil, Losses{}, r.first
	}
	r.losses.complete()
	return r.dst, r.losses, nil
}

// jsonReader transcodes one text.
type jsonReader struct {
	jsonScanner
	dst    []byte
	losses Losses
	kept   int // spans
	first  error
	place  []placeInJSON // the lists that pos is in
}

type placeInJSON struct {
	name  string
	index int
}

// at names the place of an error, as in resourceSpans[0].scopeSpans[2].spans[5].
func (r *jsonReader) at() string {
	var out strings.Builder
	for i, p := range r.place {
		if i > 0 {
			out.WriteByte('.')
		}
		fmt.Fprintf(&out, "%s[%d]", p.name, p.index)
	}
	return out.String()
}

// message reads an object and appends the content of its message. depth counts the AnyValues around
// it.
func (r *jsonReader) message(m *jsonSchema, depth int) error {
	if r.peek() != '{' {
		return mismatch("want an object, found %s", r.found())
	}
	if m == anySchema {
		depth++
	}
	set := false
	more, err := r.begin('}')
	for ; more && err == nil; more, err = r.more('}') {
		name, err := r.name()
		if err != nil {
			return err
		}
		f := m.fields[string(name)]
		if f == nil {
			if err := r.unknown(m, name); err != nil {
				return err
			}
			continue
		}
		if r.peek() == 'n' {
			if err := r.literal(); err != nil {
				return err
			}
			continue
		}
		if m.oneof {
			if set {
				return mismatch("%s: more than one value is given", name)
			}
			set = true
		}
		if m.oneof && depth == maxDepth && f.kind == kindMessage {
			err = r.fold()
		} else {
			err = r.field(f, depth, m.oneof)
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

// unknown passes over a field that is not known, and notes those that are known to be old.
func (r *jsonReader) unknown(m *jsonSchema, name []byte) error {
	instead, old := m.old[string(name)]
	if c := r.peek(); !old || c == 'n' {
		return r.skip()
	}
	text := fmt.Sprintf("%s is not read here: send %s, as OTLP 1.0 has it", name, instead)
	spans := 0
	if f := m.fields[instead]; f.schema != nil && f.schema.tolerant && r.peek() == '[' {
		var err error
		if spans, err = r.countInList(f.schema); err != nil {
			return err
		}
	} else if err := r.skip(); err != nil {
		return err
	}
	r.losses.lose(OldNames, spans, r.at, text)
	return nil
}

// field reads the value of a field and appends it. keep says that zero is a value, not an absence.
func (r *jsonReader) field(f *jsonField, depth int, keep bool) error {
	if !f.repeated {
		return r.value(f, depth, keep)
	}
	if r.peek() != '[' {
		return mismatch("want a list, found %s", r.found())
	}
	tolerant := f.schema != nil && f.schema.tolerant
	if tolerant {
		r.place = append(r.place, placeInJSON{name: f.name})
	}
	more, err := r.begin(']')
	for i := 0; more && err == nil; i++ {
		if tolerant {
			err = r.tolerate(f, depth, i)
		} else {
			err = r.element(f, depth)
		}
		if err != nil {
			return err
		}
		more, err = r.more(']')
	}
	if tolerant {
		r.place = r.place[:len(r.place)-1]
	}
	return err
}

// element reads the element of a list. One that is null is passed over, except in a list of values,
// whose places count.
func (r *jsonReader) element(f *jsonField, depth int) error {
	if r.peek() != 'n' {
		return r.value(f, depth, true)
	}
	if f.schema == anySchema {
		r.dst = append(r.dst, byte(f.num)<<3|wireLen, 0)
	}
	return r.literal()
}

// tolerate reads an element that may be wrong: then nothing of it is kept, and its spans are
// refused.
func (r *jsonReader) tolerate(f *jsonField, depth, index int) error {
	r.place[len(r.place)-1].index = index
	from, places, written, kept, outer, first := r.pos, len(r.place), len(r.dst), r.kept, r.losses, r.first
	r.losses = Losses{} // of the element, in case that it is kept
	err := r.element(f, depth)
	inner := r.losses
	r.losses = outer
	wrong, ok := err.(*jsonMismatch)
	if !ok {
		if f == spansField && len(r.dst) > written {
			r.kept++
		}
		r.losses.merge(inner)
		return err
	}
	r.pos, r.place, r.dst, r.kept, r.first = from, r.place[:places], r.dst[:written], kept, first
	spans, err := r.count(f.schema)
	if err != nil {
		return err
	}
	if r.first == nil {
		r.first = fmt.Errorf("%s: %w", r.at(), wrong)
	}
	r.losses.lose(wrong.code, spans, r.at, wrong.text)
	return nil
}

// count passes over a tolerant message and counts the spans in it.
func (r *jsonReader) count(m *jsonSchema) (spans int, err error) {
	if m.below == nil {
		return 1, r.skip()
	}
	if r.peek() != '{' {
		return 0, r.skip()
	}
	more, err := r.begin('}')
	for ; more && err == nil; more, err = r.more('}') {
		name, err := r.name()
		if err != nil {
			return 0, err
		}
		if m.fields[string(name)] != m.below || r.peek() != '[' {
			if err := r.skip(); err != nil {
				return 0, err
			}
			continue
		}
		n, err := r.countInList(m.below.schema)
		if err != nil {
			return 0, err
		}
		spans += n
	}
	return spans, err
}

func (r *jsonReader) countInList(m *jsonSchema) (spans int, err error) {
	more, err := r.begin(']')
	for ; more && err == nil; more, err = r.more(']') {
		n, err := r.count(m)
		if err != nil {
			return 0, err
		}
		spans += n
	}
	return spans, err
}

// fold reads an array or map that is nested too deep, and appends its JSON as a text.
func (r *jsonReader) fold() error {
	r.peek()
	from := r.pos
	if err := r.skip(); err != nil {
		return err
	}
	r.dst = appendLen(r.dst, 1<<3|wireLen, r.b[from:r.pos])
	r.losses.change(ValuesNested, 1, r.at, causeFolded)
	return nil
}

// value reads one value, which is not null, and appends it as a field.
func (r *jsonReader) value(f *jsonField, depth int, keep bool) error {
	tag := byte(f.num << 3) // of fields below 16
	switch f.kind {
	case kindMessage:
		var mark int
		r.dst, mark = open(r.dst, tag|wireLen)
		if err := r.message(f.schema, depth); err != nil {
			return err
		}
		r.dst = finish(r.dst, mark)
		return nil
	case kindText:
		return r.textValue(tag|wireLen, keep)
	case kindID:
		var err error
		r.dst, err = r.appendHexID(r.dst, tag|wireLen, f.size)
		return err
	case kindBase64:
		var err error
		r.dst, err = r.appendBase64(r.dst, tag|wireLen)
		return err
	case kindDouble:
		n, err := r.float()
		if err == nil {
			r.dst = binary.LittleEndian.AppendUint64(append(r.dst, tag|wireI64), math.Float64bits(n))
		}
		return err
	case kindBool:
		yes, err := r.boolean()
		if err == nil {
			r.dst = append(r.dst, tag|wireVarint, 0)
			if yes {
				r.dst[len(r.dst)-1] = 1
			}
		}
		return err
	}
	return r.wholeValue(f, tag, keep)
}

func (r *jsonReader) textValue(tag byte, keep bool) error {
	if r.peek() != '"' {
		return mismatch("want a text, found %s", r.found())
	}
	raw, escaped, err := r.quoted()
	switch {
	case err != nil:
		return err
	case escaped:
		var mark int
		r.dst, mark = open(r.dst, tag)
		r.dst = finish(appendUnescaped(r.dst, raw), mark)
	case len(raw) > 0 || keep:
		r.dst = appendLen(r.dst, tag, raw)
	}
	return nil
}

func (r *jsonReader) wholeValue(f *jsonField, tag byte, keep bool) (err error) {
	var n uint64
	switch f.kind {
	case kindInt:
		n, err = r.integer(math.MinInt64, math.MaxInt64)
	case kindUint32, kindFixed32:
		n, err = r.integer(0, math.MaxUint32)
	case kindFixed64:
		n, err = r.integer(0, math.MaxUint64)
	case kindEnum:
		n, err = r.enum(f.names)
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
