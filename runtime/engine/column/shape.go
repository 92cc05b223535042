package column

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// ErrCorrupt: columns of a table contradict each other.
var ErrCorrupt = errors.New("columns contradict each other")

// AppendShape appends one entry of a Shape.
//
// A Shape gives the order in which the attributes of a row were sent: one uvarint for each
// attribute. Entry n > 0 stands for the row's value of the column ShapeKeys()[n-1]; entry 0 for the
// next attribute of the row's Overflow. No n > 0 stands twice in a shape: a second attribute of the
// same key and type is in the Overflow, as is one whose column the table does not have. A row
// without attributes has no Shape.
func AppendShape(dst []byte, entry int) []byte { return binary.AppendUvarint(dst, uint64(entry)) }

// NextShape takes one entry off a Shape. It returns ok=false at the end and for damaged bytes; the
// latter leave rest non-empty.
func NextShape(shape string) (entry int, rest string, ok bool) {
	var v uint64
	for i := 0; i < len(shape) && i < 5; i++ {
		b := shape[i]
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			if v > math.MaxInt32 {
				return 0, shape, false
			}
			return int(v), shape[i+1:], true
		}
	}
	return 0, shape, false
}

// AppendKeyValue appends one attribute to an Overflow: the attribute's canonical KeyValue message
// behind its length as uvarint.
func AppendKeyValue(dst []byte, a *trace.Attribute) []byte {
	at := len(dst)
	dst = trace.AppendAttribute(append(dst, 0), a)
	n := len(dst) - at - 1
	if n < 0x80 {
		dst[at] = byte(n)
		return dst
	}
	var size [binary.MaxVarintLen64]byte
	return slices.Replace(dst, at, at+1, size[:binary.PutUvarint(size[:], uint64(n))]...)
}

// NextKeyValue takes one attribute off an Overflow; its slices alias overflow. It returns ok=false
// and no error at the end.
func NextKeyValue(overflow []byte, a *trace.Attribute) (rest []byte, ok bool, err error) {
	if len(overflow) == 0 {
		return nil, false, nil
	}
	msg, rest, ok := cutBytes(overflow)
	if !ok {
		return nil, false, fmt.Errorf("read overflow: length: %w", ErrCorrupt)
	}
	*a = trace.Attribute{}
	for len(msg) > 0 {
		tag := msg[0]
		field, more, ok := cutBytes(msg[1:])
		if !ok {
			return nil, false, fmt.Errorf("read overflow: field %d: %w", tag>>3, ErrCorrupt)
		}
		switch msg = more; tag {
		case 1<<3 | 2:
			a.Key = field
		case 2<<3 | 2:
			if a.Value, ok = ParseAnyValue(field); !ok {
				return nil, false, fmt.Errorf("read overflow: value: %w", ErrCorrupt)
			}
		default:
			return nil, false, fmt.Errorf("read overflow: field %d: %w", tag>>3, ErrCorrupt)
		}
	}
	return rest, true, nil
}

// ParseAnyValue reads an AnyValue message: a value of an Any column, or of an Overflow. Like the
// wire reader it takes the last value of the message, and an array or map keeps the bytes of the
// whole message. The result aliases b.
func ParseAnyValue(b []byte) (v trace.Value, ok bool) {
	for rest := b; len(rest) > 0; {
		tag, n := binary.Uvarint(rest)
		if n <= 0 {
			return v, false
		}
		rest = rest[n:]
		var num uint64
		var content []byte
		switch tag & 7 {
		case 0:
			if num, n = binary.Uvarint(rest); n <= 0 {
				return v, false
			}
			rest = rest[n:]
		case 1:
			if len(rest) < 8 {
				return v, false
			}
			num, rest = binary.LittleEndian.Uint64(rest), rest[8:]
		case 2:
			if content, rest, ok = cutBytes(rest); !ok {
				return v, false
			}
		case 5:
			if len(rest) < 4 {
				return v, false
			}
			rest = rest[4:]
		default:
			return v, false
		}
		switch tag {
		case 1<<3 | 2:
			v = trace.Value{Type: trace.String, Bytes: content}
		case 2 << 3:
			v = trace.Value{Type: trace.Bool, Num: min(num, 1)}
		case 3 << 3:
			v = trace.Value{Type: trace.Int, Num: num}
		case 4<<3 | 1:
			v = trace.Value{Type: trace.Float, Num: num}
		case 5<<3 | 2:
			v = trace.Value{Type: trace.Array, Bytes: b}
		case 6<<3 | 2:
			v = trace.Value{Type: trace.Map, Bytes: b}
		case 7<<3 | 2:
			v = trace.Value{Type: trace.Bytes, Bytes: content}
		case 8 << 3:
			v = trace.Value{}
		}
	}
	return v, true
}

func cutBytes(b []byte) (content, rest []byte, ok bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return nil, nil, false
	}
	return b[k : k+int(n)], b[k+int(n):], true
}
