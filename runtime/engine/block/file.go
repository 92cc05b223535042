package block

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/apache/thrift/lib/go/thrift"
	pq "github.com/xitongsys/parquet-go/parquet"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// The names of a block's objects. MetaObject holds its Meta and is written last: a block without
// it is not complete. A block without events or links has no object for them.
const (
	MetaObject   = "meta.json"
	SpansObject  = "spans.parquet"
	EventsObject = "events.parquet"
	LinksObject  = "links.parquet"
)

const magic = "PAR1"

// parquetFile writes one Parquet object: chunks in any order, then the tail.
type parquetFile struct {
	name    string
	w       io.WriteCloser
	off     int64
	groups  []int // rows of each row group; without rows there is none in the file
	columns []*fileColumn
	names   map[string]bool
}

type fileColumn struct {
	columnSpec
	chunks []chunk  // by row group
	blooms [][]byte // by row group; trace ids only
}

func createFile(sink Sink, name string, groups []int) (*parquetFile, error) {
	w, err := sink.Create(name)
	if err != nil {
		return nil, err
	}
	f := &parquetFile{name: name, w: w, groups: groups, names: map[string]bool{}}
	return f, f.writeBytes([]byte(magic))
}

func (f *parquetFile) writeBytes(b []byte) error {
	n, err := f.w.Write(b)
	f.off += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.name, err)
	}
	return nil
}

// addColumn adds a column; attributes get their name in the file here.
func (f *parquetFile) addColumn(s columnSpec) *fileColumn {
	if s.name == "" {
		s.name = attributeName(s.key)
	}
	for f.names[s.name] { // two keys that look alike once they are made presentable
		s.name += "'"
	}
	f.names[s.name] = true
	c := &fileColumn{columnSpec: s, chunks: make([]chunk, len(f.groups))}
	f.columns = append(f.columns, c)
	return c
}

// attributeName is a key as column name: scope, name and, but for strings, type. Other readers want
// UTF-8 without control characters.
func attributeName(k column.Key) string {
	b := append([]byte(k.Scope.String()), '.')
	for _, r := range k.Name { // invalid bytes come out as U+FFFD
		if r < ' ' || r == 0x7f {
			r = utf8.RuneError
		}
		b = utf8.AppendRune(b, r)
	}
	if k.Type != column.String {
		b = append(append(b, ':'), k.Type.String()...)
	}
	return string(b)
}

// writeChunk writes the chunk that e has just encoded.
func (f *parquetFile) writeChunk(c *fileColumn, group int, k chunk, e *encoder) error {
	if e.tooLarge {
		return fmt.Errorf("write %s column %s: a page of %d rows takes more than %d MB: merge fewer tables: %w", f.name, c.name, column.PageRows, maxPage>>20, ErrTooLarge)
	}
	k.offset = f.off
	c.chunks[group] = k
	return f.writeBytes(e.out)
}

