package traceql

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// answer describes the traces found: the second pass, over what is returned only.
func (s *scan) answer(ctx context.Context, kept []found, p *Pipeline, r *SearchRequest) ([]TraceMatch, error) {
	if len(kept) == 0 {
		return nil, nil
	}
	out := make([]TraceMatch, len(kept))
	var rows []uint32 // of all spans returned
	sets := make([][]spanset, len(kept))
	for i := range kept {
		info := &kept[i].info
		out[i] = TraceMatch{ID: info.ID, RootService: strings.Clone(info.RootService), RootName: strings.Clone(info.RootName),
			Start: info.Start, Duration: info.End - info.Start}
		if r.Bare {
			continue
		}
		found, err := s.spansets(ctx, kept[i].trace)
		if err != nil {
			return nil, err
		}
		for _, set := range found {
			m := SpanSet{Matched: len(set.rows)}
			for _, a := range set.attrs {
				m.Attributes = append(m.Attributes, Attribute{Key: a.stage.label(), Value: owned(a.v.answer())})
			}
			first, err := s.first(ctx, set.rows, r.SpansPerSpanSet)
			if err != nil {
				return nil, err
			}
			sets[i] = append(sets[i], spanset{rows: first})
			rows = append(rows, first...)
			out[i].SpanSets = append(out[i].SpanSets, m)
		}
	}
	if r.Bare {
		return out, nil
	}
	slices.Sort(rows)
	rows = slices.Compact(rows)
	spans, err := s.describe(ctx, rows, mentions(p))
	if err != nil {
		return nil, err
	}
	for i := range out {
		for j, set := range sets[i] {
			list := make([]SpanMatch, len(set.rows))
			for k, row := range set.rows {
				n, _ := slices.BinarySearch(rows, row)
				list[k] = spans[n]
			}
			out[i].SpanSets[j].Spans = list
		}
	}
	return out, s.services(ctx, kept, out)
}

// owned returns v with bytes of its own.
func owned(v trace.Value) trace.Value {
	v.Bytes = bytes.Clone(v.Bytes)
	return v
}

// first returns the first n rows of a spanset in the order of spans, as a new list.
func (s *scan) first(ctx context.Context, rows []uint32, n int) ([]uint32, error) {
	t := s.forest()
	for _, r := range rows {
		if _, err := t.page(ctx, int(r)/column.PageRows); err != nil {
			return nil, err
		}
	}
	rows = slices.Clone(rows)
	if err := t.sort(ctx, rows); err != nil {
		return nil, err
	}
	if n > 0 && len(rows) > n {
		rows = rows[:n:n]
	}
	return rows, nil
}

// mention is a field that a query mentions.
type mention struct {
	field *Field
	key   string
	preds []*pred // the constants it is compared with; what none of them accepts is not shown
	free  bool    // it is also used otherwise: the value is shown as it is
	isNil bool    // it is tested by = nil: shown as nil when absent
}

// mentions lists the fields of a pipeline from left to right, each once.
func mentions(p *Pipeline) []*mention {
	var list []*mention
	get := func(f *Field) *mention {
		for _, m := range list {
			if m.field.Scope == f.Scope && m.field.Name == f.Name {
				return m
			}
		}
		m := &mention{field: f, key: f.Name}
		list = append(list, m)
		return m
	}
	free := func(f *Field) { get(f).free = true }
	var in func(e Expr)
	in = func(e Expr) {
		switch e := e.(type) {
		case *Field:
			free(e)
		case *Unary:
			in(e.Of)
		case *Binary:
			if m, p := comparedField(e); m != nil {
				x := get(m)
				switch {
				case p != nil:
					x.preds = append(x.preds, p)
				case e.Op == "=":
					x.isNil = true
				default:
					x.free = true
				}
				return
			}
			in(e.Left)
			in(e.Right)
		}
	}
	var node func(n Node)
	node = func(n Node) {
		switch n := n.(type) {
		case *Pipeline:
			for _, st := range n.Stages {
				node(st)
			}
		case *SpansetOp:
			node(n.Left)
			node(n.Right)
		case *Filter:
			if n.Expr != nil {
				in(n.Expr)
			}
		case *GroupBy:
			fields(n.Expr, free)
		case *Select:
			for _, f := range n.Fields {
				free(f)
			}
		case *ScalarFilter:
			node(n.Left)
		case *Aggregate:
			if n.Expr != nil {
				fields(n.Expr, free)
			}
		}
	}
	node(p)
	return list
}

