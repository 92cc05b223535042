package block

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	pq "github.com/xitongsys/parquet-go/parquet"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// RowGroup is what the index says of a row group.
type RowGroup struct {
	Rows, Traces int
	Start, End   uint64 // unix ns, of all its spans
	Services     []string
}

// ColumnInfo describes a column of one of the block's objects.
type ColumnInfo struct {
	Object   string
	Name     string     // in Parquet
	Key      column.Key // of a table, or of what a table's column is made of
	Required bool
	Groups   []ChunkInfo // by row group; without rows where the object has none
}

// ChunkInfo describes a column in one row group.
type ChunkInfo struct {
	Offset     int64
	Rows       int
	Values     int   // rows that have a value
	Bytes      int64 // as stored, headers and dictionary included
	RawBytes   int64 // uncompressed
	Dictionary int64 // bytes of the dictionary as stored; 0: none
	Entries    int   // of the dictionary
	Pages      int
	PlainPages int // with values, but without dictionary
	Encoding   string
	Codec      string
}

// RowGroups describes the block's row groups.
func (bl *Block) RowGroups() []RowGroup {
	out := make([]RowGroup, len(bl.groups))
	for i, g := range bl.groups {
		out[i] = RowGroup{Rows: g.rows, Traces: g.traces, Start: g.start, End: g.end, Services: slices.Clone(g.services)}
	}
	return out
}

// Columns describes the columns of all objects, in the order of the objects.
func (bl *Block) Columns() []ColumnInfo {
	var out []ColumnInfo
	for _, d := range bl.objectDirectories() {
		for i := range d.columns {
			c := &d.columns[i]
			info := ColumnInfo{Object: d.object, Name: c.name, Key: c.key, Required: c.required}
			for g := range c.chunks {
				info.Groups = append(info.Groups, c.chunks[g].describeChunk(c.kind))
			}
			out = append(out, info)
		}
	}
	return out
}

// objectDirectories returns those of the objects that are there.
func (bl *Block) objectDirectories() []*directory {
	var out []*directory
	for _, d := range []*directory{&bl.spans, &bl.events, &bl.links} {
		if d.columns != nil {
			out = append(out, d)
		}
	}
	return out
}

func (k *chunk) describeChunk(kind kind) ChunkInfo {
	x := ChunkInfo{Offset: k.offset, Rows: k.rows, Values: k.values, Bytes: k.storedBytes(), RawBytes: k.rawBytes, Dictionary: int64(k.dict), Entries: k.entries,
		Pages: len(k.pages), Codec: "none"}
	if k.zipped {
		x.Codec = "zstd"
	}
	for i := range k.pages {
		if p := &k.pages[i]; p.plain && p.values > 0 {
			x.PlainPages++
		}
	}
	plain := [kinds]string{"delta length", "delta", "plain", "plain", "plain", ""}[kind]
	switch {
	case k.values == 0:
	case k.dict == 0:
		x.Encoding = plain
	case x.PlainPages == 0:
		x.Encoding = "dictionary"
	default:
		x.Encoding = "dictionary, " + plain
	}
	return x
}

// ColumnRead is a column of an object of which a Reader holds pages.
type ColumnRead struct {
	Object, Name string
	Pages, Of    int // over all row groups
}

// Columns lists the columns that the reader has read pages of, in the order of the objects.
func (r *Reader) Columns() []ColumnRead {
	var out []ColumnRead
	for _, d := range r.block.objectDirectories() {
		for c := range d.columns {
			x := ColumnRead{Object: d.object, Name: d.columns[c].name}
			for _, t := range r.tables {
				for _, v := range []*groupTable{&t.groupTable, t.events, t.links} {
					if v != nil && v.dir == d {
						x.Of += len(d.columns[c].chunks[v.group].pages)
						x.Pages += v.countFetched(c)
					}
				}
			}
			if x.Pages > 0 {
				out = append(out, x)
			}
		}
	}
	return out
}

// countFetched is how many pages of a column are here.
func (v *groupTable) countFetched(c int) (n int) {
	if v.chunks == nil || v.chunks[c] == nil {
		return 0
	}
	for _, p := range v.chunks[c].pages {
		if p != nil {
			n++
		}
	}
	return n
}

