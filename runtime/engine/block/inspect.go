package block

import (
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// RowGroup describes a row group.
type RowGroup struct {
	Rows, Traces int
	Start, End   uint64 // unix ns, of all its spans
	Services     []string
}

// ColumnInfo describes a column of one of the block's objects.
type ColumnInfo struct {
	Object   string
	Name     string      // in Parquet
	Key      column.Key  // the table's column, or one that such a column is made of
	Required bool        // every row has a value
	Groups   []ChunkInfo // by row group of the spans; one without rows is not in the object
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
	PlainPages int    // that have values, not codes
	Encoding   string // such as "dictionary, delta"; empty where there are no values
	Codec      string // "zstd" or "none"
}

// RowGroups describes the block's row groups.
func (bl *Block) RowGroups() []RowGroup {
	out := make([]RowGroup, len(bl.groups))
	for i, g := range bl.groups {
		out[i] = RowGroup{
			Rows: g.rows, Traces: g.traces,
			Start: g.start, End: g.end,
			Services: slices.Clone(g.services),
		}
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

// objectDirectories returns the directories of the objects that the block has.
func (bl *Block) objectDirectories() []*directory {
	var out []*directory
	for _, d := range []*directory{&bl.spans, &bl.events, &bl.links, &bl.attributes} {
		if d.columns != nil {
			out = append(out, d)
		}
	}
	return out
}

// describeChunk describes a chunk of a column of the kind.
func (k *chunk) describeChunk(kind kind) ChunkInfo {
	x := ChunkInfo{
		Offset:     k.offset,
		Rows:       k.rows,
		Values:     k.values,
		Bytes:      k.storedBytes(),
		RawBytes:   k.rawBytes,
		Dictionary: int64(k.dict),
		Entries:    k.entries,
		Pages:      len(k.pages),
		Codec:      "none",
	}
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

// ColumnRead is a column of an object of which a Reader has pages.
type ColumnRead struct {
	Object, Name string
	Pages, Of    int // how many of how many pages it has, over all row groups
}

// Columns lists the columns that the reader has pages of, in the order of the objects.
func (r *Reader) Columns() []ColumnRead {
	var out []ColumnRead
	for _, d := range r.block.objectDirectories() {
		for c := range d.columns {
			x := ColumnRead{Object: d.object, Name: d.columns[c].name}
			for _, t := range r.tables {
				for _, v := range t.groupTables() {
					if v.dir == d {
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

// countFetched returns how many pages of a column are here.
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
