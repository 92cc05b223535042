package block

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	pq "github.com/xitongsys/parquet-go/parquet"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/test/kit/spans"
)

// Codes of every width come back, in runs and packed, wherever the memory ends.
func TestHybrid(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for width := range uint(33) {
		for range 60 {
			values := make([]uint32, r.IntN(300))
			v := uint32(0)
			for i := range values {
				if i == 0 || r.IntN(1+r.IntN(30)) == 0 {
					v = uint32(r.Uint64() & (1<<width - 1))
				}
				values[i] = v
			}
			b := appendHybrid(nil, values, width)
			for _, in := range [][]byte{slices.Clip(slices.Clone(b)), append(slices.Clone(b), 1, 2, 3, 4, 5, 6, 7, 8, 9)[:len(b)]} {
				got := make([]uint32, len(values))
				require.NoError(t, decodeHybrid(got, in, width))
				require.Equal(t, values, got)
				require.Error(t, decodeHybrid(make([]uint32, len(values)+9), in, width))
				if len(values) > 8 {
					require.Error(t, decodeHybrid(got[:len(values)-8], in, width))
				}
			}
		}
	}
}

// Ints of every width come back, also where differences wrap.
func TestDelta(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for width := range 65 {
		for range 20 {
			values := make([]int64, r.IntN(400))
			for i := range values {
				values[i] = int64(r.Uint64() >> (64 - width))
				if r.IntN(50) == 0 {
					values[i] = []int64{math.MinInt64, math.MaxInt64, -1, 0}[r.IntN(4)]
				}
			}
			b := appendDelta(nil, values)
			for _, in := range [][]byte{slices.Clip(slices.Clone(b)), append(slices.Clone(b), 1, 2, 3, 4, 5, 6, 7, 8, 9)[:len(b)]} {
				got := make([]int64, len(values))
				rest, err := decodeDelta(got, in)
				require.NoError(t, err)
				require.Empty(t, rest)
				require.Equal(t, values, got)
			}
		}
	}
}

// Levels of every density and of any length come back.
func TestLevels(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 5))
	for range 2000 {
		rows := 1 + r.IntN(300)
		if r.IntN(20) == 0 {
			rows = 1 + r.IntN(column.PageRows)
		}
		present := column.NewBitmap(rows)
		for at := 0; at < rows; {
			n := 1 + r.IntN(1+r.IntN(200))
			if r.IntN(2) == 0 {
				present.SetRange(at, min(at+n, rows))
			}
			at += n
		}
		n := present.Count()
		v := &column.Vector{}
		v.Reset(rows)
		rest, err := decodeLevels(v, append(appendLevels(nil, rows, n, present), 7))
		require.NoError(t, err)
		require.Equal(t, []byte{7}, rest)
		require.Equal(t, n, v.N)
		if v.Present != nil {
			require.Equal(t, present, v.Present)
		} else {
			require.Equal(t, rows, n)
		}
	}
}

// Page headers come back, and are what Thrift's own decoder reads.
func TestHeader(t *testing.T) {
	for _, h := range []pageHeader{{raw: 100, size: 50, crc: 0xfffffff0, values: 8192, encoding: encDictionary}, {dictionary: true, raw: 1 << 20, size: 7, crc: 5, values: 1000}, {}} {
		b := appendHeader(nil, h)
		got, rest, err := parseHeader(append(b, 1, 2))
		require.NoError(t, err)
		require.Equal(t, h, got)
		require.Equal(t, []byte{1, 2}, rest)
		x := pq.NewPageHeader()
		require.NoError(t, decodeThrift(b, x))
		require.Equal(t, int32(h.crc), x.GetCrc())
		require.EqualValues(t, h.raw, x.UncompressedPageSize)
		require.EqualValues(t, h.size, x.CompressedPageSize)
		if h.dictionary {
			require.EqualValues(t, h.values, x.DictionaryPageHeader.NumValues)
		} else {
			require.EqualValues(t, h.values, x.DataPageHeader.NumValues)
			require.EqualValues(t, h.encoding, x.DataPageHeader.Encoding)
		}
	}
}