// Verify reads everything that the block holds and checks that it fits together: every page of
// every column, every span, the Parquet footers, and what index and meta say of them. It returns
// what it read, and an error that wraps ErrCorrupt, or those of the source.
func (bl *Block) Verify(ctx context.Context) (Stats, error) {
	r := bl.Reader()
	for _, t := range r.tables {
		if err := t.verifyTables(ctx); err != nil {
			return r.stats, err
		}
	}
	for _, d := range bl.objectDirectories() {
		if err := r.verifyFooter(ctx, d); err != nil {
			return r.stats, err
		}
	}
	return r.stats, nil
}

func (t *spanTable) verifyTables(ctx context.Context) error {
	for _, v := range []*groupTable{&t.groupTable, t.events, t.links} {
		if v == nil {
			continue
		}
		for c := range v.dir.columns {
			if err := v.verifyColumn(ctx, c); err != nil {
				return err
			}
		}
	}
	var all []uint32
	start, end := uint64(1<<64-1), uint64(0)
	for i := range t.group.traces {
		info := t.reader.block.traces.describeTrace(t.group.trace + i)
		start, end = min(start, info.Start), max(end, info.End, info.Start)
		if n, ok := t.reader.block.traces.findTrace(info.ID); !ok || n != t.group.trace+i || !t.reader.block.MayHold(info.ID) {
			return &corruptError{object: SpansObject, offset: t.reader.block.meta.Index.Offset, cause: "trace " + info.ID.String() + " is not found"}
		}
		all = t.TraceRows(i, all[:0])
		if _, err := t.AppendFragments(ctx, all, nil); err != nil {
			return err
		}
	}
	if m := t.reader.block.meta; start != t.group.start || end != t.group.end || start < m.MinStart || end > m.MaxEnd {
		return &corruptError{object: SpansObject, offset: m.Index.Offset, cause: "time range of a row group"}
	}
	return nil
}

func (v *groupTable) verifyColumn(ctx context.Context, c int) error {
	col := &v.dir.columns[c]
	if col.kind == kindTrace {
		return v.verifyTraceIDs(ctx, c)
	}
	if err := v.verifyNulls(ctx, c); err != nil {
		return err
	}
	var dst column.Vector
	for p := range column.Pages(v.rows) {
		dst.Reset(v.pageRows(p))
		if err := v.decodePage(ctx, c, p, &dst); err != nil {
			return err
		}
		if pg := &col.chunks[v.group].pages[p]; col.kind == kindInt && pg.values > 0 {
			if lo, hi := minMax(dst.Ints); lo != pg.lo || hi != pg.hi {
				return v.corruptPage(c, p, "bounds")
			}
		}
		if v.spans && col.kind == kindText && col.isText() {
			for i := range dst.N {
				if dst.Dict != nil && i == len(dst.Dict) {
					break
				}
				s := dst.Text(i)
				if dst.Dict != nil {
					s = dst.Dict[i]
				}
				if !v.MayHave(col.key, s) {
					return v.corruptPage(c, p, "value is not in the filter")
				}
			}
		}
	}
	return nil
}

// verifyNulls checks the pages without values, which nothing else reads.
func (v *groupTable) verifyNulls(ctx context.Context, c int) error {
	k := &v.dir.columns[c].chunks[v.group]
	var list []pageRequest
	at := k.offset + int64(k.dict)
	for p := range k.pages {
		if k.pages[p].values == 0 {
			list = append(list, pageRequest{v.dir, c, v.chunkOf(c), p, at, k.pages[p].length})
		}
		at += int64(k.pages[p].length)
	}
	if err := v.reader.fetchPages(ctx, list); err != nil {
		return err
	}
	var dst column.Vector
	for _, w := range list {
		h, body, err := v.openPage(c, w.page, w.chunk.pages[w.page], false)
		if err != nil {
			return err
		}
		dst.Reset(v.pageRows(w.page))
		if rest, err := decodeLevels(&dst, body); err != nil || len(rest) != 0 || dst.N != 0 || h.values != dst.Rows || h.encoding != encPlain {
			return v.corruptPage(c, w.page, "page of nulls")
		}
	}
	return nil
}