// completeColumns writes chunks of nulls where a column has none, and drops fixed columns without
// values. Shapes count the others.
func (f *parquetFile) completeColumns(e *encoder) error {
	kept := f.columns[:0]
	for _, c := range f.columns {
		n := 0
		for g := range c.chunks {
			n += c.chunks[g].values
		}
		if n == 0 && !c.required && c.key.Scope == column.Intrinsic {
			continue
		}
		kept = append(kept, c)
	}
	f.columns = kept
	for _, c := range f.columns {
		for g, rows := range f.groups {
			if rows > 0 && c.chunks[g].pages == nil {
				if err := f.writeChunk(c, g, e.encodeNulls(&c.columnSpec, rows), e); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// writeTail writes the block's own index if there is one, bloom filters, page index, and the
// footer. It returns the object's size and where the index is, with the trace ids before it.
func (f *parquetFile) writeTail(index []byte, kv []*pq.KeyValue) (size int64, at Extent, err error) {
	if index != nil {
		if err := f.writeBytes(index); err != nil {
			return 0, at, err
		}
		at.Offset = f.columns[0].chunks[0].offset
		at.Length = f.off - at.Offset
		kv = append(kv, &pq.KeyValue{Key: "troupe.index", Value: ptr(fmt.Sprintf("%d,%d", at.Offset, at.Length))})
	}
	md := pq.NewFileMetaData()
	md.Version = 2
	md.CreatedBy = ptr("troupe version 1 (build tcb1)")
	md.Schema = append(md.Schema, &pq.SchemaElement{Name: f.name[:len(f.name)-len(".parquet")], NumChildren: ptr(int32(len(f.columns)))})
	for _, c := range f.columns {
		md.Schema = append(md.Schema, c.schemaElement())
		md.ColumnOrders = append(md.ColumnOrders, &pq.ColumnOrder{TYPE_ORDER: &pq.TypeDefinedOrder{}})
	}
	for g, rows := range f.groups {
		if rows == 0 {
			continue
		}
		rg := pq.NewRowGroup()
		rg.NumRows = int64(rows)
		md.NumRows += rg.NumRows
		total := int64(0)
		for _, c := range f.columns {
			cc := c.chunkMetadata(g)
			rg.TotalByteSize += cc.MetaData.TotalUncompressedSize
			total += cc.MetaData.TotalCompressedSize
			rg.Columns = append(rg.Columns, cc)
		}
		rg.TotalCompressedSize = &total
		md.RowGroups = append(md.RowGroups, rg)
	}
	if err := f.writePageIndexes(md); err != nil {
		return 0, at, err
	}
	md.KeyValueMetadata = kv
	footer, err := encodeThrift(md)
	if err != nil {
		return 0, at, err
	}
	n := len(footer)
	footer = binary.LittleEndian.AppendUint32(footer, uint32(n))
	if err := f.writeBytes(append(footer, magic...)); err != nil {
		return 0, at, err
	}
	if err := f.w.Close(); err != nil {
		return 0, at, fmt.Errorf("close %s: %w", f.name, err)
	}
	return f.off, at, nil
}

// writePageIndexes writes bloom filters, column indexes and offset indexes.
func (f *parquetFile) writePageIndexes(md *pq.FileMetaData) error {
	at := 0 // in md.RowGroups
	for g, rows := range f.groups {
		if rows == 0 {
			continue
		}
		for i, c := range f.columns {
			if c.blooms == nil {
				continue
			}
			head, err := encodeThrift(&pq.BloomFilterHeader{NumBytes: int32(len(c.blooms[g])), Algorithm: &pq.BloomFilterAlgorithm{BLOCK: &pq.SplitBlockAlgorithm{}},
				Hash: &pq.BloomFilterHash{XXHASH: &pq.XxHash{}}, Compression: &pq.BloomFilterCompression{UNCOMPRESSED: &pq.Uncompressed{}}})
			if err != nil {
				return err
			}
			md.RowGroups[at].Columns[i].MetaData.BloomFilterOffset = ptr(f.off)
			if err := f.writeBytes(append(head, c.blooms[g]...)); err != nil {
				return err
			}
		}
		at++
	}
	for _, offsets := range []bool{false, true} {
		at = 0
		for g, rows := range f.groups {
			if rows == 0 {
				continue
			}
			for i, c := range f.columns {
				cc := md.RowGroups[at].Columns[i]
				if !offsets {
					ci := c.columnIndex(g)
					if ci == nil {
						continue
					}
					b, err := encodeThrift(ci)
					if err != nil {
						return err
					}
					cc.ColumnIndexOffset, cc.ColumnIndexLength = ptr(f.off), ptr(int32(len(b)))
					if err := f.writeBytes(b); err != nil {
						return err
					}
					continue
				}
				b, err := encodeThrift(c.offsetIndex(g))
				if err != nil {
					return err
				}
				cc.OffsetIndexOffset, cc.OffsetIndexLength = ptr(f.off), ptr(int32(len(b)))
				if err := f.writeBytes(b); err != nil {
					return err
				}
			}
			at++
		}
	}
	return nil
}

func (c *fileColumn) parquetType() pq.Type {
	switch c.kind {
	case kindInt:
		return pq.Type_INT64
	case kindFloat:
		return pq.Type_DOUBLE
	case kindBool:
		return pq.Type_BOOLEAN
	case kindID, kindTrace:
		return pq.Type_FIXED_LEN_BYTE_ARRAY
	}
	return pq.Type_BYTE_ARRAY
}

func (c *fileColumn) schemaElement() *pq.SchemaElement {
	e := &pq.SchemaElement{Name: c.name, Type: ptr(c.parquetType()), RepetitionType: ptr(pq.FieldRepetitionType_OPTIONAL)}
	if c.required {
		e.RepetitionType = ptr(pq.FieldRepetitionType_REQUIRED)
	}
	switch {
	case c.kind == kindID:
		e.TypeLength = ptr(int32(8))
	case c.kind == kindTrace:
		e.TypeLength = ptr(int32(16))
	case c.time:
		e.LogicalType = &pq.LogicalType{TIMESTAMP: &pq.TimestampType{IsAdjustedToUTC: true, Unit: &pq.TimeUnit{NANOS: &pq.NanoSeconds{}}}}
	case c.kind == kindText && c.isText() && !c.hasInvalidText():
		e.ConvertedType = ptr(pq.ConvertedType_UTF8)
		e.LogicalType = &pq.LogicalType{STRING: &pq.StringType{}}
	}
	return e
}

// hasInvalidText says whether a value is no UTF-8: then the column is not called text, since other
// readers would refuse all of it.
func (c *fileColumn) hasInvalidText() bool {
	for g := range c.chunks {
		if c.chunks[g].invalidText {
			return true
		}
	}
	return false
}

func (c *fileColumn) chunkMetadata(g int) *pq.ColumnChunk {
	k := &c.chunks[g]
	md := pq.NewColumnMetaData()
	md.Type = c.parquetType()
	md.PathInSchema = []string{c.name}
	md.NumValues = int64(k.rows)
	md.TotalUncompressedSize, md.TotalCompressedSize = k.rawBytes, k.storedBytes()
	md.Codec = pq.CompressionCodec_UNCOMPRESSED
	if k.zipped {
		md.Codec = pq.CompressionCodec_ZSTD
	}
	md.DataPageOffset = k.offset + int64(k.dict)
	md.Encodings = append(md.Encodings, pq.Encoding_RLE)
	if k.dict > 0 {
		md.DictionaryPageOffset = ptr(k.offset)
		md.Encodings = append(md.Encodings, pq.Encoding_RLE_DICTIONARY)
	}
	plain, coded := pq.Encoding_PLAIN, false
	switch c.kind {
	case kindText:
		plain = pq.Encoding_DELTA_LENGTH_BYTE_ARRAY
	case kindInt:
		plain = pq.Encoding_DELTA_BINARY_PACKED
	}
	for i := range k.pages {
		coded = coded || k.pages[i].plain && k.pages[i].values > 0
	}
	if coded {
		md.Encodings = append(md.Encodings, plain)
	}
	if k.dict > 0 || k.values < k.rows {
		if plain != pq.Encoding_PLAIN || !coded {
			md.Encodings = append(md.Encodings, pq.Encoding_PLAIN) // of the dictionary, or of pages of nulls
		}
	}
	md.Statistics = &pq.Statistics{NullCount: ptr(int64(k.rows - k.values))}
	lo, hi, ok := k.intBounds()
	switch {
	case c.kind == kindInt && ok:
		md.Statistics.MinValue = binary.LittleEndian.AppendUint64(nil, uint64(lo))
		md.Statistics.MaxValue = binary.LittleEndian.AppendUint64(nil, uint64(hi))
	case c.kind == kindText && k.stats && k.values > 0:
		md.Statistics.MinValue = []byte(k.least[:min(len(k.least), 64)])
		md.Statistics.MaxValue = upperBound(k.most)
	}
	return &pq.ColumnChunk{FileOffset: k.offset, MetaData: md}
}

// upperBound returns a value of at most 64 bytes that is not below s; nil if there is none.
func upperBound(s string) []byte {
	if len(s) <= 64 {
		return []byte(s)
	}
	b := []byte(s[:64])
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0x7f { // stays UTF-8 where it was
			b[i]++
			return b[:i+1]
		}
	}
	return nil
}

// intBounds returns the least and greatest of a chunk's ints.
func (k *chunk) intBounds() (lo, hi int64, ok bool) {
	for i := range k.pages {
		p := &k.pages[i]
		if p.values == 0 {
			continue
		}
		if !ok {
			lo, hi, ok = p.lo, p.hi, true
		}
		lo, hi = min(lo, p.lo), max(hi, p.hi)
	}
	return lo, hi, ok
}

// columnIndex returns the bounds of the pages of ints and trace ids; other columns have none: their
// dictionaries say more. (Some readers find the indexes of a file only if its first column has
// one.)
func (c *fileColumn) columnIndex(g int) *pq.ColumnIndex {
	if c.kind != kindInt && c.kind != kindTrace {
		return nil
	}
	k := &c.chunks[g]
	ci := pq.NewColumnIndex()
	ci.BoundaryOrder = pq.BoundaryOrder_UNORDERED
	for i := range k.pages {
		p := &k.pages[i]
		lo, hi := []byte{}, []byte{}
		if c.kind == kindTrace {
			lo, hi = k.ids[i][0][:], k.ids[i][1][:]
		} else if p.values > 0 {
			lo, hi = binary.LittleEndian.AppendUint64(nil, uint64(p.lo)), binary.LittleEndian.AppendUint64(nil, uint64(p.hi))
		}
		rows := min(column.PageRows, k.rows-i*column.PageRows)
		ci.NullPages = append(ci.NullPages, p.values == 0)
		ci.MinValues, ci.MaxValues = append(ci.MinValues, lo), append(ci.MaxValues, hi)
		ci.NullCounts = append(ci.NullCounts, int64(rows-p.values))
	}
	return ci
}

func (c *fileColumn) offsetIndex(g int) *pq.OffsetIndex {
	k := &c.chunks[g]
	oi := pq.NewOffsetIndex()
	at := k.offset + int64(k.dict)
	for i := range k.pages {
		n := k.pages[i].length
		oi.PageLocations = append(oi.PageLocations, &pq.PageLocation{Offset: at, CompressedPageSize: int32(n), FirstRowIndex: int64(i * column.PageRows)})
		at += int64(n)
	}
	return oi
}

func ptr[T any](v T) *T { return &v }

func encodeThrift(x thrift.TStruct) ([]byte, error) {
	mem := thrift.NewTMemoryBufferLen(256)
	p := thrift.NewTCompactProtocolConf(mem, nil)
	if err := x.Write(context.Background(), p); err != nil {
		return nil, fmt.Errorf("encode footer: %w", err)
	}
	if err := p.Flush(context.Background()); err != nil {
		return nil, fmt.Errorf("encode footer: %w", err)
	}
	return mem.Bytes(), nil
}

// decodeThrift reads x from b, whatever b holds.
func decodeThrift(b []byte, x thrift.TStruct) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decode footer: %v", r)
		}
	}()
	mem := thrift.NewTMemoryBufferLen(0)
	mem.Buffer = bytes.NewBuffer(b)
	p := thrift.NewTCompactProtocolConf(mem, &thrift.TConfiguration{MaxMessageSize: int32(min(len(b), 1<<28)) * 4})
	return x.Read(context.Background(), p)
}
