package trace

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// A plain KeyValue message, read in one look, must give what reading it field by field gives, and
// the same canonical bytes. A field that nobody knows, put before it, makes the reader go field by
// field.
func TestPlainAttribute(t *testing.T) {
	text := func(n int) []byte { return appendLen(nil, 1<<3|wireLen, bytes.Repeat([]byte("v"), n)) }
	values := [][]byte{{}, text(0), text(1), text(125), text(126), text(127), text(128), text(300), {2 << 3, 0}, {2 << 3, 1}, {2 << 3, 2}, {2 << 3, 0x81, 0},
		{3 << 3, 0}, {3 << 3, 0x7f}, {3 << 3, 0x80, 1}, {3 << 3, 0x80, 0}, {3 << 3, 5, 3 << 3, 6}, {3 << 3, 0x80}, {3 << 3},
		{3 << 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, {3 << 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		{4<<3 | wireI64, 1, 2, 3, 4, 5, 6, 7, 8}, {4<<3 | wireI64, 1, 2, 3}, {1<<3 | wireLen, 5, 'a'}, {1<<3 | wireLen, 1, 'a', 3 << 3, 1},
		{7<<3 | wireLen, 1, 'b'}, {5<<3 | wireLen, 0}, {8 << 3, 1}, {1 << 3, 1}}
	var messages [][]byte
	for _, n := range []int{0, 1, 127, 128} {
		key := appendLen(nil, 1<<3|wireLen, bytes.Repeat([]byte("k"), n))
		for _, v := range values {
			value := appendLen(nil, 2<<3|wireLen, v)
			messages = append(messages, append(bytes.Clone(key), value...), append(bytes.Clone(value), key...), append(bytes.Clone(key), key...),
				append(bytes.Clone(value), value...), key, value)
		}
	}
	r := rand.New(rand.NewPCG(3, 3))
	for range 20_000 { // and near to those
		m := bytes.Clone(messages[r.IntN(len(messages))])
		if len(m) > 0 {
			m[r.IntN(min(len(m), 12))] ^= 1 << r.IntN(8)
			messages = append(messages, m)
		}
	}
	plain := 0
	for _, m := range messages {
		if _, typ, _ := plainOf(m); typ != Empty {
			plain++
		}
		slow := append([]byte{15 << 3, 1}, m...)
		var got, want, scratch Attribute
		err, wantErr := readKeyValue(m, &got, 1), readKeyValue(slow, &want, 1)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("% x: error %v, field by field %v", m, err, wantErr)
		}
		out, err := appendCanonical(nil, 9<<3|wireLen, m, &scratch)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("% x: canonical: error %v, field by field %v", m, err, wantErr)
		}
		if wantErr != nil {
			continue
		}
		if !bytes.Equal(got.Key, want.Key) || got.Value.Type != want.Value.Type || got.Value.Num != want.Value.Num || !bytes.Equal(got.Value.Bytes, want.Value.Bytes) {
			t.Fatalf("% x: %v, field by field %v", m, got, want)
		}
		if canonical := appendLen(nil, 9<<3|wireLen, AppendAttribute(nil, &want)); !bytes.Equal(out, canonical) {
			t.Fatalf("% x: canonical % x, field by field % x", m, out, canonical)
		}
	}
	if plain < 100 {
		t.Fatalf("%d of %d messages are plain", plain, len(messages))
	}
}

// The short way to read a field must give what the long one gives, whatever the bytes.
func TestReadFieldShort(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	short := 0
	for range 200_000 {
		b := make([]byte, 1+r.IntN(12))
		for i := range b {
			b[i] = byte(r.Uint32())
			if r.IntN(2) == 0 {
				b[i] &= 15
			}
		}
		pos := r.IntN(len(b))
		f, body := readField(b, pos)
		long, longBody := readLongField(b, pos)
		if f.end != long.end || f.end >= 0 && (f != long || !bytes.Equal(body, longBody) || cap(body) != len(body)) {
			t.Fatalf("% x at %d: %+v %x, the long way %+v %x", b, pos, f, body, long, longBody)
		}
		if f.end >= 0 && b[pos] < 0x80 && b[pos+1] < 0x80 {
			short++
		}
	}
	if short < 1000 {
		t.Fatalf("%d short fields", short)
	}
}