// What a filter was given it has; of the rest it has little.
func TestFilter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	f := newFilter(10000, traceBits)
	var in []uint64
	for range 10000 {
		in = append(in, r.Uint64())
		f.addHash(in[len(in)-1])
	}
	for _, h := range in {
		require.True(t, f.mayHave(h))
	}
	wrong := 0
	for range 10000 {
		if f.mayHave(r.Uint64()) {
			wrong++
		}
	}
	require.Less(t, wrong, 300)
	require.False(t, filter(nil).mayHave(1))
}

// At most 16 intervals hold all traces, and leave out the widest gaps.
func TestIntervals(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 4))
	for range 200 {
		var traces []traceLayout
		at := uint64(r.IntN(1000))
		for range 1 + r.IntN(60) {
			at += uint64(r.IntN(1 + r.IntN(10000)))
			traces = append(traces, traceLayout{start: at, end: at + uint64(r.IntN(3000))})
		}
		list := coverTraces(traces)
		require.LessOrEqual(t, len(list), maxIntervals)
		require.True(t, slices.IsSortedFunc(list, func(a, b Interval) int { return int(a.End) - int(b.Start) }))
		for _, x := range traces {
			require.True(t, slices.ContainsFunc(list, func(v Interval) bool { return v.Start <= x.start && x.end <= v.End }))
		}
		require.Equal(t, traces[0].start, list[0].Start)
	}
}

func FuzzPage(f *testing.F) {
	f.Add(uint8(kindInt), true, uint16(3), appendDelta(nil, []int64{1, 2, 3}))
	f.Add(uint8(kindText), false, uint16(9), appendHybrid([]byte{2}, []uint32{0, 1, 2, 0, 1, 2, 0, 1, 2}, 2))
	f.Add(uint8(kindText), true, uint16(1), append(appendDelta(nil, []int64{3}), "abc"...))
	f.Add(uint8(kindInt), false, uint16(42), appendHybrid([]byte{2}, append([]uint32{2, 1, 0}, make([]uint32, 39)...), 2))
	// 3 is none
	f.Add(uint8(kindInt), false, uint16(9), appendHybrid([]byte{2}, []uint32{0, 1, 2, 3, 1, 2, 0, 1, 2}, 2))
	f.Add(uint8(kindBool), true, uint16(9), []byte{0xff, 1})
	f.Add(uint8(kindFloat), true, uint16(1), make([]byte, 8))
	f.Add(uint8(kindID), true, uint16(1), make([]byte, 8))
	h := &fetchedChunk{texts: []string{"a", "b", "c"}, ints: []int64{4, 5, 6}}
	f.Fuzz(func(t *testing.T, k uint8, plain bool, n uint16, body []byte) {
		r := &Reader{}
		v := &column.Vector{}
		v.Reset(int(n % (column.PageRows + 1)))
		v.SetAll()
		for _, encoding := range []int{encPlain, encDelta, encDeltaLength, encDictionary} {
			if plain {
				if r.decodePlain(kind(k%uint8(kinds)), encoding, body, v) == nil {
					require.Equal(t, v.N, max(len(v.Ints), len(v.Floats), len(v.Strings)))
				}
			} else {
				k := kind(k % 2)
				ok := r.decodeCodes(k, encoding, body, h, v) == nil
				if ok {
					require.Equal(t, v.N, max(len(v.Codes), len(v.Ints)))
					for i := range v.Codes {
						_ = v.Text(i)
					}
				}
				if k == kindInt && encoding == encDictionary && len(body) > 0 { // the same is found without a vector
					found := column.NewBitmap(v.N)
					require.Equal(t, ok, r.siftCodes(found, v.N, body[1:], uint(body[0]), len(h.ints), 1<<0|1<<2) == nil)
					for i := 0; ok && i < v.N; i++ {
						require.Equal(t, v.Ints[i] != h.ints[1], found.Get(i))
					}
				}
			}
			v.Reset(v.Rows)
			v.SetAll()
		}
	})
}

