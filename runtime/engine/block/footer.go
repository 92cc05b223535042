package block

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/apache/thrift/lib/go/thrift"
	pq "github.com/xitongsys/parquet-go/parquet"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// writeTail writes what follows the chunks, and closes the object: the block's own index if there
// is one, the page indexes, and the footer. It returns the object's size, and where the index lies
// with the trace ids before it.
func (f *parquetFile) writeTail(index []byte, kv []*pq.KeyValue) (size int64, at Extent, err error) {
	if index != nil {
		if err := f.writeBytes(index); err != nil {
			return 0, at, err
		}
		at.Offset = f.columns[0].chunks[0].offset
		at.Length = f.off - at.Offset
		kv = append(kv, &pq.KeyValue{Key: "troupe.index", Value: ptr(fmt.Sprintf("%d,%d", at.Offset, at.Length))})
	}
	md := f.fileMetadata()
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

// fileMetadata returns the footer, in which the extents of page indexes are still missing.
func (f *parquetFile) fileMetadata() *pq.FileMetaData {
	md := pq.NewFileMetaData()
	md.Version = 2
	md.CreatedBy = ptr("troupe version 1 (build tcb1)")
	md.Schema = append(md.Schema, &pq.SchemaElement{
		Name:        f.name[:len(f.name)-len(".parquet")],
		NumChildren: ptr(int32(len(f.columns))),
	})
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
	return md
}

// writePageIndexes writes bloom filters, column indexes and offset indexes, in this order, each for
// all columns of all row groups, and notes in md where they lie.
func (f *parquetFile) writePageIndexes(md *pq.FileMetaData) error {
	for _, write := range []func(c *fileColumn, group int, cc *pq.ColumnChunk) error{
		f.writeBloom, f.writeColumnIndex, f.writeOffsetIndex,
	} {
		at := 0 // in md.RowGroups
		for g, rows := range f.groups {
			if rows == 0 {
				continue
			}
			for i, c := range f.columns {
				if err := write(c, g, md.RowGroups[at].Columns[i]); err != nil {
					return err
				}
			}
			at++
		}
	}
	return nil
}

func (f *parquetFile) writeBloom(c *fileColumn, group int, cc *pq.ColumnChunk) error {
	if c.blooms == nil {
		return nil
	}
	bloom := c.blooms[group]
	head, err := encodeThrift(&pq.BloomFilterHeader{
		NumBytes:    int32(len(bloom)),
		Algorithm:   &pq.BloomFilterAlgorithm{BLOCK: &pq.SplitBlockAlgorithm{}},
		Hash:        &pq.BloomFilterHash{XXHASH: &pq.XxHash{}},
		Compression: &pq.BloomFilterCompression{UNCOMPRESSED: &pq.Uncompressed{}},
	})
	if err != nil {
		return err
	}
	cc.MetaData.BloomFilterOffset = ptr(f.off)
	return f.writeBytes(append(head, bloom...))
}

func (f *parquetFile) writeColumnIndex(c *fileColumn, group int, cc *pq.ColumnChunk) error {
	index := c.columnIndex(group)
	if index == nil {
		return nil
	}
	b, err := encodeThrift(index)
	if err != nil {
		return err
	}
	cc.ColumnIndexOffset, cc.ColumnIndexLength = ptr(f.off), ptr(int32(len(b)))
	return f.writeBytes(b)
}

func (f *parquetFile) writeOffsetIndex(c *fileColumn, group int, cc *pq.ColumnChunk) error {
	b, err := encodeThrift(c.offsetIndex(group))
	if err != nil {
		return err
	}
	cc.OffsetIndexOffset, cc.OffsetIndexLength = ptr(f.off), ptr(int32(len(b)))
	return f.writeBytes(b)
}

// parquetType returns the physical type of a column in Parquet.
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

// schemaElement describes a column in the schema of the footer.
func (c *fileColumn) schemaElement() *pq.SchemaElement {
	e := &pq.SchemaElement{
		Name:           c.name,
		Type:           ptr(c.parquetType()),
		RepetitionType: ptr(pq.FieldRepetitionType_OPTIONAL),
	}
	if c.required {
		e.RepetitionType = ptr(pq.FieldRepetitionType_REQUIRED)
	}
	switch {
	case c.kind == kindID:
		e.TypeLength = ptr(int32(8))
	case c.kind == kindTrace:
		e.TypeLength = ptr(int32(16))
	case c.time:
		nanos := &pq.TimestampType{IsAdjustedToUTC: true, Unit: &pq.TimeUnit{NANOS: &pq.NanoSeconds{}}}
		e.LogicalType = &pq.LogicalType{TIMESTAMP: nanos}
	case c.kind == kindText && c.isText() && !c.hasInvalidText():
		e.ConvertedType = ptr(pq.ConvertedType_UTF8)
		e.LogicalType = &pq.LogicalType{STRING: &pq.StringType{}}
	}
	return e
}

// hasInvalidText reports whether a value is not UTF-8. Then the column is not declared as text,
// since other readers would refuse all of it.
func (c *fileColumn) hasInvalidText() bool {
	for g := range c.chunks {
		if c.chunks[g].invalidText {
			return true
		}
	}
	return false
}

// chunkMetadata describes a chunk in the footer.
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
	if k.dict > 0 {
		md.DictionaryPageOffset = ptr(k.offset)
	}
	md.Encodings = c.chunkEncodings(k)
	md.Statistics = c.chunkStatistics(k)
	return &pq.ColumnChunk{FileOffset: k.offset, MetaData: md}
}

