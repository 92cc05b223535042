package eval

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// answer describes the traces found: the second pass, over what is returned only.
func (s *scan) answer(ctx context.Context, kept []found, p *traceql.Pipeline, r *SearchRequest) ([]TraceMatch, error) {
	if len(kept) == 0 {
		return nil, nil
	}
	out := make([]TraceMatch, len(kept))
	sets := make([][]spanset, len(kept))
	for i := range kept {
		info := &kept[i].info
		out[i] = TraceMatch{ID: info.ID, RootService: strings.Clone(info.RootService), RootName: strings.Clone(info.RootName),
			Start: info.Start, Duration: info.End - info.Start, Cut: s.cuts(kept[i].trace)}
		if r.Bare {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
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
			out[i].SpanSets = append(out[i].SpanSets, m)
			sets[i] = append(sets[i], spanset{rows: slices.Clone(set.rows)})
		}
	}
	if r.Bare {
		return out, nil
	}
	d, err := s.details(mentions(p))
	if err != nil {
		return nil, err
	}
	if err := s.fetchAnswer(ctx, kept, d); err != nil {
		return nil, err
	}
	if err := s.cut(ctx, sets, r.SpansPerSpanSet); err != nil {
		return nil, err
	}
	rows := rowsOf(sets)
	if err := s.budget.take(len(kept)*256+len(rows)*256, "spans of the answer"); err != nil {
		return nil, err
	}
	spans, err := s.describe(ctx, rows, d)
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
	return out, s.services(ctx, kept, d.service, out)
}

// details is what an answer shows of spans, and where that is found.
type details struct {
	list    []*mention
	sources []source // of list
	name    *mention // nil: the query does not mention it
	service *attrSource
}

func (s *scan) details(list []*mention) (*details, error) {
	d := &details{service: s.spans.attribute(column.Resource, "service.name")}
	for _, m := range list {
		if m.field.Scope == traceql.ScopeIntrinsic && m.field.Name == "name" {
			d.name = m
		}
		if m.silent() {
			continue
		}
		src, err := compiler{s: s}.source(m.field)
		if err != nil {
			return nil, err
		}
		d.list, d.sources = append(d.list, m), append(d.sources, src)
	}
	return d, nil
}

// fetchAnswer asks in one wave for all that is read of the traces found.
func (s *scan) fetchAnswer(ctx context.Context, kept []found, d *details) error {
	if s.hint == nil {
		return nil
	}
	keys := []column.Key{column.SpanID, column.Start, column.Duration, column.Status}
	if d.name != nil {
		keys = append(keys, column.Name)
	}
	add := func(h *pageColumn) {
		if h.f == s.spans && !slices.Contains(keys, h.key) {
			keys = append(keys, h.key)
		}
	}
	d.service.columns(add)
	for _, src := range d.sources {
		src.columns(add)
	}
	pages := column.NewBitmap(s.pages())
	for i := range kept {
		rows, err := s.existing(ctx, kept[i].trace)
		if err != nil {
			return err
		}
		for _, r := range rows {
			pages.Set(int(r) / column.PageRows)
		}
	}
	var list []int
	for p := pages.Next(0); p >= 0; p = pages.Next(p + 1) {
		list = append(list, p)
	}
	return s.hint.Prefetch(ctx, keys, list)
}

// rowsOf returns the rows of all spansets, each once, ascending.
func rowsOf(sets [][]spanset) []uint32 {
	var rows []uint32
	for _, list := range sets {
		for _, set := range list {
			rows = append(rows, set.rows...)
		}
	}
	slices.Sort(rows)
	return slices.Compact(rows)
}

