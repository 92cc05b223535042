package trace

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// ErrMalformed is matched (errors.Is) by every error about bytes that are not the protobuf message
// they should be. The error's text names the field.
var ErrMalformed = errors.New("malformed OTLP")

type malformed struct{ code, text string }

func (e *malformed) Error() string        { return e.text }
func (e *malformed) Is(target error) bool { return target == ErrMalformed }

func bad(what, cause string) error {
	return &malformed{MalformedSpan, "read " + what + ": " + cause}
}

// errDeep is the error of values that are nested too deep.
var errDeep error = &malformed{MalformedSpan, "read attribute value: values nested deeper than 100"}

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

// varint reads a varint at pos; it returns -1 as the new position if there is none. Bits past 64
// are dropped, as pdata does.
func varint(b []byte, pos int) (uint64, int) {
	if pos < len(b) && b[pos] < 0x80 {
		return uint64(b[pos]), pos + 1
	}
	return longVarint(b, pos)
}

func longVarint(b []byte, pos int) (v uint64, end int) {
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

// next reads the field at pos < len(b): its number, wire type, and either its number value (varint,
// fixed) or its body. A group is stepped over as a whole, by counting and not by recursion. end is
// -1 if the bytes are malformed.
func next(b []byte, pos int) (num uint32, wire uint8, val uint64, body []byte, end int) {
	if pos+1 < len(b) { // most fields: a tag of one byte, and a length or number of one byte
		if tag, n := b[pos], b[pos+1]; tag < 0x80 && tag >= 8 && n < 0x80 {
			switch e := pos + 2 + int(n); {
			case tag&7 == wireLen && e <= len(b):
				return uint32(tag >> 3), wireLen, 0, b[pos+2 : e : e], e
			case tag&7 == wireVarint:
				return uint32(tag >> 3), wireVarint, uint64(n), nil, pos + 2
			}
		}
	}
	return longNext(b, pos)
}

func longNext(b []byte, pos int) (num uint32, wire uint8, val uint64, body []byte, end int) {
	tag, p := varint(b, pos)
	if p < 0 || tag>>3 == 0 || tag>>3 > maxField {
		return 0, 0, 0, nil, -1
	}
	num, wire = uint32(tag>>3), uint8(tag&7)
	switch wire {
	case wireVarint:
		val, p = varint(b, p)
		return num, wire, val, nil, p
	case wireLen:
		n, q := varint(b, p)
		if q < 0 || n > uint64(len(b)-q) {
			return 0, 0, 0, nil, -1
		}
		e := q + int(n)
		return num, wire, 0, b[q:e:e], e
	case wireI64:
		if len(b)-p < 8 {
			return 0, 0, 0, nil, -1
		}
		return num, wire, binary.LittleEndian.Uint64(b[p:]), nil, p + 8
	case wireI32:
		if len(b)-p < 4 {
			return 0, 0, 0, nil, -1
		}
		return num, wire, uint64(binary.LittleEndian.Uint32(b[p:])), nil, p + 4
	case wireStart:
		return num, wire, 0, nil, skipGroup(b, p)
	}
	return 0, 0, 0, nil, -1
}

// skipGroup returns the position after the group whose start tag ends at pos.
func skipGroup(b []byte, pos int) int {
	for depth := 1; pos < len(b); {
		tag, p := varint(b, pos)
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
			if _, _, _, _, pos = next(b, pos); pos < 0 {
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

// open starts a sub-message of unknown length: one byte is kept for it. finish(dst, mark) writes
// the length, moving the body if it needs more.
func open(dst []byte, tag byte) (out []byte, mark int) {
	dst = append(dst, tag, 0)
	return dst, len(dst)
}

func finish(dst []byte, mark int) []byte {
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
