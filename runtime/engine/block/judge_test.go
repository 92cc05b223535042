package block

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"
	xreader "github.com/xitongsys/parquet-go/reader"
	"github.com/xitongsys/parquet-go/source"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/test/kit/corpus"
	"github.com/troupe-tracing/troupe/test/kit/spans"
)

// stored returns the values of an object's column by row, as our reader sees them; nil is null.
func stored(t *testing.T, b *Block, d *directory, c int) []any {
	t.Helper()
	var out []any
	r := b.Reader()
	for g, rows := range d.groups {
		if rows == 0 {
			continue
		}
		v := &groupTable{reader: r, dir: d, group: g, rows: rows}
		if d.columns[c].kind == kindTrace {
			n := b.groups[g].trace
			for i := range rows {
				for b.traces.first[n+1] <= uint32(d.first[g]+i) {
					n++
				}
				out = append(out, string(b.traces.ids[n][:]))
			}
			continue
		}
		for p := range column.Pages(rows) {
			var dst column.Vector
			dst.Reset(v.pageRows(p))
			require.NoError(t, v.decodePage(ctx, c, p, &dst))
			n := 0
			for i := range dst.Rows {
				if dst.Present != nil && !dst.Present.Get(i) {
					out = append(out, nil)
					continue
				}
				switch d.columns[c].kind {
				case kindInt:
					out = append(out, dst.Ints[n])
				case kindBool:
					out = append(out, dst.Ints[n] != 0)
				case kindFloat:
					out = append(out, math.Float64bits(dst.Floats[n]))
				default:
					out = append(out, dst.Text(n))
				}
				n++
			}
		}
	}
	return out
}

// judge has every object of the block read row for row by two other readers, and its page index and
// bloom filters checked against the rows.
func judge(t *testing.T, b *Block, m memory) {
	t.Helper()
	for _, d := range []*directory{&b.spans, &b.events, &b.links, &b.attributes} {
		if d.columns == nil {
			require.NotContains(t, m, d.object)
			continue
		}
		data := m[d.object]
		f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
		require.NoError(t, err)
		x, err := xreader.NewParquetColumnReader(&xfile{Reader: bytes.NewReader(data), data: data}, 1)
		require.NoError(t, err)
		rows := 0
		for _, n := range d.groups {
			rows += n
		}
		require.EqualValues(t, rows, f.NumRows())
		require.EqualValues(t, rows, x.GetNumRows())
		require.Len(t, f.Schema().Columns(), len(d.columns))
		for c := range d.columns {
			want := stored(t, b, d, c)
			judgeByParquetGo(t, f, d, c, want)
			judgeByXitongsys(t, x, d, c, want)
		}
		x.ReadStop()
	}
}