// verifyTraceIDs checks that the codes of trace ids say what the index does. Nothing else reads
// them.
func (v *groupTable) verifyTraceIDs(ctx context.Context, c int) error {
	var want column.Vector
	for p := range column.Pages(v.rows) {
		h, err := v.loadPage(ctx, c, p)
		if err != nil {
			return err
		}
		hd, body, err := v.openPage(c, p, h.pages[p], false)
		if err != nil {
			return err
		}
		want.Reset(v.pageRows(p))
		v.readTraceRows(p, &want)
		if hd.values != want.Rows || hd.encoding != encDictionary || len(body) == 0 {
			return v.corruptPage(c, p, "page header")
		}
		codes := make([]uint32, want.Rows)
		if decodeHybrid(codes, body[1:], uint(body[0])) != nil {
			return v.corruptPage(c, p, "values")
		}
		for i := range codes {
			if int64(codes[i]) != want.Ints[i] {
				return v.corruptPage(c, p, "trace ids and index differ")
			}
		}
	}
	return nil
}

// verifyFooter checks that an object is Parquet whose footer says of the chunks what the index
// does.
func (r *Reader) verifyFooter(ctx context.Context, d *directory) error {
	size := r.block.meta.Objects[d.object]
	fail := func(at int64, cause string) error { return &corruptError{object: d.object, offset: at, cause: cause} }
	read := func(off int64, n int) ([]byte, error) {
		b := make([]byte, n)
		r.stats.Reads, r.stats.Waves, r.stats.Bytes = r.stats.Reads+1, r.stats.Waves+1, r.stats.Bytes+int64(n)
		if err := r.block.src.ReadRange(ctx, d.object, off, b); err != nil {
			return nil, fmt.Errorf("read %s of block %s: %w", d.object, r.block.meta.ID, err)
		}
		return b, nil
	}
	if size < 12 {
		return fail(0, "no Parquet")
	}
	head, err := read(0, 4)
	if err != nil {
		return err
	}
	tail, err := read(size-8, 8)
	if err != nil {
		return err
	}
	n := int64(binary.LittleEndian.Uint32(tail))
	if string(head) != magic || string(tail[4:]) != magic || n > size-12 {
		return fail(size-8, "no Parquet")
	}
	footer, err := read(size-8-n, int(n))
	if err != nil {
		return err
	}
	md := pq.NewFileMetaData()
	if err := decodeThrift(footer, md); err != nil {
		return fail(size-8-n, "footer does not decode")
	}
	if !d.agreesWith(md) {
		return fail(size-8-n, "footer and index differ")
	}
	return nil
}

// agreesWith says whether a footer describes the columns as the directory does.
func (d *directory) agreesWith(md *pq.FileMetaData) bool {
	if len(md.Schema) != len(d.columns)+1 {
		return false
	}
	for i := range d.columns {
		if e := md.Schema[i+1]; e == nil || e.Name != d.columns[i].name || (e.GetRepetitionType() == pq.FieldRepetitionType_REQUIRED) != d.columns[i].required {
			return false
		}
	}
	at := 0
	for g, rows := range d.groups {
		if rows == 0 {
			continue
		}
		if at == len(md.RowGroups) || md.RowGroups[at] == nil || md.RowGroups[at].NumRows != int64(rows) || len(md.RowGroups[at].Columns) != len(d.columns) {
			return false
		}
		for i, cc := range md.RowGroups[at].Columns {
			k := &d.columns[i].chunks[g]
			if cc == nil || cc.MetaData == nil || cc.MetaData.DataPageOffset != k.offset+int64(k.dict) || cc.MetaData.TotalCompressedSize != k.storedBytes() ||
				cc.MetaData.TotalUncompressedSize != k.rawBytes || cc.MetaData.NumValues != int64(rows) || (cc.MetaData.Codec == pq.CompressionCodec_ZSTD) != k.zipped {
				return false
			}
		}
		at++
	}
	return at == len(md.RowGroups)
}
