package block

import (
	"math"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Resources and scopes are distinct contents, and rows have numbers of them. Whatever is derived
// from them, such as their attributes, is worked out once for each content, and then spread to the
// rows:
//
//	content  service.name  code     row      0 1 2 3 4
//	0        "cart"        0        content  1 0 0 2 1
//	1        "shop"        1        code     1 0 0 - 1
//	2        none          none

// derived writes the columns that are derived from the resources, or the scopes, of a band.
type derived struct {
	*tableWriter
	contents *contents
	of       []uint32 // by slot of the band: number of the content
	codes    []uint32 // by content: code of its text + 1; 0: it has none
}

// writeDerived writes resources and scopes, and the columns of their attributes.
func (t *tableWriter) writeDerived() error {
	p := t.layout
	r := t.newDerived(t.resources, p.resource)
	if err := r.writeSide(column.ResourceRef, column.ResourceOverflow, p.resources); err != nil {
		return err
	}
	s := t.newDerived(t.scopes, p.scope)
	return s.writeSide(column.ScopeRef, column.ScopeOverflow, p.scopes)
}

// newDerived makes the columns of contents ready. numbers are the contents by input row.
func (t *tableWriter) newDerived(c *contents, numbers []uint32) *derived {
	g := &t.gatherer
	input := t.layout.input[g.from : g.from+g.slots]
	d := &derived{tableWriter: t, contents: c, of: make([]uint32, len(input)), codes: make([]uint32, len(c.list))}
	for i, r := range input {
		d.of[i] = numbers[r]
	}
	return d
}

// writeSide writes the contents themselves, which are the entries of dict, and all that is derived
// from them.
func (d *derived) writeSide(ref, overflow column.Key, dict *interner) error {
	if err := d.writeColumn(ref, &cells{codes: d.of, dict: dict}); err != nil {
		return err
	}
	if d.contents.name != nil {
		if err := d.writeTexts(column.ScopeName, d.contents.name); err != nil {
			return err
		}
		if err := d.writeTexts(column.ScopeVersion, d.contents.version); err != nil {
			return err
		}
	}
	if err := d.writeTexts(overflow, d.contents.overflow); err != nil {
		return err
	}
	for _, fc := range d.file.columns {
		if fc.key.Scope != d.contents.scope {
			continue
		}
		if err := d.writeDerivedAttribute(fc.key); err != nil {
			return err
		}
	}
	return nil
}

// writeTexts writes a column of texts, by content; empty ones are left out.
func (d *derived) writeTexts(k column.Key, texts []string) error {
	dict := newInterner(d.layout.seed)
	clear(d.codes)
	for i, s := range texts {
		if s != "" {
			d.codes[i] = dict.intern(s, false) + 1
		}
	}
	return d.writeCodes(k, dict)
}

// writeDerivedAttribute writes the column of an attribute.
func (d *derived) writeDerivedAttribute(k column.Key) error {
	switch k.Type {
	case column.Int, column.Bool, column.Float:
		return d.writeNumbers(k)
	}
	dict := newInterner(d.layout.seed)
	clear(d.codes)
	d.contents.eachValue(k, func(i int, v *trace.Value) {
		s := unsafe.String(unsafe.SliceData(v.Bytes), len(v.Bytes))
		if k.Type == column.Any {
			s = string(trace.AppendValue(nil, v))
		}
		d.codes[i] = dict.intern(s, false) + 1
	})
	return d.writeCodes(k, dict)
}

// writeCodes spreads d.codes to the rows, and writes them.
func (d *derived) writeCodes(k column.Key, dict *interner) error {
	g := &d.gatherer
	g.codes = resize(g.codes, g.slots)
	if slices.Contains(d.codes, 0) {
		d.spreadCodes()
		return d.writeColumn(k, &cells{codes: g.codes, dict: dict, present: g.endColumn()})
	}
	if len(dict.list) > 1 {
		for i, c := range d.of {
			g.codes[i] = d.codes[c] - 1
		}
	} else {
		clear(g.codes)
	}
	return d.writeColumn(k, &cells{codes: g.codes, dict: dict})
}

// spreadCodes spreads d.codes to the rows whose content has one.
func (d *derived) spreadCodes() {
	g := &d.gatherer
	g.beginColumn()
	for i, c := range d.of {
		if n := d.codes[c]; n > 0 {
			g.codes[i] = n - 1
			g.present.Set(i)
		}
	}
	d.countPresent()
}

// writeNumbers writes the column of an attribute of numbers or bools.
func (d *derived) writeNumbers(k column.Key) error {
	g := &d.gatherer
	values, has := make([]trace.Value, len(d.contents.list)), make([]bool, len(d.contents.list))
	d.contents.eachValue(k, func(i int, v *trace.Value) { values[i], has[i] = *v, true })
	g.beginColumn()
	g.ints, g.floats = resize(g.ints, g.slots), resize(g.floats, g.slots)
	for i, n := range d.of {
		if has[n] {
			g.ints[i] = int64(values[n].Num)
			g.present.Set(i)
		}
	}
	d.countPresent()
	out := &cells{ints: g.ints, present: g.endColumn()}
	if k.Type == column.Float {
		for i, n := range d.of {
			if has[n] {
				g.floats[i] = math.Float64frombits(values[n].Num)
			}
		}
		out.floats = g.floats
	}
	return d.writeColumn(k, out)
}
