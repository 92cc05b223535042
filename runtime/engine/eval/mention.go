package eval

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// mention is a field that a query mentions. A search shows its value on the spans it returns: where
// the query only compares the field with constants, values that satisfy a comparison; else any
// value.
type mention struct {
	field *traceql.Field
	key   string
	preds []*pred // the comparisons with constants

	shownAsIs bool // the field is also used otherwise, so that any value is shown
	nilTested bool // it is compared by = nil, so that a missing value is shown as nil
}

// listMentions lists the fields of a pipeline from left to right, each once.
func listMentions(p *traceql.Pipeline) []*mention {
	var list []*mention
	get := func(f *traceql.Field) *mention {
		for _, m := range list {
			if m.field.Scope == f.Scope && m.field.Name == f.Name {
				return m
			}
		}
		m := &mention{field: f, key: f.Name}
		list = append(list, m)
		return m
	}
	traceql.Walk(p, func(n traceql.Node) bool {
		switch n := n.(type) {
		case *traceql.Field:
			get(n).shownAsIs = true
		case *traceql.GroupBy:
			traceql.EachField(n, func(f *traceql.Field) { get(f).shownAsIs = true })
			return false
		case *traceql.Aggregate:
			traceql.EachField(n, func(f *traceql.Field) { get(f).shownAsIs = true })
			return false
		case *traceql.Binary:
			f, p := comparedField(n)
			if f == nil {
				return true
			}
			m := get(f)
			switch {
			case p != nil:
				m.preds = append(m.preds, p)
			case n.Op == "=":
				m.nilTested = true
			default:
				m.shownAsIs = true
			}
			return false
		}
		return true
	})
	return list
}

// comparedField returns the field of a comparison with a constant, and the comparison. Both are nil
// if e is anything else; of a nil test only the comparison is nil.
func comparedField(e *traceql.Binary) (*traceql.Field, *pred) {
	if !e.Op.IsComparison() {
		return nil, nil
	}
	left, right, op := e.Left, e.Right, e.Op
	f, ok := left.(*traceql.Field)
	if !ok || traceql.DependsOnSpan(right) {
		left, right, op = right, left, mirrorOp(op)
		if f, ok = left.(*traceql.Field); !ok || traceql.DependsOnSpan(right) {
			return nil, nil
		}
	}
	if traceql.IsNil(right) {
		return f, nil
	}
	v, err := computeConstant(right)
	if err != nil {
		return nil, nil
	}
	p := &pred{op: op, literal: v}
	switch {
	case op == "=~" || op == "!~":
		if p.matcher, err = newMatcher(v.str); err != nil {
			return nil, nil
		}
	default:
		p.literal.str = normalizeID(f, op, v.str)
	}
	return f, p
}

// hasOwnPlace reports whether a field has a place of its own in every answer.
func (m *mention) hasOwnPlace() bool {
	if m.field.Scope != traceql.ScopeIntrinsic {
		return false
	}
	switch m.field.Name {
	case "name", "duration", "traceDuration", "rootName", "rootServiceName", "trace:id", "span:id":
		return true
	}
	return false
}

// acceptValue returns the part of a value that is shown; of an array that is the elements which
// satisfy a comparison. ok is false if nothing is shown.
func (m *mention) acceptValue(v value) (shown value, ok bool) {
	if m.shownAsIs {
		return v, v.kind != nothing && v.kind != opaqueValue
	}
	some := func(v value) bool {
		return slices.ContainsFunc(m.preds, func(p *pred) bool { return p.holdsFor(v) })
	}
	if v.kind != arrayValue {
		return v, some(v)
	}
	var list []byte
	n := 0
	var one value
	v.eachElement(func(e value) bool {
		if some(e) {
			n++
			one = e
			w := e.toAnswer()
			elem := trace.AppendValue(nil, &w)
			list = binary.AppendUvarint(append(list, 1<<3|2), uint64(len(elem)))
			list = append(list, elem...)
		}
		return true
	})
	if n < 2 {
		return one, n == 1
	}
	message := binary.AppendUvarint([]byte{5<<3 | 2}, uint64(len(list))) // AnyValue.array_value
	return value{kind: arrayValue, str: string(append(message, list...))}, true
}

// showValues adds the field's values to the spans of rows of the current page.
func (m *mention) showValues(ctx context.Context, src source, rows []uint32, vals *values, out []SpanMatch) error {
	put := func(i int, v value) {
		out[i].Attributes = append(out[i].Attributes, Attribute{Key: m.key, Value: cloneValue(v.toAnswer())})
	}
	vals.reset(len(rows))
	if err := src.readValues(ctx, rows, vals); err != nil {
		return err
	}
	each, several := src.eachValue, len(vals.many) > 0
	if c, ok := src.(interface {
		eachChildValue(context.Context, int, func(value)) error
	}); ok {
		each, several = c.eachChildValue, true // one event may pass where the first does not
	}
	for i, r := range rows {
		v := vals.at(i)
		if m.shownAsIs || !several {
			if shown, ok := m.acceptValue(v); ok {
				put(i, shown)
			} else if m.nilTested && v.kind == nothing {
				put(i, value{})
			}
			continue
		}
		shown, has := false, false
		err := each(ctx, int(r), func(v value) {
			has = true
			if w, ok := m.acceptValue(v); ok && !shown {
				shown = true
				put(i, w)
			}
		})
		if err != nil {
			return err
		}
		if m.nilTested && !has {
			put(i, value{})
		}
	}
	return nil
}
