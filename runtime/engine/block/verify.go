package block

import (
	"context"
	"encoding/binary"
	"fmt"

	pq "github.com/xitongsys/parquet-go/parquet"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// Verify reads everything that the block holds and checks that it fits together: every page of
// every column, every span, the Parquet footers, and what index and meta state of them. It returns
// what it read. Errors: ErrCorrupt, or those of the source.
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

// verifyTables checks the tables and the traces of a row group.
func (t *spanTable) verifyTables(ctx context.Context) error {
	for _, v := range t.groupTables() {
		for c := range v.dir.columns {
			if err := v.verifyColumn(ctx, c); err != nil {
				return err
			}
		}
	}
	bl := t.reader.block
	fail := func(cause string) error {
		return &corruptError{object: SpansObject, offset: bl.meta.Index.Offset, cause: cause}
	}
	var all []uint32
	start, end := uint64(1<<64-1), uint64(0)
	for i := range t.group.traces {
		info := bl.traces.describeTrace(t.group.trace + i)
		start, end = min(start, info.Start), max(end, info.End, info.Start)
		if n, ok := bl.traces.findTrace(info.ID); !ok || n != t.group.trace+i || !bl.MayHold(info.ID) {
			return fail("trace " + info.ID.String() + " is not found")
		}
		all = t.TraceRows(i, all[:0])
		if _, err := t.AppendFragments(ctx, all, nil); err != nil {
			return err
		}
	}
	if start != t.group.start || end != t.group.end || start < bl.meta.MinStart || end > bl.meta.MaxEnd {
		return fail("time range of a row group")
	}
	return nil
}

// verifyColumn decodes every page of a column, and compares the values with the bounds and the
// filter of the index.
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
		if v.spans && col.kind == kindText && col.isText() && !v.filterHas(col.key, &dst) {
			return v.corruptPage(c, p, "value is not in the filter")
		}
	}
	return nil
}

// filterHas reports whether the values of a page are in the filter. Of a page with codes it looks
// at entries of the dictionary, at most as many as the page has values.
func (v *groupTable) filterHas(k column.Key, page *column.Vector) bool {
	for i := range page.N {
		if page.Dict == nil {
			if !v.MayHave(k, page.Text(i)) {
				return false
			}
		} else if i < len(page.Dict) && !v.MayHave(k, page.Dict[i]) {
			return false
		}
	}
	return true
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
		rest, err := decodeLevels(&dst, body)
		if err != nil || len(rest) != 0 || dst.N != 0 || h.values != dst.Rows || h.encoding != encPlain {
			return v.corruptPage(c, w.page, "page of nulls")
		}
	}
	return nil
}

// verifyTraceIDs checks that the codes of trace ids agree with the index. Nothing else reads them.
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

// verifyFooter checks that an object is Parquet, and that its footer agrees with the index.
func (r *Reader) verifyFooter(ctx context.Context, d *directory) error {
	size := r.block.meta.Objects[d.object]
	fail := func(at int64, cause string) error {
		return &corruptError{object: d.object, offset: at, cause: cause}
	}
	read := func(off int64, n int) ([]byte, error) {
		b := make([]byte, n)
		r.stats.Reads++
		r.stats.Waves++
		r.stats.Bytes += int64(n)
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

// agreesWith reports whether a footer describes the columns as the directory does.
func (d *directory) agreesWith(md *pq.FileMetaData) bool {
	if len(md.Schema) != len(d.columns)+1 {
		return false
	}
	for i := range d.columns {
		c, e := &d.columns[i], md.Schema[i+1]
		if e == nil || e.Name != c.name || (e.GetRepetitionType() == pq.FieldRepetitionType_REQUIRED) != c.required {
			return false
		}
	}
	at := 0
	for g, rows := range d.groups {
		if rows == 0 {
			continue
		}
		if at == len(md.RowGroups) || !d.groupAgreesWith(g, md.RowGroups[at]) {
			return false
		}
		at++
	}
	return at == len(md.RowGroups)
}

// groupAgreesWith reports whether a footer describes the chunks of row group g as the directory
// does.
func (d *directory) groupAgreesWith(g int, rg *pq.RowGroup) bool {
	rows := int64(d.groups[g])
	if rg == nil || rg.NumRows != rows || len(rg.Columns) != len(d.columns) {
		return false
	}
	for i, cc := range rg.Columns {
		if cc == nil || cc.MetaData == nil {
			return false
		}
		k, m := &d.columns[i].chunks[g], cc.MetaData
		if m.DataPageOffset != k.offset+int64(k.dict) || m.NumValues != rows ||
			m.TotalCompressedSize != k.storedBytes() || m.TotalUncompressedSize != k.rawBytes ||
			(m.Codec == pq.CompressionCodec_ZSTD) != k.zipped {
			return false
		}
	}
	return true
}
