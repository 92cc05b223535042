package eval

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// answerer is the last phase of a search: it describes the traces that are kept, and reads nothing
// of any other.
type answerer struct {
	scan    *scan
	view    *tableView // of scan
	request *SearchRequest
	kept    []foundTrace

	// What an answer shows of spans, and where that is found.
	shown   []*mention
	sources []source // of shown
	name    *mention // nil: the query does not mention it
	service *attrSource
}

// describeTraces describes the kept traces. p is the pipeline that selected them.
func (a *answerer) describeTraces(ctx context.Context, p *traceql.Pipeline) ([]TraceMatch, error) {
	if len(a.kept) == 0 {
		return nil, nil
	}
	out := make([]TraceMatch, len(a.kept))
	for i := range a.kept {
		info := &a.kept[i].info
		out[i] = TraceMatch{
			ID:          info.ID,
			RootService: strings.Clone(info.RootService),
			RootName:    strings.Clone(info.RootName),
			Start:       info.Start,
			Duration:    info.End - info.Start,
			Cut:         a.view.isCut(a.kept[i].trace),
		}
	}
	if a.request.Bare {
		return out, nil
	}
	sets, err := a.listSpansets(ctx, out)
	if err != nil {
		return nil, err
	}
	if err := a.listShown(listMentions(p)); err != nil {
		return nil, err
	}
	if err := a.prefetchColumns(ctx); err != nil {
		return nil, err
	}
	if err := a.view.cutSpansets(ctx, sets, a.request.SpansPerSpanSet); err != nil {
		return nil, err
	}
	rows := rowsOf(sets)
	if err := a.view.budget.takeBytes(len(a.kept)*256+len(rows)*256, "spans of the answer"); err != nil {
		return nil, err
	}
	spans, err := a.describeSpans(ctx, rows)
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
	return out, a.countServices(ctx, out)
}

// listSpansets runs the pipeline over the kept traces again. It adds the spansets, without spans,
// to the matches and returns their rows by trace.
func (a *answerer) listSpansets(ctx context.Context, out []TraceMatch) ([][]spanset, error) {
	sets := make([][]spanset, len(a.kept))
	for i := range a.kept {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		found, err := a.scan.spansetsOf(ctx, a.kept[i].trace)
		if err != nil {
			return nil, err
		}
		for _, set := range found {
			m := SpanSet{Matched: len(set.rows)}
			for _, l := range set.attrs {
				shown := cloneValue(l.value.toAnswer())
				m.Attributes = append(m.Attributes, Attribute{Key: l.stage.resultName(), Value: shown})
			}
			out[i].SpanSets = append(out[i].SpanSets, m)
			sets[i] = append(sets[i], spanset{rows: slices.Clone(set.rows)})
		}
	}
	return sets, nil
}

// listShown decides which of the fields that a query mentions are shown.
func (a *answerer) listShown(list []*mention) error {
	a.service = a.view.spans.attributeSource(column.Resource, "service.name")
	for _, m := range list {
		if m.field.Scope == traceql.ScopeIntrinsic && m.field.Name == "name" {
			a.name = m
		}
		if m.hasOwnPlace() {
			continue
		}
		src, err := compiler{view: a.view}.compileSource(m.field)
		if err != nil {
			return err
		}
		a.shown, a.sources = append(a.shown, m), append(a.sources, src)
	}
	return nil
}

// prefetchColumns asks in one wave for everything that is read of the kept traces.
func (a *answerer) prefetchColumns(ctx context.Context) error {
	if a.view.hint == nil {
		return nil
	}
	keys := keySet{column.SpanID, column.Start, column.Duration, column.Status}
	if a.name != nil {
		keys.addKeys(column.Name)
	}
	spans := a.view.spans
	add := func(c *pageColumn) { keys.addColumn(spans, c) }
	a.service.eachColumn(add)
	for _, src := range a.sources {
		src.eachColumn(add)
	}
	pages := column.NewBitmap(a.view.pageCount())
	for i := range a.kept {
		rows, err := a.view.existingRows(ctx, a.kept[i].trace)
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
	return a.view.hint.Prefetch(ctx, keys, list)
}

// describeSpans describes the spans of rows, which ascend.
func (a *answerer) describeSpans(ctx context.Context, rows []uint32) ([]SpanMatch, error) {
	out := make([]SpanMatch, len(rows))
	var vals values
	err := a.view.eachPageOf(ctx, rows, func(at int, local []uint32) error {
		part := out[at : at+len(local)]
		if err := a.describePage(ctx, local, part); err != nil {
			return err
		}
		for i, m := range a.shown {
			if err := m.showValues(ctx, a.sources[i], local, &vals, part); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// describePage sets ids, times and names of spans of the current page.
func (a *answerer) describePage(ctx context.Context, rows []uint32, out []SpanMatch) error {
	ids, err := a.view.spans.column(column.SpanID).loadFull(ctx)
	if err != nil {
		return err
	}
	starts, err := a.view.start.loadFull(ctx)
	if err != nil {
		return err
	}
	durations, err := a.view.duration.loadFull(ctx)
	if err != nil {
		return err
	}
	for i, r := range rows {
		copy(out[i].ID[:], ids.Text(int(r)))
		out[i].Start = uint64(starts.Ints[r])
		out[i].Duration = uint64(max(durations.Ints[r], 0))
	}
	if a.name == nil {
		return nil
	}
	names, err := a.view.spans.column(column.Name).loadPage(ctx)
	if err != nil {
		return err
	}
	ranks := column.Ranks(names.Present)
	for i, r := range rows {
		if at, ok := ranks.At(int(r)); ok {
			if shown, ok := a.name.acceptValue(value{kind: stringValue, str: names.Text(at)}); ok {
				out[i].Name = strings.Clone(shown.str)
			}
		}
	}
	return nil
}

// countServices counts the spans of the kept traces by service.
func (a *answerer) countServices(ctx context.Context, out []TraceMatch) error {
	type spanOf struct {
		row   uint32
		match int
	}
	var list []spanOf
	for i := range a.kept {
		rows, err := a.view.existingRows(ctx, a.kept[i].trace)
		if err != nil {
			return err
		}
		for _, r := range rows {
			list = append(list, spanOf{r, i})
		}
	}
	slices.SortFunc(list, func(a, b spanOf) int { return cmp.Compare(a.row, b.row) })
	rows := make([]uint32, len(list))
	for i := range list {
		rows[i] = list[i].row
	}
	groups := newGrouper(&fieldExpr{src: a.service})
	var codes []uint32
	err := a.view.eachPageOf(ctx, rows, func(at int, local []uint32) (err error) {
		status, err := a.view.spans.column(column.Status).loadFull(ctx)
		if err != nil {
			return err
		}
		if codes, err = groups.appendNumbers(ctx, local, codes[:0]); err != nil {
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

// cloneValue returns v with bytes that alias nothing.
func cloneValue(v trace.Value) trace.Value {
	v.Bytes = bytes.Clone(v.Bytes)
	return v
}
