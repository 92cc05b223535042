package eval

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// overflow holds the attributes of one scope that have no column of their own, at the frame's page.
// Of these it keeps only the ones that the query names.
type overflow struct {
	column  *pageColumn
	numbers map[string]int // of the names
	found   []overflowAttribute
	loaded  bool // found is that of the frame's page
}

// overflowAttribute is one attribute of one row.
type overflowAttribute struct {
	row    int
	number int // of its name
	typ    column.Type
	value  value
}

// findOverflow returns where attributes of a name overflow, and the number of the name there. o is
// nil if certainly none does.
func (f *frame) findOverflow(s column.Scope, name string) (o *overflow, number int) {
	if f.directory != nil {
		if keys, ok := f.directory.OverflowKeys(s); ok {
			found := false
			for _, k := range keys {
				found = found || k.Name == name
			}
			if !found {
				return nil, 0
			}
		}
	}
	k := column.OverflowOf(s)
	o, ok := f.overflows[k]
	if !ok {
		if !f.isEmpty(k) {
			o = &overflow{column: f.column(k), numbers: map[string]int{}}
		}
		f.overflows[k] = o
	}
	if o == nil {
		return nil, 0
	}
	number, ok = o.numbers[name]
	if !ok {
		number = len(o.numbers)
		o.numbers[name] = number
		o.loaded = false
	}
	return o, number
}

// readPage returns the attributes of the page, in the order of rows, and of a row as they were
// sent.
func (o *overflow) readPage(ctx context.Context) ([]overflowAttribute, error) {
	if o.loaded {
		return o.found, nil
	}
	v, err := o.column.loadPage(ctx)
	if err != nil {
		return nil, err
	}
	o.found = o.found[:0]
	if v.N > 0 {
		i := 0
		err = eachPresentRow(v, func(row int) error {
			text := v.Text(i)
			i++
			return eachOverflowAttribute(text, func(name []byte, t column.Type, val value) {
				if n, ok := o.numbers[string(name)]; ok {
					o.found = append(o.found, overflowAttribute{row: row, number: n, typ: t, value: val})
				}
			})
		})
		if err != nil {
			return nil, err
		}
	}
	o.loaded = true
	return o.found, nil
}

// eachOverflowAttribute calls f for the attributes of an overflow value, in the order sent. Strings
// alias text.
func eachOverflowAttribute(text string, f func(name []byte, t column.Type, v value)) error {
	rest := viewBytes(text)
	for {
		var a trace.Attribute
		var ok bool
		var err error
		if rest, ok, err = column.NextKeyValue(rest, &a); err != nil || !ok {
			return err
		}
		f(a.Key, column.TypeOf(a.Value.Type), attributeValue(a.Value))
	}
}
