package block

import (
	"math"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// writeDerived writes resources and scopes and the columns of what they hold.
func (t *tableWriter) writeDerived() error {
	p, g := t.layout, &t.gatherer
	input := p.input[g.from : g.from+g.slots]
	for _, side := range []struct {
		ref, overflow column.Key
		number        []uint32
		contents      *contents
		names         *interner
	}{{column.ResourceRef, column.ResourceOverflow, p.resource, t.resources, p.resources}, {column.ScopeRef, column.ScopeOverflow, p.scope, t.scopes, p.scopes}} {
		of := make([]uint32, len(input)) // content of each slot
		for i, r := range input {
			of[i] = side.number[r]
		}
		if err := t.writeColumn(side.ref, &cells{codes: of, dict: side.names}); err != nil {
			return err
		}
		codes := make([]uint32, len(side.contents.list)) // + 1
		text := func(k column.Key, d *interner) error {
			g.codes = resize(g.codes, g.slots)
			if slices.Contains(codes, 0) {
				t.spreadCodes(of, codes)
				return t.writeColumn(k, &cells{codes: g.codes, dict: d, present: g.endColumn()})
			}
			if len(d.list) > 1 {
				for i, c := range of {
					g.codes[i] = codes[c] - 1
				}
			} else {
				clear(g.codes)
			}
			return t.writeColumn(k, &cells{codes: g.codes, dict: d})
		}
		list := func(k column.Key, values []string) error {
			d := newInterner(p.seed)
			clear(codes)
			for i, s := range values {
				if s != "" {
					codes[i] = d.intern(s, false) + 1
				}
			}
			return text(k, d)
		}
		if side.contents.name != nil {
			err := list(column.ScopeName, side.contents.name)
			if err == nil {
				err = list(column.ScopeVersion, side.contents.version)
			}
			if err != nil {
				return err
			}
		}
		if err := list(side.overflow, side.contents.overflow); err != nil {
			return err
		}
		for _, fc := range t.file.columns {
			k := fc.key
			if k.Scope != side.contents.scope {
				continue
			}
			var err error
			switch k.Type {
			case column.Int, column.Bool, column.Float:
				err = t.writeDerivedNumber(k, side.contents, of)
			default:
				d := newInterner(p.seed)
				clear(codes)
				side.contents.eachValue(k, func(i int, v *trace.Value) {
					s := unsafe.String(unsafe.SliceData(v.Bytes), len(v.Bytes))
					if k.Type == column.Any {
						s = string(trace.AppendValue(nil, v))
					}
					codes[i] = d.intern(s, false) + 1
				})
				err = text(k, d)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// spreadCodes puts the codes - 1 of contents to the slots that have them; 0 is none.
func (t *tableWriter) spreadCodes(of, codes []uint32) {
	g := &t.gatherer
	g.beginColumn()
	for i, c := range of {
		if n := codes[c]; n > 0 {
			g.codes[i] = n - 1
			g.present.Set(i)
		}
	}
	t.countPresent()
}

func (t *tableWriter) writeDerivedNumber(k column.Key, c *contents, of []uint32) error {
	g := &t.gatherer
	values, has := make([]trace.Value, len(c.list)), make([]bool, len(c.list))
	c.eachValue(k, func(i int, v *trace.Value) { values[i], has[i] = *v, true })
	g.beginColumn()
	g.ints, g.floats = resize(g.ints, g.slots), resize(g.floats, g.slots)
	for i, n := range of {
		if has[n] {
			g.ints[i] = int64(values[n].Num)
			g.present.Set(i)
		}
	}
	t.countPresent()
	out := &cells{ints: g.ints, present: g.endColumn()}
	if k.Type == column.Float {
		for i, n := range of {
			if has[n] {
				g.floats[i] = math.Float64frombits(values[n].Num)
			}
		}
		out.floats = g.floats
	}
	return t.writeColumn(k, out)
}