// comparedField returns the field of a comparison with a constant, and the comparison; no comparison for a nil test.
func comparedField(e *Binary) (*Field, *pred) {
	if level(e.Op) != 3 {
		return nil, nil
	}
	left, right, op := e.Left, e.Right, e.Op
	f, ok := left.(*Field)
	if !ok || refers(right) {
		left, right, op = right, left, mirror(op)
		if f, ok = left.(*Field); !ok || refers(right) {
			return nil, nil
		}
	}
	if isNil(right) {
		return f, nil
	}
	v, err := constant(right)
	if err != nil {
		return nil, nil
	}
	p := &pred{op: op, lit: v}
	switch {
	case op == "=~" || op == "!~":
		if p.re, err = newMatcher(v.str); err != nil {
			return nil, nil
		}
	case f.Scope == ScopeIntrinsic && (f.Name == "trace:id" || f.Name == "link:traceID"):
		p.lit.str = strings.TrimLeft(v.str, "0")
	}
	return f, p
}

// silent says whether a field has a place of its own in the answer.
func (m *mention) silent() bool {
	if m.field.Scope != ScopeIntrinsic {
		return false
	}
	switch m.field.Name {
	case "name", "duration", "traceDuration", "rootName", "rootServiceName", "trace:id", "span:id":
		return true
	}
	return false
}

// accepts returns what of a value is shown.
func (m *mention) accepts(v value) (value, bool) {
	if m.free {
		return v, v.kind != nothing && v.kind != opaqueValue
	}
	some := func(v value) bool {
		return slices.ContainsFunc(m.preds, func(p *pred) bool { return p.holds(v) })
	}
	if v.kind != arrayValue {
		return v, some(v)
	}
	var list []byte
	n := 0
	var one value
	v.elements(func(e value) bool {
		if some(e) {
			n++
			one = e
			w := e.answer()
			elem := trace.AppendValue(nil, &w)
			list = binary.AppendUvarint(append(list, 1<<3|2), uint64(len(elem)))
			list = append(list, elem...)
		}
		return true
	})
	if n < 2 {
		return one, n == 1
	}
	return value{kind: arrayValue, str: string(append(binary.AppendUvarint([]byte{5<<3 | 2}, uint64(len(list))), list...))}, true
}

// describe reads the spans returned. The rows ascend.
func (s *scan) describe(ctx context.Context, rows []uint32, list []*mention) ([]SpanMatch, error) {
	out := make([]SpanMatch, len(rows))
	t := s.forest()
	names := slices.ContainsFunc(list, func(m *mention) bool { return m.field.Scope == ScopeIntrinsic && m.field.Name == "name" })
	list = slices.DeleteFunc(slices.Clone(list), (*mention).silent)
	sources := make([]source, len(list))
	for i, m := range list {
		src, err := compiler{s: s}.source(m.field)
		if err != nil {
			return nil, err
		}
		sources[i] = src
	}
	if err := s.fetchAnswer(ctx, rows, names, sources); err != nil {
		return nil, err
	}
	var local []uint32
	var vals values
	for from := 0; from < len(rows); {
		page := int(rows[from]) / column.PageRows
		to := from
		local = local[:0]
		for ; to < len(rows) && int(rows[to])/column.PageRows == page; to++ {
			local = append(local, rows[to]%column.PageRows)
		}
		if err := s.seek(ctx, page); err != nil {
			return nil, err
		}
		part := out[from:to]
		for i, r := range local {
			p := t.pages[page]
			binary.BigEndian.PutUint64(part[i].ID[:], p.ids[r])
			part[i].Start, part[i].Duration = uint64(p.starts[r]), uint64(max(p.durations[r], 0))
		}
		if names {
			v, err := s.vector(ctx, column.Name)
			if err != nil {
				return nil, err
			}
			ranks := column.Ranks(v.Present)
			for i, r := range local {
				if d, ok := ranks.At(int(r)); ok {
					part[i].Name = strings.Clone(v.Text(d))
				}
			}
		}
		for i, m := range list {
			if err := m.show(ctx, sources[i], local, &vals, part); err != nil {
				return nil, err
			}
		}
		from = to
	}
	return out, nil
}

