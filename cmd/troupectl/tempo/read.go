// Package tempo reads the traces of Tempo's blocks, which are Parquet files, as OTLP.
//
// It knows no list of the columns of a version. A Parquet file describes itself: the footer tells
// how columns nest (schema.go) and what they are called. Names are compared with the fields of
// OTLP, with attributes, and with the dedicated columns of the block's meta.json (bind.go). What a
// column holds that is none of these would be lost, so it is an error that names the column.
//
// A row of the file is a trace. cells.go walks over its values; span.go and attributes.go make
// OTLP of them.
package tempo

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// errDamaged is the error of a file that does not fit together.
var errDamaged = errors.New("it is damaged")

const (
	// rowsAtOnce is the number of traces that are read at a time.
	rowsAtOnce = 16

	// recordSpans is the number of spans of one record of a trace.
	recordSpans = 16 << 10
)

// File is the data.parquet of a block.
type File struct {
	file   *parquet.File
	root   *node
	ignore map[string]bool
}

// OpenFile reads the footer of a file. ignore are the paths of columns whose values may be left
// out.
func OpenFile(r io.ReaderAt, size int64, dedicated []DedicatedColumn, ignore []string) (f *File, err error) {
	defer recoverDamage(&err)
	file, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	root, err := newTree(file)
	if err != nil {
		return nil, err
	}
	b := binder{dedicated: dedicated}
	if err := b.bind(root); err != nil {
		return nil, err
	}
	f = &File{file: file, root: root, ignore: map[string]bool{}}
	for _, path := range ignore {
		f.ignore[path] = true
	}
	return f, nil
}

// recoverDamage makes an error of a panic: the library has no limits of its own against damage.
func recoverDamage(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: %v", errDamaged, r)
	}
}

// Traces returns the number of traces, which is the number of rows.
func (f *File) Traces() int64 { return f.file.NumRows() }

// Trace is one trace of a file.
type Trace struct {
	ID            trace.ID
	Spans         int
	MinStart, End uint64   // unix ns, over all spans
	OTLP          [][]byte // TracesData messages, together all spans
}

// Each calls visit with each trace from a number on, in the order of the file.
func (f *File) Each(ctx context.Context, from int64, visit func(*Trace) error) (err error) {
	defer recoverDamage(&err)
	skip := from
	for _, g := range f.file.RowGroups() {
		if skip >= g.NumRows() {
			skip -= g.NumRows()
			continue
		}
		if err := f.readGroup(ctx, g, skip, visit); err != nil {
			return err
		}
		skip = 0
	}
	return nil
}

// visitError is an error of the caller's, as opposed to one of the file.
type visitError struct{ error }

func (v visitError) Unwrap() error { return v.error }

func (f *File) readGroup(ctx context.Context, g parquet.RowGroup, skip int64, visit func(*Trace) error) (err error) {
	rows := g.Rows()
	defer func() { err = errors.Join(err, rows.Close()) }()
	if skip > 0 {
		if err := rows.SeekToRow(skip); err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
	}
	r := reader{cells: cells{ignore: f.ignore}}
	buf := make([]parquet.Row, rowsAtOnce)
	for read := skip; read < g.NumRows(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := rows.ReadRows(buf)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		if n == 0 {
			return fmt.Errorf("%w: a row group has %d rows and should have %d", errDamaged, read, g.NumRows())
		}
		for _, row := range buf[:n] {
			t, err := r.readTrace(f.root, row)
			if err != nil {
				return fmt.Errorf("trace %s: %w", r.traceID, err)
			}
			if err := visit(t); err != nil {
				return visitError{err}
			}
		}
		read += int64(n)
	}
	return nil
}

// reader makes traces of rows.
type reader struct {
	cells
	attributeReader
	traceID  trace.ID
	out      *Trace
	resource []byte
	scope    []byte
	encoder  *trace.Encoder
	spans    int // in the encoder
}

// readTrace reads one row.
func (r *reader) readTrace(root *node, row parquet.Row) (*Trace, error) {
	r.setRow(row, root.to)
	r.out, r.traceID, r.encoder = &Trace{MinStart: ^uint64(0)}, trace.ID{}, nil
	err := r.eachChild(root, func(c *node) error {
		if c.role != traceID {
			return r.drop(c, false)
		}
		v, ok, err := r.takeLeaf(c)
		if err == nil && ok {
			err = r.setTraceID(v)
		}
		return err
	})
	if err == nil {
		err = r.eachNext(root, r.readResource)
	}
	r.endRecord()
	r.out.ID = r.traceID
	return r.out, err
}

func (r *reader) setTraceID(v parquet.Value) error {
	id := v.ByteArray()
	if len(id) > len(r.traceID) {
		return fmt.Errorf("%w: a trace id has %d bytes", errDamaged, len(id))
	}
	r.traceID = trace.ID{}
	copy(r.traceID[len(r.traceID)-len(id):], id)
	return nil
}

// eachChild calls f with the columns of a node, and with those of the groups in it, but not with
// the list of what is within. f takes their values.
func (r *reader) eachChild(n *node, f func(*node) error) error {
	for _, c := range n.children {
		var err error
		switch {
		case c.role == next:
		case c.role == group:
			var there bool
			if there, err = r.isThere(c); err == nil && there {
				err = r.eachChild(c, f)
			}
		default:
			err = f(c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// eachNext calls f for each element of the list of what is within.
func (r *reader) eachNext(n *node, f func(*node) error) error {
	for _, c := range n.children {
		if c.role == next {
			return r.each(c, f)
		}
		if c.role == group && holdsNext(c) {
			return r.eachNext(c, f)
		}
	}
	return nil
}

func holdsNext(n *node) bool {
	for _, c := range n.children {
		if c.role == next || c.role == group && holdsNext(c) {
			return true
		}
	}
	return false
}

// readResource reads what spans were sent under, and the scopes within.
func (r *reader) readResource(n *node) error {
	p, err := r.readParent(n)
	if err != nil {
		return err
	}
	r.resource = appendParent(nil, nil, 1, 2, p)
	if r.encoder != nil {
		if err := r.encoder.Resource(r.resource); err != nil {
			return err
		}
	}
	return r.eachNext(n, r.readScope)
}

// readScope reads an instrumentation scope, and the spans within.
func (r *reader) readScope(n *node) error {
	p, err := r.readParent(n)
	if err != nil {
		return err
	}
	r.scope = appendParent(p.name, p.version, 3, 4, p)
	if r.encoder != nil {
		if err := r.encoder.Scope(r.scope); err != nil {
			return err
		}
	}
	return r.eachNext(n, r.readSpan)
}

// beginRecord begins a record of spans of the present resource and scope.
func (r *reader) beginRecord() error {
	if r.encoder != nil && r.spans < recordSpans {
		return nil
	}
	r.endRecord()
	r.encoder = trace.NewEncoder(nil)
	if err := r.encoder.Resource(r.resource); err != nil {
		return err
	}
	return r.encoder.Scope(r.scope)
}

func (r *reader) endRecord() {
	if r.encoder != nil {
		r.out.OTLP = append(r.out.OTLP, r.encoder.Bytes())
	}
	r.encoder, r.spans = nil, 0
}
