package packed

import (
	"bytes"
	stdgzip "compress/gzip"
	stdzlib "compress/zlib"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/require"
)

// packers write each format by the name that clients send with it.
var packers = []struct {
	name string
	pack func(io.Writer) io.WriteCloser
}{
	{"gzip", func(w io.Writer) io.WriteCloser { return stdgzip.NewWriter(w) }},
	{"zlib", func(w io.Writer) io.WriteCloser { return stdzlib.NewWriter(w) }},
	{"deflate", func(w io.Writer) io.WriteCloser { return stdzlib.NewWriter(w) }},
	{"deflate", func(w io.Writer) io.WriteCloser { z, _ := flate.NewWriter(w, 6); return z }},
	{"zstd", func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }},
	{"zstd", func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w, zstd.WithWindowSize(32<<20)); return z }},
	{"zstd", func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w, zstd.WithSingleSegment(true)); return z }},
	{"snappy", func(w io.Writer) io.WriteCloser { return snappy.NewBufferedWriter(w) }},
	{"snappy", func(w io.Writer) io.WriteCloser { return &block{w: w} }},
	{"x-snappy-framed", func(w io.Writer) io.WriteCloser { return snappy.NewBufferedWriter(w) }},
	{"lz4", func(w io.Writer) io.WriteCloser { return lz4.NewWriter(w) }},
}

type block struct {
	bytes.Buffer
	w io.Writer
}

func (b *block) Close() error {
	_, err := b.w.Write(snappy.Encode(nil, b.Bytes()))
	return err
}

func pack(t testing.TB, i int, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := packers[i].pack(&out)
	_, err := z.Write(b)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return out.Bytes()
}

func free(int64) error { return nil }

func bodies() [][]byte {
	noise := make([]byte, 300_000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	return [][]byte{{}, []byte("x"), noise[:chunkBytes], noise, bytes.Repeat([]byte("GET /api/products "), 100_000)}
}

// Every format comes out as it went in, twice with the same decoders, alone and one in the other.
func TestUnpack(t *testing.T) {
	for _, body := range bodies() {
		for i, p := range packers {
			for range 2 {
				codings, err := Parse([]string{p.name})
				require.NoError(t, err)
				got, err := Unpack(codings, pack(t, i, body), 8<<20, free)
				require.NoError(t, err, "%d %s of %d bytes", i, p.name, len(body))
				require.True(t, bytes.Equal(body, got), "%d %s of %d bytes", i, p.name, len(body))
			}
			for j, q := range packers {
				codings, err := Parse([]string{p.name + ", " + strings.ToUpper(q.name)})
				require.NoError(t, err)
				got, err := Unpack(codings, pack(t, j, pack(t, i, body)), 8<<20, free)
				require.NoError(t, err, "%s in %s of %d bytes", p.name, q.name, len(body))
				require.True(t, bytes.Equal(body, got))
			}
		}
	}
}

// Names are read by RFC 9110: any capitals, lists, several headers, identity for none.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		in   []string
		want []Coding
	}{
		{nil, nil}, {[]string{""}, nil}, {[]string{"identity"}, nil}, {[]string{"GZIP"}, []Coding{Gzip}}, {[]string{"x-gzip"}, []Coding{Gzip}},
		{[]string{"X-Snappy-Framed"}, []Coding{Snappy}}, {[]string{"deflate,\tgzip"}, []Coding{Deflate, Gzip}}, {[]string{" lz4 ,, identity"}, []Coding{LZ4}},
		{[]string{"zlib", "zstd"}, []Coding{Deflate, Zstd}},
	} {
		got, err := Parse(c.in)
		require.NoError(t, err, c.in)
		require.Equal(t, c.want, got, c.in)
	}
	for in, text := range map[string]string{
		"br": "unsupported Content-Encoding: br; send one of gzip, zstd", "gzip, compress": ": compress;", "gzip, gzip, gzip, gzip": "more than 3 codings",
		"b r": `: "b r";`, "\x00": `: "\x00";`, strings.Repeat("x", 41): `: "` + strings.Repeat("x", 40) + `";`,
	} {
		_, err := Parse([]string{in})
		require.ErrorIs(t, err, ErrUnsupported, in)
		require.Contains(t, err.Error(), text)
	}
}