func judgeByParquetGo(t *testing.T, f *parquet.File, d *directory, c int, want []any) {
	t.Helper()
	col := &d.columns[c]
	require.Equal(t, col.name, f.Schema().Columns()[c][0])
	at := 0
	for _, rg := range f.RowGroups() {
		chunk := rg.ColumnChunks()[c]
		oi, err := chunk.OffsetIndex()
		require.NoError(t, err)
		ci, err := chunk.ColumnIndex()
		indexed := col.kind == kindInt || col.kind == kindTrace
		require.Equal(t, indexed, err == nil && ci != nil && ci.NumPages() > 0, col.name)
		first := at
		pages := chunk.Pages()
		for n := 0; ; n++ {
			p, err := pages.ReadPage()
			if errors.Is(err, io.EOF) {
				require.Equal(t, oi.NumPages(), n)
				break
			}
			require.NoError(t, err, col.name)
			require.EqualValues(t, at-first, oi.FirstRowIndex(n))
			values := make([]parquet.Value, p.NumValues())
			got, err := p.Values().ReadValues(values)
			if !errors.Is(err, io.EOF) {
				require.NoError(t, err)
			}
			require.Equal(t, len(values), got)
			lo, hi, nulls := parquet.Value{}, parquet.Value{}, int64(0)
			compare := chunk.Type().Compare
			for _, v := range values {
				if got := plainValue(v); want[at] != got {
					require.Equal(t, want[at], got, "%s row %d", col.name, at)
				}
				if v.IsNull() {
					nulls++
				} else if lo.IsNull() {
					lo, hi = v.Clone(), v.Clone()
				} else if compare(v, lo) < 0 {
					lo = v.Clone()
				} else if compare(v, hi) > 0 {
					hi = v.Clone()
				}
				at++
			}
			if indexed {
				require.Equal(t, nulls, ci.NullCount(n), col.name)
				require.Equal(t, nulls == p.NumValues(), ci.NullPage(n), col.name)
				if !ci.NullPage(n) {
					require.Zero(t, compare(lo, ci.MinValue(n)), col.name)
					require.Zero(t, compare(hi, ci.MaxValue(n)), col.name)
				}
			}
			parquet.Release(p)
		}
		require.NoError(t, pages.Close())
		if bf := chunk.BloomFilter(); col.kind == kindTrace {
			require.NotNil(t, bf)
			for i, v := range want[first:at] {
				if i > 0 && v == want[first+i-1] {
					continue
				}
				ok, err := bf.Check(parquet.ValueOf([16]byte([]byte(v.(string)))))
				require.NoError(t, err)
				require.True(t, ok)
			}
			wrong := 0
			for i := range uint64(2000) {
				ok, err := bf.Check(parquet.ValueOf([16]byte(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, i*0x9e3779b97f4a7c15+1), i))))
				require.NoError(t, err)
				if ok {
					wrong++
				}
			}
			require.Less(t, wrong, 200)
		} else {
			require.Nil(t, bf)
		}
	}
	require.Len(t, want, at)
}

func plainValue(v parquet.Value) any {
	if v.IsNull() {
		return nil
	}
	switch v.Kind() {
	case parquet.Int64:
		return v.Int64()
	case parquet.Boolean:
		return v.Boolean()
	case parquet.Double:
		return math.Float64bits(v.Double())
	}
	return string(v.ByteArray())
}

func judgeByXitongsys(t *testing.T, x *xreader.ParquetReader, d *directory, c int, want []any) {
	t.Helper()
	values, _, levels, err := x.ReadColumnByIndex(int64(c), int64(len(want)))
	require.NoError(t, err)
	require.Len(t, values, len(want), d.columns[c].name)
	for i, v := range values {
		if f, ok := v.(float64); ok {
			v = math.Float64bits(f)
		}
		if !d.columns[c].required && levels[i] == 0 {
			v = nil
		}
		if want[i] != v {
			require.Equal(t, want[i], v, "%s row %d", d.columns[c].name, i)
		}
	}
}

// xfile is an object as xitongsys wants it.
type xfile struct {
	*bytes.Reader
	data []byte
}

func (f *xfile) Create(string) (source.ParquetFile, error) { return nil, errors.ErrUnsupported }
func (f *xfile) Open(string) (source.ParquetFile, error) {
	return &xfile{Reader: bytes.NewReader(f.data), data: f.data}, nil
}
func (f *xfile) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }
func (f *xfile) Close() error              { return nil }

// Two other readers see in every object what we see.
func TestJudges(t *testing.T) {
	for seed := range uint64(6) {
		g := spans.New(seed, 40, 4+int(seed)*4)
		g.Unique = true
		var records [][]byte
		for range 5 {
			records = append(records, g.Record(60))
		}
		b, m := write(t, segments(t, records, 2, live.Limits{Seed: seed}), WriteOptions{RowGroupRows: 20 + int(seed)*40})
		judge(t, b, m)
	}
}

func TestJudgesOfSystems(t *testing.T) {
	corpus.Run(t, func(t *testing.T, from corpus.Source) {
		for _, name := range from.Files(corpus.DemoApps, corpus.Shell) {
			b, m := write(t, segments(t, spans.OfSystem(t, from, name), 1, live.Limits{}), WriteOptions{RowGroupRows: 20000})
			judge(t, b, m)
		}
	})
}
