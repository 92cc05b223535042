package trace

import "encoding/binary"

// maxDepth bounds how deep arrays and maps nest in one attribute.
const maxDepth = 100

// Type is the type of an attribute's value.
type Type uint8

// The types of OTLP's AnyValue. Empty: no value was sent.
const (
	Empty Type = iota
	String
	Bool
	Int
	Float
	Array
	Map
	Bytes
)

// Value is one AnyValue. Its bytes alias what it was read from.
type Value struct {
	Type  Type
	Num   uint64 // Int: two's complement; Float: IEEE bits; Bool: 0 or 1
	Bytes []byte // String, Bytes: the content; Array, Map: the raw AnyValue message
}

// Attribute is one key and its value. Keys may repeat within a span.
type Attribute struct {
	Key   []byte
	Value Value
}

// ReadValue reads an AnyValue message, such as the Bytes of an Array or Map value. The result
// aliases b. It returns ErrMalformed.
func ReadValue(b []byte) (Value, error) {
	var v Value
	_, err := readValue(b, &v, 1)
	return v, err
}

// readValue reads the AnyValue message b into v and checks it to the bottom. If b sets nothing, v
// stays as it is. list is the body of the array or map. string_value_strindex points into a
// dictionary that traces do not have, so it counts as Empty.
func readValue(b []byte, v *Value, depth int) (list []byte, err error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	for pos := 0; pos < len(b); {
		f, body := readField(b, pos)
		if f.end < 0 {
			return nil, newMalformed("attribute value", causeBytes)
		}
		pos = f.end
		want := uint8(wireLen)
		switch f.num {
		case 1:
			*v = Value{Type: String, Bytes: body}
		case 2:
			*v, want = Value{Type: Bool}, wireVarint
			if f.val != 0 {
				v.Num = 1
			}
		case 3:
			*v, want = Value{Type: Int, Num: f.val}, wireVarint
		case 4:
			*v, want = Value{Type: Float, Num: f.val}, wireI64
		case 5:
			*v, list = Value{Type: Array, Bytes: b}, body
		case 6:
			*v, list = Value{Type: Map, Bytes: b}, body
		case 7:
			*v = Value{Type: Bytes, Bytes: body}
		case 8:
			*v, want = Value{}, wireVarint
		default:
			continue
		}
		if f.wire != want {
			return nil, newMalformed("attribute value", causeType)
		}
		if f.num == 5 || f.num == 6 {
			if err := checkList(body, f.num == 6, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// checkList checks an ArrayValue, or the KeyValueList of a map, to the bottom.
func checkList(b []byte, isMap bool, depth int) error {
	for pos := 0; pos < len(b); {
		f, body := readField(b, pos)
		if f.end < 0 {
			return newMalformed("attribute value list", causeBytes)
		}
		pos = f.end
		if f.num != 1 {
			continue
		}
		if f.wire != wireLen {
			return newMalformed("attribute value list", causeType)
		}
		var err error
		if isMap {
			var a Attribute
			err = readKeyValue(body, &a, depth)
		} else {
			var v Value
			_, err = readValue(body, &v, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// plainOf recognises plain KeyValue messages, which nearly all are: a key and then a text or
// number, of less than 128 bytes each. Senders that write messages from the end have the two in the
// other order. mid is where the second field begins. typ is Empty if the message is not plain.
func plainOf(b []byte) (mid int, typ Type, num uint64) {
	if len(b) < 4 || b[1] >= 0x80 {
		return 0, Empty, 0
	}
	mid = 2 + int(b[1])
	if len(b) < mid+2 || b[mid+1] >= 0x80 || len(b)-mid-2 != int(b[mid+1]) {
		return 0, Empty, 0
	}
	var v []byte
	switch {
	case b[0] == 1<<3|wireLen && b[mid] == 2<<3|wireLen:
		v = b[mid+2:]
	case b[0] == 2<<3|wireLen && b[mid] == 1<<3|wireLen:
		v = b[2:mid]
	}
	if len(v) < 2 {
		return 0, Empty, 0
	}
	switch v[0] {
	case 1<<3 | wireLen:
		if int(v[1]) == len(v)-2 {
			return mid, String, 0
		}
	case 2<<3 | wireVarint:
		if len(v) == 2 && v[1] <= 1 {
			return mid, Bool, uint64(v[1])
		}
	case 3<<3 | wireVarint:
		if n, end := readVarint(v, 1); end == len(v) {
			return mid, Int, n
		}
	case 4<<3 | wireI64:
		if len(v) == 9 {
			return mid, Float, binary.LittleEndian.Uint64(v[1:])
		}
	}
	return 0, Empty, 0
}

// plainParts returns the key and, if it is text, the value of a plain message.
func plainParts(b []byte, mid int) (key, text []byte) {
	if b[0] == 1<<3|wireLen {
		return b[2:mid:mid], b[mid+4 : len(b) : len(b)]
	}
	return b[mid+2 : len(b) : len(b)], b[4:mid:mid]
}

// appendCanonical appends the KeyValue message b as the field with the tag, in the form that
// AppendAttribute writes. scratch is overwritten.
func appendCanonical(dst []byte, tag byte, b []byte, scratch *Attribute) ([]byte, error) {
	mid, typ, num := plainOf(b)
	if typ != Empty {
		key, _ := plainParts(b, mid)
		// A number may be written with more bytes than it needs, and of ten bytes the last may hold
		// bits that are dropped. Such a number is not canonical.
		if value := len(b) - len(key) - 5; len(key) > 0 && (typ != Int || value < 10 && value == sizeVarint(num)) {
			dst = binary.AppendUvarint(append(dst, tag), uint64(len(b)))
			if b[0] == 1<<3|wireLen {
				return append(dst, b...), nil
			}
			return append(append(dst, b[mid:]...), b[:mid]...), nil
		}
	}
	if err := readKeyValue(b, scratch, 1); err != nil {
		return dst, err
	}
	dst, mark := openMessage(dst, tag)
	return closeMessage(AppendAttribute(dst, scratch), mark), nil
}

// readKeyValue reads a KeyValue message into a and checks its value to the bottom.
func readKeyValue(b []byte, a *Attribute, depth int) error {
	if mid, typ, num := plainOf(b); typ != Empty {
		key, text := plainParts(b, mid)
		a.Key, a.Value.Type, a.Value.Num = key, typ, num
		if typ == String {
			a.Value.Bytes = text
		} else if a.Value.Bytes != nil {
			a.Value.Bytes = nil
		}
		return nil
	}
	*a = Attribute{}
	for pos := 0; pos < len(b); {
		f, body := readField(b, pos)
		if f.end < 0 {
			return newMalformed("attribute", causeBytes)
		}
		pos = f.end
		switch f.num {
		case 1:
			if f.wire != wireLen {
				return newMalformed("attribute key", causeType)
			}
			a.Key = body
		case 2:
			if f.wire != wireLen {
				return newMalformed("attribute value", causeType)
			}
			if _, err := readValue(body, &a.Value, depth); err != nil {
				return err
			}
		case 3: // key_strindex, for profiles only
			if f.wire != wireVarint {
				return newMalformed("attribute key index", causeType)
			}
		}
	}
	return nil
}

// AppendAttribute appends the attribute as the content of a KeyValue message, canonically. Of an
// array or map that is not well-formed, the well-formed beginning is written.
func AppendAttribute(dst []byte, a *Attribute) []byte {
	if len(a.Key) > 0 {
		dst = appendLen(dst, 1<<3|wireLen, a.Key)
	}
	dst, mark := openMessage(dst, 2<<3|wireLen)
	return closeMessage(AppendValue(dst, &a.Value), mark)
}

// AppendValue appends the value as the content of an AnyValue message, canonically.
func AppendValue(dst []byte, v *Value) []byte { return appendValue(dst, v, 1) }

func appendValue(dst []byte, v *Value, depth int) []byte {
	switch v.Type {
	case String:
		return appendLen(dst, 1<<3|wireLen, v.Bytes)
	case Bool:
		return append(dst, 2<<3|wireVarint, byte(v.Num))
	case Int:
		return binary.AppendUvarint(append(dst, 3<<3|wireVarint), v.Num)
	case Float:
		return binary.LittleEndian.AppendUint64(append(dst, 4<<3|wireI64), v.Num)
	case Bytes:
		return appendLen(dst, 7<<3|wireLen, v.Bytes)
	case Array, Map:
	default:
		return dst
	}
	tag := byte(5<<3 | wireLen)
	if v.Type == Map {
		tag = 6<<3 | wireLen
	}
	dst, mark := openMessage(dst, tag)
	for list := lastList(v.Bytes); len(list) > 0 && depth < maxDepth; {
		body, rest, ok := takeElement(list)
		if list = rest; !ok {
			continue
		}
		var elem int
		dst, elem = openMessage(dst, 1<<3|wireLen)
		if v.Type == Array {
			var e Value
			elementValue(body, &e)
			dst = appendValue(dst, &e, depth+1)
		} else {
			var a Attribute
			elementAttribute(body, &a)
			if len(a.Key) > 0 {
				dst = appendLen(dst, 1<<3|wireLen, a.Key)
			}
			var value int
			dst, value = openMessage(dst, 2<<3|wireLen)
			dst = closeMessage(appendValue(dst, &a.Value, depth+1), value)
		}
		dst = closeMessage(dst, elem)
	}
	return closeMessage(dst, mark)
}

// The functions below read values that readValue has checked, one level at a time. They stop at
// malformed bytes without an error.

// lastList returns the body of the last array or map in an AnyValue message.
func lastList(b []byte) (list []byte) {
	for pos := 0; pos < len(b); {
		f, body := readField(b, pos)
		if f.end < 0 {
			return list
		}
		if (f.num == 5 || f.num == 6) && f.wire == wireLen {
			list = body
		}
		pos = f.end
	}
	return list
}

// takeElement takes the first field of a list. ok reports whether the field is an element.
func takeElement(list []byte) (body, rest []byte, ok bool) {
	f, body := readField(list, 0)
	if f.end < 0 {
		return nil, nil, false
	}
	return body, list[f.end:], f.num == 1 && f.wire == wireLen
}

// elementValue is readValue without looking below b.
func elementValue(b []byte, v *Value) {
	for pos := 0; pos < len(b); {
		f, body := readField(b, pos)
		if f.end < 0 {
			return
		}
		pos = f.end
		switch f.num {
		case 1:
			*v = Value{Type: String, Bytes: body}
		case 2:
			*v = Value{Type: Bool}
			if f.val != 0 {
				v.Num = 1
			}
		case 3:
			*v = Value{Type: Int, Num: f.val}
		case 4:
			*v = Value{Type: Float, Num: f.val}
		case 5:
			*v = Value{Type: Array, Bytes: b}
		case 6:
			*v = Value{Type: Map, Bytes: b}
		case 7:
			*v = Value{Type: Bytes, Bytes: body}
		case 8:
			*v = Value{}
		}
	}
}

// elementAttribute is readKeyValue without looking below the value.
func elementAttribute(b []byte, a *Attribute) {
	for pos := 0; pos < len(b); {
		f, body := readField(b, pos)
		if f.end < 0 {
			return
		}
		pos = f.end
		if f.wire != wireLen {
			continue
		}
		switch f.num {
		case 1:
			a.Key = body
		case 2:
			elementValue(body, &a.Value)
		}
	}
}

// Elements calls f for each element of an Array value, in order.
func (v *Value) Elements(f func(Value)) {
	if v.Type != Array {
		return
	}
	for list := lastList(v.Bytes); len(list) > 0; {
		body, rest, ok := takeElement(list)
		if list = rest; ok {
			var e Value
			elementValue(body, &e)
			f(e)
		}
	}
}

// Entries calls f for each entry of a Map value, in order.
func (v *Value) Entries(f func(Attribute)) {
	if v.Type != Map {
		return
	}
	for list := lastList(v.Bytes); len(list) > 0; {
		body, rest, ok := takeElement(list)
		if list = rest; ok {
			var a Attribute
			elementAttribute(body, &a)
			f(a)
		}
	}
}