// Damaged bytes are an error and never an answer that is cut off; cut at any place.
func TestUnpackDamaged(t *testing.T) {
	body := bytes.Repeat([]byte("GET /api/products "), 50)
	for i, p := range packers {
		whole := pack(t, i, body)
		codings, _ := Parse([]string{p.name})
		for n := range len(whole) {
			got, err := Unpack(codings, whole[:n], 1<<20, free)
			if err == nil && (bytes.Equal(got, body) || len(got) == 0 && n <= 10) {
				continue // only the mark of an end is missing, or all but that of a beginning
			}
			require.ErrorIs(t, err, ErrDamaged, "%s cut at %d of %d", p.name, n, len(whole))
		}
		_, err := Unpack(codings, bytes.Repeat([]byte{'?'}, 50), 1<<20, free)
		require.ErrorIs(t, err, ErrDamaged, p.name)
	}
}

// A small body that unpacks to a large one is refused at the limit, with no more reserved than that
// takes; also where what is large lies between two codings.
func TestUnpackBombs(t *testing.T) {
	const limit = 1 << 20
	zeros := make([]byte, 8<<20)
	for i, p := range packers {
		codings, _ := Parse([]string{p.name})
		bomb := pack(t, i, zeros)
		reserved := int64(0)
		count := func(n int64) error { reserved += n; return nil }
		_, err := Unpack(codings, bomb, limit, count)
		require.ErrorIs(t, err, ErrTooLarge, p.name)
		require.LessOrEqual(t, reserved, int64(limit+chunkBytes+windows[len(windows)-1]+zstdHolds), p.name)
		full := errors.New("full")
		_, err = Unpack(codings, bomb, 1<<30, func(n int64) error {
			if reserved += n; reserved > 4<<20 {
				return full
			}
			return nil
		})
		require.ErrorIs(t, err, full, p.name)
		require.NotErrorIs(t, err, ErrDamaged)
		if i > 3 {
			continue
		}
		for j, q := range packers {
			two, _ := Parse([]string{p.name + "," + q.name})
			_, err = Unpack(two, pack(t, j, bomb), limit, free)
			require.Error(t, err, "%s in %s", p.name, q.name)
		}
	}
	// Empty members of gzip without end, packed again, come to nothing and would take all the time
	// they like.
	var empty bytes.Buffer
	z := stdgzip.NewWriter(&empty)
	require.NoError(t, z.Close())
	many := pack(t, 0, bytes.Repeat(empty.Bytes(), 200_000))
	_, err := Unpack([]Coding{Gzip, Gzip}, many, limit, free)
	require.ErrorIs(t, err, ErrTooLarge)
}

// What is reserved bounds what unpacking allocates.
func TestUnpackAllocates(t *testing.T) {
	body := bytes.Repeat([]byte("GET /api/products/{id} 200 OK "), 100_000)
	for i, p := range packers {
		codings, _ := Parse([]string{p.name})
		in := pack(t, i, body)
		const runs = 10
		var reserved int64
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			_, err := Unpack(codings, in, 8<<20, func(n int64) error { reserved += n; return nil })
			require.NoError(t, err)
		}
		runtime.ReadMemStats(&after)
		require.LessOrEqual(t, int64(after.TotalAlloc-before.TotalAlloc), reserved+runs*(64<<10), p.name)
	}
}

// Whatever is sent ends, within the limit, in bytes or an error.
func FuzzUnpack(f *testing.F) {
	for i := range packers {
		f.Add(uint8(i), uint8(0), pack(f, i, []byte("some text some text some text")))
		f.Add(uint8(0), uint8(i), pack(f, i, pack(f, 0, []byte("some text some text some text"))))
	}
	all := []Coding{Gzip, Deflate, Zstd, Snappy, LZ4}
	f.Fuzz(func(t *testing.T, first, second uint8, body []byte) {
		codings := []Coding{all[int(first)%len(all)]}
		if second > 0 {
			codings = append(codings, all[int(second)%len(all)])
		}
		sent := slices.Clone(body)
		reserved := int64(0)
		out, err := Unpack(codings, body, 1<<16, func(n int64) error { reserved += n; return nil })
		require.True(t, err != nil || len(out) <= 1<<16)
		require.Equal(t, sent, body)
		require.Less(t, reserved, int64(128<<20))
	})
}
