package block

import (
	"encoding/binary"
	"math"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// These are the decoders of pages, by kind of the column. What they return in dst has the memory of
// dst, or aliases the page. Bytes that do not decode are errBytes.

// decodeCodes reads a page of codes of the chunk's dictionary: of ints the values, of text the
// codes with the dictionary.
func (r *Reader) decodeCodes(k kind, encoding int, body []byte, h *fetchedChunk, dst *column.Vector) error {
	if encoding != encDictionary || len(body) == 0 {
		return errBytes
	}
	width := uint(body[0])
	entries := len(h.texts)
	if k == kindInt {
		entries = len(h.ints)
	}
	codes := dst.Codes
	if k == kindInt {
		codes = r.codes
	}
	codes = slices.Grow(codes[:0], dst.N)[:dst.N]
	if err := decodeHybrid(codes, body[1:], width); err != nil {
		return err
	}
	if uint64(1)<<width > uint64(entries) {
		most := uint32(0)
		for _, c := range codes {
			most = max(most, c)
		}
		if uint64(most) >= uint64(entries) {
			return errBytes
		}
	}
	if k == kindInt {
		r.codes = codes
		dst.Ints = slices.Grow(dst.Ints[:0], dst.N)[:dst.N]
		out, dict := dst.Ints, h.ints
		for i, c := range codes {
			out[i] = dict[c]
		}
		return nil
	}
	dst.Codes, dst.Dict = codes, h.texts
	return nil
}

// decodePlain reads a page of values without a dictionary.
func (r *Reader) decodePlain(k kind, encoding int, body []byte, dst *column.Vector) error {
	want := encPlain
	switch k {
	case kindText:
		want = encDeltaLength
	case kindInt:
		want = encDelta
	}
	if encoding != want {
		return errBytes
	}
	switch k {
	case kindText:
		return r.decodePlainText(body, dst)
	case kindInt:
		dst.Ints = slices.Grow(dst.Ints[:0], dst.N)[:dst.N]
		rest, err := decodeDelta(dst.Ints, body)
		if err == nil && len(rest) != 0 {
			err = errBytes
		}
		return err
	}
	return decodeFixed(k, body, dst)
}

// decodePlainText reads texts, which alias body.
func (r *Reader) decodePlainText(body []byte, dst *column.Vector) error {
	r.lengths = slices.Grow(r.lengths[:0], dst.N)[:dst.N]
	body, err := decodeDelta(r.lengths, body)
	if err != nil {
		return err
	}
	dst.Strings = slices.Grow(dst.Strings[:0], dst.N)[:dst.N]
	for i, size := range r.lengths {
		if size < 0 || size > int64(len(body)) {
			return errBytes
		}
		dst.Strings[i] = unsafe.String(unsafe.SliceData(body), size)
		body = body[size:]
	}
	if len(body) != 0 {
		return errBytes
	}
	return nil
}

// decodeFixed reads floats, bools, or ids, which alias body.
func decodeFixed(k kind, body []byte, dst *column.Vector) error {
	n := dst.N
	switch k {
	case kindFloat:
		if len(body) != 8*n {
			return errBytes
		}
		dst.Floats = slices.Grow(dst.Floats[:0], n)[:n]
		for i := range dst.Floats {
			dst.Floats[i] = math.Float64frombits(binary.LittleEndian.Uint64(body[8*i:]))
		}
	case kindBool:
		if len(body) != (n+7)/8 {
			return errBytes
		}
		dst.Ints = slices.Grow(dst.Ints[:0], n)[:n]
		for i := range dst.Ints {
			dst.Ints[i] = int64(body[i>>3] >> (i & 7) & 1)
		}
	case kindID:
		if len(body) != 8*n {
			return errBytes
		}
		dst.Strings = slices.Grow(dst.Strings[:0], n)[:n]
		for i := range dst.Strings {
			dst.Strings[i] = unsafe.String(&body[8*i], 8)
		}
	default:
		return errBytes
	}
	return nil
}

// decodeTexts reads n strings, each behind its length; they alias b.
func decodeTexts(b []byte, n int) ([]string, error) {
	if n > len(b)/4 {
		return nil, errBytes
	}
	out := make([]string, n)
	for i := range out {
		if len(b) < 4 {
			return nil, errBytes
		}
		size := binary.LittleEndian.Uint32(b)
		b = b[4:]
		if uint64(size) > uint64(len(b)) {
			return nil, errBytes
		}
		if size > 0 {
			out[i] = unsafe.String(&b[0], size)
		}
		b = b[size:]
	}
	if len(b) != 0 {
		return nil, errBytes
	}
	return out, nil
}
