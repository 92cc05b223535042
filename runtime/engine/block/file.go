package block

import (
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// The names of a block's objects. MetaObject holds its Meta and is written last: a block without
// it is not complete. A block without events, links or sparse attributes has no object for them.
const (
	MetaObject       = "meta.json"
	SpansObject      = "spans.parquet"
	EventsObject     = "events.parquet"
	LinksObject      = "links.parquet"
	AttributesObject = "attributes.parquet"
)

// PartNames returns the names of the objects that a block can have beside its meta.
func PartNames() []string { return []string{SpansObject, EventsObject, LinksObject, AttributesObject} }

const magic = "PAR1"

// parquetFile writes one Parquet object: chunks in any order, then the tail (footer.go).
type parquetFile struct {
	name    string
	w       io.WriteCloser
	off     int64 // bytes written
	groups  []int // rows, by row group of the spans; one without rows is not in the file
	columns []*fileColumn
	names   map[string]bool // of the columns
}

// fileColumn is a column of a parquetFile.
type fileColumn struct {
	columnSpec
	chunks []chunk  // by row group
	blooms [][]byte // filters by row group; of trace ids only
}

// createFile begins an object.
func createFile(sink Sink, name string, groups []int) (*parquetFile, error) {
	w, err := sink.Create(name)
	if err != nil {
		return nil, err
	}
	f := &parquetFile{name: name, w: w, groups: groups, names: map[string]bool{}}
	return f, f.writeBytes([]byte(magic))
}

// writeBytes appends b to the object.
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

// addColumn adds a column. Those of attributes get their name in Parquet here.
func (f *parquetFile) addColumn(s columnSpec) *fileColumn {
	if s.name == "" {
		s.name = attributeName(s.key)
	}
	for f.names[s.name] { // two keys may differ only in characters that were replaced
		s.name += "'"
	}
	f.names[s.name] = true
	c := &fileColumn{columnSpec: s, chunks: make([]chunk, len(f.groups))}
	f.columns = append(f.columns, c)
	return c
}

// attributeName makes a key the name of a column: scope, name and, unless it is a string, type.
// Other readers want UTF-8 without control characters.
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
		return fmt.Errorf("write %s column %s: a page of %d rows takes more than %d MB: merge fewer tables: %w",
			f.name, c.name, column.PageRows, maxPage>>20, ErrTooLarge)
	}
	k.offset = f.off
	c.chunks[group] = k
	return f.writeBytes(e.out)
}

// completeColumns drops the fixed columns that no row has a value in, and writes chunks of nulls
// where another column has no chunk. Columns of attributes stay, because shapes count them.
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