// show adds the field's value to spans of one page.
func (m *mention) show(ctx context.Context, src source, rows []uint32, vals *values, out []SpanMatch) error {
	put := func(i int, v value) {
		out[i].Attributes = append(out[i].Attributes, Attribute{Key: m.key, Value: owned(v.answer())})
	}
	if m.free {
		vals.reset(len(rows))
		if err := src.read(ctx, rows, vals); err != nil {
			return err
		}
		for i := range rows {
			if v, ok := m.accepts(vals.at(i)); ok {
				put(i, v)
			} else if m.isNil && v.kind == nothing {
				put(i, value{})
			}
		}
		return nil
	}
	each := src.each
	if c, ok := src.(interface {
		every(context.Context, int, func(value)) error
	}); ok {
		each = c.every
	}
	for i, r := range rows {
		shown, has := false, false
		err := each(ctx, int(r), func(v value) {
			has = true
			if w, ok := m.accepts(v); ok && !shown {
				shown = true
				put(i, w)
			}
		})
		if err != nil {
			return err
		}
		if m.isNil && !has {
			put(i, value{})
		}
	}
	return nil
}

// fetchAnswer asks for the columns of the second pass in one wave.
func (s *scan) fetchAnswer(ctx context.Context, rows []uint32, names bool, sources []source) error {
	if s.hint == nil {
		return nil
	}
	keys := []column.Key{}
	if names {
		keys = append(keys, column.Name)
	}
	for _, src := range sources {
		src.columns(func(h *held) {
			if h.f == s.spans && !slices.Contains(keys, h.key) {
				keys = append(keys, h.key)
			}
		})
	}
	return s.hint.Prefetch(ctx, keys, pagesOf(rows))
}

// pagesOf returns the pages of rows, which ascend.
func pagesOf(rows []uint32) []int {
	var pages []int
	for _, r := range rows {
		if p := int(r) / column.PageRows; len(pages) == 0 || pages[len(pages)-1] != p {
			pages = append(pages, p)
		}
	}
	return pages
}

// services counts the spans of the traces by service.
func (s *scan) services(ctx context.Context, kept []found, out []TraceMatch) error {
	type owned struct {
		row   uint32
		match int
	}
	var list []owned
	for i := range kept {
		rows, err := s.existing(ctx, kept[i].trace)
		if err != nil {
			return err
		}
		for _, r := range rows {
			list = append(list, owned{r, i})
		}
	}
	slices.SortFunc(list, func(a, b owned) int { return cmp.Compare(a.row, b.row) })
	src := s.spans.attribute(column.Resource, "service.name")
	status := s.spans.column(column.Status)
	var rows []uint32
	var vals values
	if s.hint != nil {
		keys := []column.Key{column.Status}
		src.columns(func(h *held) { keys = append(keys, h.key) })
		for _, o := range list {
			rows = append(rows, o.row)
		}
		if err := s.hint.Prefetch(ctx, keys, pagesOf(rows)); err != nil {
			return err
		}
	}
	for from := 0; from < len(list); {
		page := int(list[from].row) / column.PageRows
		rows = rows[:0]
		to := from
		for ; to < len(list) && int(list[to].row)/column.PageRows == page; to++ {
			rows = append(rows, list[to].row%column.PageRows)
		}
		if err := s.seek(ctx, page); err != nil {
			return err
		}
		codes, err := status.full(ctx)
		if err != nil {
			return err
		}
		vals.reset(len(rows))
		if err := src.read(ctx, rows, &vals); err != nil {
			return err
		}
		for i, r := range rows {
			name := ""
			if vals.kinds[i] == stringValue {
				name = vals.strs[i]
			}
			st := statsOf(&out[list[from+i].match], name)
			st.Spans++
			if codes.Ints[r] == 2 {
				st.Errors++
			}
		}
		from = to
	}
	for i := range out {
		slices.SortFunc(out[i].Services, func(a, b ServiceStats) int { return strings.Compare(a.Service, b.Service) })
	}
	return nil
}

// statsOf returns the counters of a service in a trace.
func statsOf(m *TraceMatch, service string) *ServiceStats {
	for i := len(m.Services) - 1; i >= 0; i-- {
		if m.Services[i].Service == service {
			return &m.Services[i]
		}
	}
	m.Services = append(m.Services, ServiceStats{Service: strings.Clone(service)})
	return &m.Services[len(m.Services)-1]
}
