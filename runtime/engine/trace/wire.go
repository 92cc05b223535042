package trace

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// ErrMalformed is matched (errors.Is) by every error about bytes that are not the protobuf message
// that they should be. The error's text names the field.
var ErrMalformed = errors.New("malformed OTLP")

type malformedError struct{ code, text string }

func (e *malformedError) Error() string        { return e.text }
func (e *malformedError) Is(target error) bool { return target == ErrMalformed }

func newMalformed(what, cause string) error {
	return &malformedError{MalformedSpan, "read " + what + ": " + cause}
}

// errDeep is the error about values that are nested too deep.
var errDeep error = &malformedError{MalformedSpan, "read attribute value: values nested deeper than 100"}

const (
	causeBytes = "malformed field"
	causeType  = "wrong wire type"

	causeFolded = "values nested deeper than 100 were folded into text"
)

// Wire types of protobuf.
const (
	wireVarint = 0
	wireI64    = 1
	wireLen    = 2
	wireStart  = 3
	wireEnd    = 4
	wireI32    = 5
)

const maxField = 1<<29 - 1

// readVarint reads a varint at pos. It returns the position after it, or -1 if there is no varint.
// Bits past 64 are dropped, as pdata does.
func readVarint(b []byte, pos int) (uint64, int) {
	if pos < len(b) && b[pos] < 0x80 {
		return uint64(b[pos]), pos + 1
	}
	return readLongVarint(b, pos)
}

func readLongVarint(b []byte, pos int) (v uint64, end int) {
	for shift := uint(0); shift < 64; shift += 7 {
		if pos >= len(b) {
			return 0, -1
		}
		c := b[pos]
		pos++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, pos
		}
	}
	return 0, -1
}

// field is one field of a message, without its body. It is small enough for registers.
type field struct {
	num  uint32
	wire uint8
	val  uint64 // of a varint or a fixed number
	end  int    // where the next field begins; -1: the bytes are malformed
}

// readField reads the field of b at pos < len(b). The body is that of a length-delimited field, and
// nil for others; it aliases b. A group is stepped over as a whole, by counting and not by
// recursion.
func readField(b []byte, pos int) (f field, body []byte) {
	if pos+1 < len(b) { // most fields: a tag of one byte, and a length or number of one byte
		if tag, n := b[pos], b[pos+1]; tag < 0x80 && tag >= 8 && n < 0x80 {
			switch e := pos + 2 + int(n); {
			case tag&7 == wireLen && e <= len(b):
				return field{num: uint32(tag >> 3), wire: wireLen, end: e}, b[pos+2 : e : e]
			case tag&7 == wireVarint:
				return field{num: uint32(tag >> 3), wire: wireVarint, val: uint64(n), end: pos + 2}, nil
			}
		}
	}
	return readLongField(b, pos)
}

func readLongField(b []byte, pos int) (f field, body []byte) {
	malformed := field{end: -1}
	tag, p := readVarint(b, pos)
	if p < 0 || tag>>3 == 0 || tag>>3 > maxField {
		return malformed, nil
	}
	f = field{num: uint32(tag >> 3), wire: uint8(tag & 7)}
	switch f.wire {
	case wireVarint:
		f.val, f.end = readVarint(b, p)
	case wireLen:
		n, q := readVarint(b, p)
		if q < 0 || n > uint64(len(b)-q) {
			return malformed, nil
		}
		f.end = q + int(n)
		body = b[q:f.end:f.end]
	case wireI64:
		if len(b)-p < 8 {
			return malformed, nil
		}
		f.val, f.end = binary.LittleEndian.Uint64(b[p:]), p+8
	case wireI32:
		if len(b)-p < 4 {
			return malformed, nil
		}
		f.val, f.end = uint64(binary.LittleEndian.Uint32(b[p:])), p+4
	case wireStart:
		f.end = skipGroup(b, p)
	default:
		return malformed, nil
	}
	return f, body
}

// skipGroup returns the position after the group whose start tag ends at pos.
func skipGroup(b []byte, pos int) int {
	for depth := 1; pos < len(b); {
		tag, p := readVarint(b, pos)
		if p < 0 || tag>>3 == 0 || tag>>3 > maxField {
			return -1
		}
		switch tag & 7 {
		case wireStart:
			depth++
			pos = p
		case wireEnd:
			if depth--; depth == 0 {
				return p
			}
			pos = p
		default:
			f, _ := readField(b, pos)
			if pos = f.end; pos < 0 {
				return -1
			}
		}
	}
	return -1
}

func sizeVarint(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// sizeLen is the size of a length-delimited field of n bytes with a one-byte tag.
func sizeLen(n int) int { return 1 + sizeVarint(uint64(n)) + n }

func appendLen(dst []byte, tag byte, body []byte) []byte {
	dst = binary.AppendUvarint(append(dst, tag), uint64(len(body)))
	return append(dst, body...)
}

// openMessage starts a sub-message of unknown length, for which one byte is kept. closeMessage with
// the mark writes the length, and moves the body if the length needs more bytes.
func openMessage(dst []byte, tag byte) (out []byte, mark int) {
	dst = append(dst, tag, 0)
	return dst, len(dst)
}

func closeMessage(dst []byte, mark int) []byte {
	n := len(dst) - mark
	if n < 0x80 {
		dst[mark-1] = byte(n)
		return dst
	}
	more := sizeVarint(uint64(n)) - 1
	var room [10]byte
	dst = append(dst, room[:more]...)
	copy(dst[mark+more:], dst[mark:mark+n])
	binary.PutUvarint(dst[mark-1:], uint64(n))
	return dst
}
