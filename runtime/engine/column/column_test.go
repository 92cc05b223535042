package column

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// bits makes a random bitmap and the same as a slice.
func randomBits(r *rand.Rand, rows int) (Bitmap, []bool) {
	b, s := NewBitmap(rows), make([]bool, rows)
	for i := range s {
		if r.IntN(3) == 0 {
			b.Set(i)
			s[i] = true
		}
	}
	if r.IntN(4) == 0 && rows > 0 {
		from := r.IntN(rows)
		to := from + r.IntN(rows-from+1)
		b.SetRange(from, to)
		for i := from; i < to; i++ {
			s[i] = true
		}
	}
	return b, s
}

func asSlice(b Bitmap, rows int) []bool {
	s := make([]bool, rows)
	for i := range s {
		s[i] = b.Get(i)
	}
	return s
}

// Bitmaps do what slices of booleans would do, and keep the bits behind the last row zero.
func TestBitmap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		rows := r.IntN(300)
		b, s := randomBits(r, rows)
		o, p := randomBits(r, rows)
		from := r.IntN(rows + 1)
		to := from + r.IntN(rows-from+1)
		n, in := 0, 0
		for i, x := range s {
			if x {
				n++
				if i >= from && i < to {
					in++
				}
			}
		}
		require.Equal(t, n, b.Count())
		require.Equal(t, in, b.CountRange(from, to))
		require.Equal(t, n == 0, b.Empty())
		next := slices.Index(s[from:], true)
		if next >= 0 {
			next += from
		}
		require.Equal(t, next, b.Next(from))
		var rowsOf []uint32
		for i := b.Next(0); i >= 0; i = b.Next(i + 1) {
			rowsOf = append(rowsOf, uint32(i)+7)
		}
		require.Equal(t, rowsOf, b.AppendRows(nil, 7))

		apply := func(f func(Bitmap), want func(x, y bool) bool) {
			c := slices.Clone(b)
			f(c)
			for i := range s {
				require.Equal(t, want(s[i], p[i]), c.Get(i))
			}
			if len(c) > 0 && rows&63 != 0 {
				require.Zero(t, c[len(c)-1]>>(rows&63))
			}
		}
		apply(func(c Bitmap) { c.And(o) }, func(x, y bool) bool { return x && y })
		apply(func(c Bitmap) { c.Or(o) }, func(x, y bool) bool { return x || y })
		apply(func(c Bitmap) { c.AndNot(o) }, func(x, y bool) bool { return x && !y })
		apply(func(c Bitmap) { c.Not(rows) }, func(x, _ bool) bool { return !x })
		apply(func(c Bitmap) { c.Copy(o, rows) }, func(_, y bool) bool { return y })
		apply(func(c Bitmap) { c.Copy(nil, rows) }, func(_, _ bool) bool { return true })
		c := slices.Clone(b)
		c.ClearRange(from, to)
		require.Equal(t, n-in, c.Count())
		require.Equal(t, 0, c.CountRange(from, to))
	}
}

// Spread takes dense values to their rows, Squeeze takes them back, and a Ranker names the same
// places.
func TestSpread(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	for n := range 2000 {
		rows := r.IntN(400)
		present, has := randomBits(r, rows)
		if n%5 == 0 {
			present.SetRange(0, rows)
			for i := range has {
				has[i] = true
			}
		}
		dense, d := randomBits(r, present.Count())
		got := NewBitmap(rows)
		Spread(got, present, dense)
		want := make([]bool, rows)
		at := 0
		ranks := Ranks(present)
		for i := range has {
			k, ok := ranks.At(i)
			require.Equal(t, has[i], ok)
			if has[i] {
				require.Equal(t, at, k)
				want[i] = d[at]
				at++
			}
		}
		require.Equal(t, want, asSlice(got, rows))
		back := NewBitmap(present.Count())
		Squeeze(back, present, got)
		require.Equal(t, d, asSlice(back, len(d)))
		if rows > 0 {
			i := r.IntN(rows) // going back
			if k, ok := ranks.At(i); ok {
				require.Equal(t, present.CountRange(0, i), k)
			}
		}
	}
}

func TestShape(t *testing.T) {
	var b []byte
	entries := []int{0, 1, 127, 128, 0, 70000, 1<<31 - 1}
	for _, e := range entries {
		b = AppendShape(b, e)
	}
	var got []int
	rest := string(b)
	for {
		e, more, ok := NextShape(rest)
		if !ok {
			break
		}
		got, rest = append(got, e), more
	}
	require.Empty(t, rest)
	require.Equal(t, entries, got)
	for _, bad := range []string{"\x80", "\xff\xff\xff\xff\xff\x01", "\xff\xff\xff\xff\x0f"} {
		_, rest, ok := NextShape(bad)
		require.False(t, ok)
		require.NotEmpty(t, rest)
	}
}

// What overflows comes back with its type and content; damaged bytes are refused.
func TestOverflow(t *testing.T) {
	list := []trace.Attribute{
		{Key: []byte("a"), Value: trace.Value{Type: trace.String, Bytes: []byte("x")}},
		{Key: []byte("long"), Value: trace.Value{Type: trace.String, Bytes: make([]byte, 1000)}},
		{Value: trace.Value{Type: trace.Int, Num: ^uint64(0)}},
		{Key: []byte("b"), Value: trace.Value{Type: trace.Bool, Num: 1}},
		{Key: []byte("f"), Value: trace.Value{Type: trace.Float, Num: 1 << 63}},
		{Key: []byte("none")},
		{Key: []byte("raw"), Value: trace.Value{Type: trace.Bytes, Bytes: []byte{0}}},
		{Key: []byte("list"), Value: trace.Value{Type: trace.Array, Bytes: []byte{5<<3 | 2, 4, 1<<3 | 2, 2, 3 << 3, 7}}},
		{Key: []byte("map"), Value: trace.Value{Type: trace.Map, Bytes: []byte{6<<3 | 2, 0}}},
	}
	var b []byte
	for i := range list {
		b = AppendKeyValue(b, &list[i])
	}
	rest := b
	for i := range list {
		var a trace.Attribute
		var ok bool
		var err error
		rest, ok, err = NextKeyValue(rest, &a)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, trace.AppendAttribute(nil, &list[i]), trace.AppendAttribute(nil, &a))
		require.Equal(t, list[i].Value.Type, a.Value.Type)
	}
	require.Empty(t, rest)
}

func FuzzOverflow(f *testing.F) {
	f.Add([]byte{3, 1<<3 | 2, 1, 'a'}, "\x01\x00")
	f.Fuzz(func(t *testing.T, b []byte, shape string) {
		for {
			var a trace.Attribute
			rest, ok, err := NextKeyValue(b, &a)
			if err != nil || !ok {
				break
			}
			require.Less(t, len(rest), len(b))
			b = rest
		}
		for shape != "" {
			_, rest, ok := NextShape(shape)
			if !ok {
				break
			}
			require.Less(t, len(rest), len(shape))
			shape = rest
		}
	})
}

func BenchmarkSpread(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 1))
	present, _ := randomBits(r, PageRows)
	dense, _ := randomBits(r, present.Count())
	dst := NewBitmap(PageRows)
	for b.Loop() {
		dst.ClearAll()
		Spread(dst, present, dense)
	}
}