func FuzzLevels(f *testing.F) {
	f.Add(uint16(10), appendLevels(nil, 10, 1, column.Bitmap{4}))
	f.Add(uint16(10), appendLevels(nil, 10, 0, nil))
	f.Add(uint16(10), appendLevels(nil, 10, 10, nil))
	f.Fuzz(func(t *testing.T, rows uint16, b []byte) {
		v := &column.Vector{}
		v.Reset(1 + int(rows)%column.PageRows)
		rest, err := decodeLevels(v, b)
		if err != nil {
			return
		}
		if v.Present == nil {
			require.Equal(t, v.Rows, v.N)
		} else {
			require.Equal(t, v.Present.Count(), v.N)
			require.Less(t, v.N, v.Rows)
		}
		require.LessOrEqual(t, len(rest), len(b))
	})
}

func FuzzDictionary(f *testing.F) {
	f.Add(2, []byte("\x01\x00\x00\x00a\x02\x00\x00\x00bc"))
	f.Fuzz(func(t *testing.T, n int, b []byte) {
		list, err := decodeTexts(b, max(n, 0))
		if err != nil {
			return
		}
		size := 0
		for _, s := range list {
			size += 4 + len(s)
		}
		require.Equal(t, len(b), size)
	})
}

func FuzzHeader(f *testing.F) {
	f.Add(appendHeader(nil, pageHeader{raw: 100, size: 50, values: 8192}))
	f.Add(appendHeader(nil, pageHeader{dictionary: true, raw: 100, size: 50, values: 10}))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, rest, err := parseHeader(b)
		if err == nil {
			again, _, err := parseHeader(append(appendHeader(nil, h), rest...))
			require.NoError(t, err)
			require.Equal(t, h, again)
		}
	})
}

// fuzzBlock returns a small block and its objects.
func fuzzBlock(f *testing.F) (*Block, memory) {
	g := spans.New(1, 5, 5)
	return write(f, segments(f, [][]byte{g.Record(30)}, 1, live.Limits{}), WriteOptions{RowGroupRows: 9})
}

func FuzzFooter(f *testing.F) {
	b, m := fuzzBlock(f)
	data := m[SpansObject]
	f.Add(data[b.meta.Index.Offset+b.meta.Index.Length : len(data)-8])
	f.Fuzz(func(t *testing.T, data []byte) {
		md := pq.NewFileMetaData()
		if decodeThrift(data, md) == nil {
			b.spans.agreesWith(md)
		}
	})
}

// Sections reach the decoders only with a right checksum, so these are fuzzed behind it.
func FuzzIndex(f *testing.F) {
	b, m := fuzzBlock(f)
	x := b.meta.Index
	all := m[SpansObject][x.Offset : x.Offset+x.Length]
	f.Add(uint8(0), all)
	c := cursor{b: all[len(all)-8:]}
	size := int(uint32(c.b[0]) | uint32(c.b[1])<<8 | uint32(c.b[2])<<16 | uint32(c.b[3])<<24)
	for c = (cursor{b: all[len(all)-8-size+5 : len(all)-8]}); len(c.b) > 0; {
		id, zipped, raw, stored := c.readUvarint(), c.readUvarint(), c.readNumber(1<<20), c.readCount()
		c.readBytes(4)
		body := c.readBytes(stored)
		if zipped == 1 {
			var err error
			body, err = decompressFrame(nil, body, raw)
			require.NoError(f, err)
		}
		f.Add(uint8(id), body)
	}
	f.Fuzz(func(t *testing.T, id uint8, body []byte) {
		bl := &Block{src: m, meta: b.meta}
		if id == 0 {
			if bl.parseIndex(body) != nil {
				return
			}
		}
		// Whatever one section says, the block is refused or can be read.
		bl.parseSection(int(id), body)
		again := *b
		if !again.parseSection(int(id), body) || !again.isConsistent() {
			return
		}
		again.listKeys()
		for _, tab := range again.Reader().Tables() {
			for i := range tab.Traces() {
				if _, err := column.Fragments(ctx, tab, tab.TraceRows(i, nil), nil); err != nil {
					require.ErrorIs(t, err, ErrCorrupt)
					return
				}
			}
		}
	})
}