// cut puts the rows of each spanset into the order of spans and keeps the first n.
func (s *scan) cut(ctx context.Context, sets [][]spanset, n int) error {
	rows := rowsOf(sets)
	starts := make([]uint64, len(rows))
	var ids []uint64 // read only if spans start together
	err := s.eachPage(ctx, rows, func(at int, local []uint32) error {
		v, err := s.start.loadFull(ctx)
		if err != nil {
			return err
		}
		for i, r := range local {
			starts[at+i] = uint64(v.Ints[r])
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, list := range sets {
		for i := range list {
			set := list[i].rows
			places := make([]int, len(set)) // in rows
			for k, r := range set {
				places[k], _ = slices.BinarySearch(rows, r)
			}
			slices.SortFunc(places, func(a, b int) int { return cmp.Or(cmp.Compare(starts[a], starts[b]), cmp.Compare(a, b)) })
			if tied(places, starts) {
				if ids == nil {
					if ids, err = s.ids(ctx, rows); err != nil {
						return err
					}
				}
				slices.SortFunc(places, func(a, b int) int {
					return cmp.Or(cmp.Compare(starts[a], starts[b]), cmp.Compare(ids[a], ids[b]), cmp.Compare(a, b))
				})
			}
			for k, at := range places {
				set[k] = rows[at]
			}
			first := func(a, b uint32) int {
				x, _ := slices.BinarySearch(rows, a)
				y, _ := slices.BinarySearch(rows, b)
				if c := cmp.Compare(starts[x], starts[y]); c != 0 || ids == nil {
					return cmp.Or(c, cmp.Compare(x, y))
				}
				return cmp.Compare(ids[x], ids[y])
			}
			end := len(set)
			if n > 0 && end > n { // what comes after them is not shown
				for end = n; end < len(set) && first(set[n-1], set[end]) == 0; end++ {
				}
			}
			if ids != nil {
				if err := s.sortTies(ctx, set[:end], first); err != nil {
					return err
				}
			}
			if n > 0 {
				set = set[:min(n, len(set))]
			}
			list[i].rows = set
		}
	}
	return nil
}

// tied says whether neighbours start together.
func tied(places []int, starts []uint64) bool {
	for i := 1; i < len(places); i++ {
		if starts[places[i]] == starts[places[i-1]] {
			return true
		}
	}
	return false
}

// ids returns the span ids of rows, which ascend, as numbers.
func (s *scan) ids(ctx context.Context, rows []uint32) ([]uint64, error) {
	out := make([]uint64, len(rows))
	err := s.eachPage(ctx, rows, func(at int, local []uint32) error {
		v, err := s.spans.column(column.SpanID).loadFull(ctx)
		if err != nil {
			return err
		}
		for i, r := range local {
			out[at+i] = idNumber(v.Text(int(r)))
		}
		return nil
	})
	return out, err
}

// compareSpans orders two spans of equal start and id by what they hold.
func (s *scan) compareSpans(ctx context.Context, a, b uint32) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	x, err := s.fragment(ctx, int(a))
	if err != nil {
		return 0, err
	}
	y, err := s.fragment(ctx, int(b))
	return x.Compare(&y), err
}

// sortTies puts rows that are sorted by what first says, and of which it cannot tell some apart,
// into the order of what they hold. Each of those is read once, however many they are.
func (s *scan) sortTies(ctx context.Context, rows []uint32, first func(a, b uint32) int) error {
	for from := 0; from < len(rows); {
		to := from + 1
		for to < len(rows) && first(rows[from], rows[to]) == 0 {
			to++
		}
		if err := s.sortByContent(ctx, rows[from:to]); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// sortByContent orders spans of equal start and id by what they hold.
func (s *scan) sortByContent(ctx context.Context, rows []uint32) error {
	if len(rows) < 2 {
		return nil
	}
	slices.Sort(rows)
	fs := make([]trace.Fragment, 0, len(rows))
	size := 0
	for chunk := range slices.Chunk(rows, patience) {
		var err error
		before := len(fs)
		if fs, err = column.Fragments(ctx, s.t, chunk, fs); err != nil {
			return err
		}
		n := 0
		for i := range fs[before:] {
			f := &fs[before+i]
			n += len(f.Span) + len(f.Resource) + len(f.Scope) + 96
		}
		if err := s.budget.take(n, "spans that start together and share an id"); err != nil {
			return err
		}
		size += n
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	defer s.budget.give(size)
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(fs[a].Compare(&fs[b]), cmp.Compare(a, b)) })
	sorted := make([]uint32, len(rows))
	for i, n := range order {
		sorted[i] = rows[n]
	}
	copy(rows, sorted)
	return nil
}

// eachPage goes to the pages of rows, which ascend, and calls f with the rows there, counted within
// the page, and the index of the first of them.
func (s *scan) eachPage(ctx context.Context, rows []uint32, f func(at int, local []uint32) error) error {
	var local []uint32
	for from := 0; from < len(rows); from += len(local) {
		page := int(rows[from]) / column.PageRows
		local = local[:0]
		for i := from; i < len(rows) && int(rows[i])/column.PageRows == page; i++ {
			local = append(local, rows[i]%column.PageRows)
		}
		if err := s.seek(ctx, page); err != nil {
			return err
		}
		if err := f(from, local); err != nil {
			return err
		}
	}
	return nil
}

// owned returns v with bytes of its own.
func owned(v trace.Value) trace.Value {
	v.Bytes = bytes.Clone(v.Bytes)
	return v
}

// mention is a field that a query mentions.
type mention struct {
	field *traceql.Field
	key   string
	preds []*pred // the constants it is compared with; what none of them accepts is not shown
	free  bool    // it is also used otherwise: the value is shown as it is
	isNil bool    // it is tested by = nil: shown as nil when absent
}

// mentions lists the fields of a pipeline from left to right, each once.
func mentions(p *traceql.Pipeline) []*mention {
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
	free := func(f *traceql.Field) { get(f).free = true }
	var in func(e traceql.Expr)
	in = func(e traceql.Expr) {
		switch e := e.(type) {
		case *traceql.Field:
			free(e)
		case *traceql.Unary:
			in(e.Of)
		case *traceql.Binary:
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
	var node func(n traceql.Node)
	node = func(n traceql.Node) {
		switch n := n.(type) {
		case *traceql.Pipeline:
			for _, st := range n.Stages {
				node(st)
			}
		case *traceql.SpansetOp:
			node(n.Left)
			node(n.Right)
		case *traceql.Filter:
			if n.Expr != nil {
				in(n.Expr)
			}
		case *traceql.GroupBy:
			fields(n.Expr, free)
		case *traceql.Select:
			for _, f := range n.Fields {
				free(f)
			}
		case *traceql.ScalarFilter:
			node(n.Left)
		case *traceql.Aggregate:
			if n.Expr != nil {
				fields(n.Expr, free)
			}
		}
	}
	node(p)
	return list
}

// comparedField returns the field of a comparison with a constant, and the comparison; no
// comparison for a nil test.
func comparedField(e *traceql.Binary) (*traceql.Field, *pred) {
	if !e.Op.IsComparison() {
		return nil, nil
	}
	left, right, op := e.Left, e.Right, e.Op
	f, ok := left.(*traceql.Field)
	if !ok || traceql.DependsOnSpan(right) {
		left, right, op = right, left, mirror(op)
		if f, ok = left.(*traceql.Field); !ok || traceql.DependsOnSpan(right) {
			return nil, nil
		}
	}
	if traceql.IsNil(right) {
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
	default:
		p.lit.str = normalizeID(f, op, v.str)
	}
	return f, p
}

// silent says whether a field has a place of its own in the answer.
func (m *mention) silent() bool {
	if m.field.Scope != traceql.ScopeIntrinsic {
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
func (s *scan) describe(ctx context.Context, rows []uint32, d *details) ([]SpanMatch, error) {
	out := make([]SpanMatch, len(rows))
	var vals values
	err := s.eachPage(ctx, rows, func(at int, local []uint32) error {
		part := out[at : at+len(local)]
		ids, err := s.spans.column(column.SpanID).loadFull(ctx)
		if err != nil {
			return err
		}
		starts, err := s.start.loadFull(ctx)
		if err != nil {
			return err
		}
		durations, err := s.duration.loadFull(ctx)
		if err != nil {
			return err
		}
		for i, r := range local {
			copy(part[i].ID[:], ids.Text(int(r)))
			part[i].Start, part[i].Duration = uint64(starts.Ints[r]), uint64(max(durations.Ints[r], 0))
		}
		if d.name != nil {
			v, err := s.vector(ctx, column.Name)
			if err != nil {
				return err
			}
			ranks := column.Ranks(v.Present)
			for i, r := range local {
				if at, ok := ranks.At(int(r)); ok {
					if shown, ok := d.name.accepts(value{kind: stringValue, str: v.Text(at)}); ok {
						part[i].Name = strings.Clone(shown.str)
					}
				}
			}
		}
		for i, m := range d.list {
			if err := m.show(ctx, d.sources[i], local, &vals, part); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// show adds the field's value to spans of one page.
func (m *mention) show(ctx context.Context, src source, rows []uint32, vals *values, out []SpanMatch) error {
	put := func(i int, v value) {
		out[i].Attributes = append(out[i].Attributes, Attribute{Key: m.key, Value: owned(v.answer())})
	}
	vals.reset(len(rows))
	if err := src.read(ctx, rows, vals); err != nil {
		return err
	}
	each, several := src.each, len(vals.many) > 0
	if c, ok := src.(interface {
		every(context.Context, int, func(value)) error
	}); ok {
		each, several = c.every, true // one event may pass where the first does not
	}
	for i, r := range rows {
		v := vals.at(i)
		if m.free || !several {
			if shown, ok := m.accepts(v); ok {
				put(i, shown)
			} else if m.isNil && v.kind == nothing {
				put(i, value{})
			}
			continue
		}
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

// services counts the spans of the traces by service.
func (s *scan) services(ctx context.Context, kept []found, src *attrSource, out []TraceMatch) error {
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
	rows := make([]uint32, len(list))
	for i := range list {
		rows[i] = list[i].row
	}
	groups := newGrouper(&fieldExpr{src: src})
	var codes []uint32
	err := s.eachPage(ctx, rows, func(at int, local []uint32) (err error) {
		status, err := s.spans.column(column.Status).loadFull(ctx)
		if err != nil {
			return err
		}
		if codes, err = groups.codes(ctx, local, codes[:0]); err != nil {
			return err
		}
		for i, r := range local {
			name := ""
			if v := groups.values[codes[i]]; v.kind == stringValue {
				name = v.str
			}
			st := statsOf(&out[list[at+i].match], name)
			st.Spans++
			if status.Ints[r] == 2 {
				st.Errors++
			}
		}
		return nil
	})
	for i := range out {
		slices.SortFunc(out[i].Services, func(a, b ServiceStats) int { return strings.Compare(a.Service, b.Service) })
	}
	return err
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