// chunkEncodings lists the encodings of a chunk: of levels, of codes, of plain pages, and last
// PLAIN, in which dictionaries and pages of nulls are.
func (c *fileColumn) chunkEncodings(k *chunk) []pq.Encoding {
	list := []pq.Encoding{pq.Encoding_RLE}
	if k.dict > 0 {
		list = append(list, pq.Encoding_RLE_DICTIONARY)
	}
	plain, hasPlain := pq.Encoding_PLAIN, false
	switch c.kind {
	case kindText:
		plain = pq.Encoding_DELTA_LENGTH_BYTE_ARRAY
	case kindInt:
		plain = pq.Encoding_DELTA_BINARY_PACKED
	}
	for i := range k.pages {
		hasPlain = hasPlain || k.pages[i].plain && k.pages[i].values > 0
	}
	if hasPlain {
		list = append(list, plain)
	}
	if (k.dict > 0 || k.values < k.rows) && (plain != pq.Encoding_PLAIN || !hasPlain) {
		list = append(list, pq.Encoding_PLAIN)
	}
	return list
}

// maxBound is the greatest length in bytes of the bounds of text in the footer.
const maxBound = 64

// chunkStatistics returns the number of nulls of a chunk, and the bounds of its values where they
// are known.
func (c *fileColumn) chunkStatistics(k *chunk) *pq.Statistics {
	s := &pq.Statistics{NullCount: ptr(int64(k.rows - k.values))}
	lo, hi, ok := k.intBounds()
	switch {
	case c.kind == kindInt && ok:
		s.MinValue = binary.LittleEndian.AppendUint64(nil, uint64(lo))
		s.MaxValue = binary.LittleEndian.AppendUint64(nil, uint64(hi))
	case c.kind == kindText && k.stats && k.values > 0:
		s.MinValue = []byte(k.least[:min(len(k.least), maxBound)])
		s.MaxValue = upperBound(k.most)
	}
	return s
}

// upperBound returns a value of at most maxBound bytes that is not below s; nil if there is none.
func upperBound(s string) []byte {
	if len(s) <= maxBound {
		return []byte(s)
	}
	b := []byte(s[:maxBound])
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0x7f { // stays UTF-8 where it was
			b[i]++
			return b[:i+1]
		}
	}
	return nil
}

// intBounds returns the least and the greatest of a chunk's ints; ok=false: there are none.
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

// columnIndex returns the bounds of the pages of ints and trace ids; nil: the column has no index.
// Other columns have none, because their dictionaries tell more. (Some readers find the indexes of
// a file only if its first column has one.)
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
			lo = binary.LittleEndian.AppendUint64(nil, uint64(p.lo))
			hi = binary.LittleEndian.AppendUint64(nil, uint64(p.hi))
		}
		rows := min(column.PageRows, k.rows-i*column.PageRows)
		ci.NullPages = append(ci.NullPages, p.values == 0)
		ci.MinValues, ci.MaxValues = append(ci.MinValues, lo), append(ci.MaxValues, hi)
		ci.NullCounts = append(ci.NullCounts, int64(rows-p.values))
	}
	return ci
}

// offsetIndex says where the pages of a chunk lie.
func (c *fileColumn) offsetIndex(g int) *pq.OffsetIndex {
	k := &c.chunks[g]
	oi := pq.NewOffsetIndex()
	at := k.offset + int64(k.dict)
	for i := range k.pages {
		n := k.pages[i].length
		oi.PageLocations = append(oi.PageLocations, &pq.PageLocation{
			Offset:             at,
			CompressedPageSize: int32(n),
			FirstRowIndex:      int64(i * column.PageRows),
		})
		at += int64(n)
	}
	return oi
}

// ptr returns a pointer to v, as optional fields of Parquet's footer want it.
func ptr[T any](v T) *T { return &v }

// encodeThrift encodes x in Thrift's compact protocol.
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

// decodeThrift reads x from b, whatever b holds: the library panics at some bytes.
func decodeThrift(b []byte, x thrift.TStruct) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decode footer: %v", r)
		}
	}()
	mem := thrift.NewTMemoryBufferLen(0)
	mem.Buffer = bytes.NewBuffer(b)
	limits := &thrift.TConfiguration{MaxMessageSize: int32(min(len(b), 1<<28)) * 4}
	p := thrift.NewTCompactProtocolConf(mem, limits)
	return x.Read(context.Background(), p)
}
