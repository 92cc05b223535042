package block

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"unicode/utf8"
	"unsafe"

	pq "github.com/xitongsys/parquet-go/parquet"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// bandRows is about how many rows are gathered at once. Their chunks of one column lie one behind the other in the object.
const bandRows = 1 << 20

// Write merges tables (live segments, tables of other blocks) into one block: fragments of a trace are joined, duplicate spans removed, columns
// promoted anew. It returns the block's meta and its traces, in order of their start. Memory: about 60 bytes for each row, and the columns of
// bandRows rows one at a time. It returns ErrTooLarge, or the errors of the tables and the sink.
func Write(ctx context.Context, tables []column.Table, o WriteOptions, sink Sink) (*Meta, []TraceExtent, error) {
	tables = slices.DeleteFunc(slices.Clone(tables), func(t column.Table) bool { return t.Rows() == 0 })
	p, err := makePlan(ctx, tables, o.RowGroupRows)
	if err != nil {
		return nil, nil, fmt.Errorf("plan block: %w", err)
	}
	if p.rows == 0 {
		return nil, nil, errors.New("write block: no spans")
	}
	w := &writer{ctx: ctx, plan: p, sink: sink, options: o, objects: map[string]int64{}}
	w.enc.zip = newEncoder()
	defer w.enc.zip.Close()
	if err := w.write(); err != nil {
		return nil, nil, fmt.Errorf("write block: %w", err)
	}
	m := w.meta()
	out := make([]TraceExtent, len(p.traces))
	for i, t := range p.traces {
		out[i] = TraceExtent{ID: t.id, Start: t.start, End: t.end}
	}
	return m, out, nil
}

// writer writes one block.
type writer struct {
	ctx     context.Context
	plan    *plan
	sink    Sink
	options WriteOptions
	enc     encoder
	objects map[string]int64
	index   Extent

	resources, scopes *contents
	rootNames         []string // by trace
	values            filterBuilder
	overflows         []column.Key // attributes in the overflow columns of all tables
}

func (w *writer) write() error {
	p := w.plan
	var err error
	if w.resources, err = parseContents(column.Resource, p.resources.list); err != nil {
		return err
	}
	if w.scopes, err = parseContents(column.Instrumentation, p.scopes.list); err != nil {
		return err
	}
	for _, r := range p.input { // padding counts row 0: once for each group at most
		w.resources.rows[p.resource[r]]++
		w.scopes.rows[p.scope[r]]++
	}
	w.rootNames = make([]string, len(p.traces))

	var children [2]*file
	for i, name := range []string{eventsObject, linksObject} {
		if children[i], err = w.children(name); err != nil {
			return err
		}
		if children[i] != nil {
			size, _, err := children[i].close(nil, w.keyValues())
			if err != nil {
				return err
			}
			w.objects[name] = size
		}
	}
	spans, err := w.spans()
	if err != nil {
		return err
	}
	index := w.encodeIndex(spans, children[0], children[1])
	size, at, err := spans.close(index, w.keyValues())
	if err != nil {
		return err
	}
	w.objects[spansObject], w.index = size, at
	return nil
}

func (w *writer) keyValues() []*pq.KeyValue {
	return []*pq.KeyValue{{Key: "troupe.format", Value: ptr(fmt.Sprintf("tcb%d", Version))}, {Key: "troupe.tenant", Value: &w.options.Tenant},
		{Key: "troupe.block", Value: &w.options.ID}}
}

// table is one of the block's three tables in the making.
type table struct {
	*writer
	scope    column.Scope
	file     *file
	groups   []group
	gatherer gatherer
	shaper   shaper
	columns  map[column.Key]*fileColumn
	heavy    bool // much goes to the overflow
	from, to int  // row groups of the band
}

// newTable makes the table and its columns. counts are those of all attributes that may get columns.
func (w *writer) newTable(name string, scope column.Scope, fixed []spec, inputs []*input, groups []group, counts keyCounts) (*table, error) {
	t := &table{writer: w, scope: scope, groups: groups, columns: map[column.Key]*fileColumn{}}
	rows, total, over := make([]int, len(groups)), 0, 0
	for i := range groups {
		rows[i] = groups[i].rows
		total += rows[i]
	}
	f, err := createFile(w.sink, name, rows)
	if err != nil {
		return nil, err
	}
	t.file = f
	for _, s := range fixed {
		t.columns[s.key] = f.column(s)
	}
	t.shaper.columns = map[column.Key]int{}
	for _, k := range counts.promoted(total) {
		t.columns[k] = f.column(attributeSpec(k))
		if k.Scope == scope {
			t.shaper.columns[k] = len(t.shaper.keys)
			t.shaper.keys = append(t.shaper.keys, k)
		}
	}
	for k, n := range counts {
		if t.columns[k] == nil && k.Scope == scope {
			over += n
		}
	}
	t.heavy = over > total/2
	t.gatherer = gatherer{ctx: w.ctx, seed: w.plan.seed, inputs: inputs}
	t.shaper.gatherer, t.shaper.scope = &t.gatherer, scope
	return t, nil
}

// bands calls f for each band: row groups that are gathered together.
func (t *table) bands(f func() error) error {
	for t.to < len(t.groups) {
		t.from = t.to
		rows := t.groups[t.from].rows
		t.to++
		for t.to < len(t.groups) && rows+t.groups[t.to].rows <= bandRows && !t.heavy {
			rows += t.groups[t.to].rows
			t.to++
		}
		last := t.groups[t.to-1]
		t.gatherer.band(t.groups[t.from].slot, last.slot+last.rows, rows)
		if rows > 0 {
			if err := t.shaper.band(); err != nil {
				return err
			}
			if err := f(); err != nil {
				return err
			}
		}
	}
	return nil
}

// put encodes and writes a column of the band.
func (t *table) put(k column.Key, c *cells) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	fc := t.columns[k]
	if c.present != nil && c.present.Empty() {
		return nil
	}
	odd := t.note(fc, c)
	for g := t.from; g < t.to; g++ {
		gr := t.groups[g]
		if gr.rows == 0 {
			continue
		}
		k := t.enc.chunk(&fc.spec, c, gr.slot-int(t.gatherer.from), gr.rows)
		k.odd = odd || t.enc.note != nil && t.enc.note.odd
		if err := t.file.put(fc, g, k, &t.enc); err != nil {
			return err
		}
	}
	return nil
}

// note enters the values of a band's dictionary into the value filter, and says whether one of them is not UTF-8. Values without a dictionary
// are noted as they are encoded.
func (t *table) note(fc *fileColumn, c *cells) (odd bool) {
	t.enc.note = nil
	if !fc.isText() {
		return false
	}
	n := noter{hash: hashColumn(fc.key)}
	if t.scope == column.Span {
		n.filter = &t.values
	}
	if c.codes == nil {
		t.enc.note = &n
		return false
	}
	for _, s := range c.dict.list { // every entry is a value of the band
		odd = odd || !utf8.ValidString(s)
		n.add(textBytes(s))
	}
	return odd
}

// attribute gathers and writes a column of the table's own attributes.
func (t *table) attribute(k column.Key) error {
	c, err := t.gather(k, t.columns[k].coding, t.shaper.extras[t.shaper.columns[k]])
	if err != nil {
		return err
	}
	return t.put(k, c)
}

func (t *table) gather(k column.Key, c coding, extras []extra) (*cells, error) {
	switch k.Type {
	case column.Int, column.Bool:
		return t.gatherer.integers(k, extras)
	case column.Float:
		return t.gatherer.numbers(k, extras)
	}
	return t.gatherer.text(k, c, extras)
}

// common writes the columns that all three tables have.
func (t *table) common() error {
	if err := t.put(column.Shape, t.shaper.cells()); err != nil {
		return err
	}
	over, err := t.shaper.overflow()
	if err == nil && over != nil {
		err = t.put(column.Overflow, over)
	}
	if err != nil {
		return err
	}
	for _, k := range t.shaper.keys {
		if err := t.attribute(k); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) spans() (*file, error) {
	p := w.plan
	counts := keyCounts{}
	var inputs []*input
	for n, t := range p.tables {
		if err := counts.shapes(w.ctx, t, column.Span); err != nil {
			return nil, err
		}
		inputs = append(inputs, newInput(t, p.slots[p.base[n]:p.base[n+1]]))
	}
	w.resources.count(counts)
	w.scopes.count(counts)
	t, err := w.newTable(spansObject, column.Span, spanColumns, inputs, p.groups, counts)
	if err != nil {
		return nil, err
	}
	own := map[column.Key]int{}
	for k := range t.columns {
		own[k] = 1
	}
	w.overflows = append(w.overflows, w.resources.promote(own)...)
	w.overflows = append(w.overflows, w.scopes.promote(own)...)
	if err := t.bands(t.spanBand); err != nil {
		return nil, err
	}
	w.overflows = append(w.overflows, t.shaper.listed.keys...)
	if err := t.file.complete(&w.enc); err != nil {
		return nil, err
	}
	return t.file, t.traceIDs()
}

// traceIDs writes the trace ids of all row groups, behind all other columns: the index follows, and does without ids of its own.
func (t *table) traceIDs() error {
	p, fc := t.plan, t.columns[keyTraceID]
	var codes []uint32
	for g, gr := range t.groups {
		traces := p.traces[gr.trace : gr.trace+gr.traces]
		codes = codes[:0]
		t.enc.dict = t.enc.dict[:0]
		for i := range traces {
			for range traces[i].spans {
				codes = append(codes, uint32(i))
			}
			t.enc.dict = append(t.enc.dict, traces[i].id[:]...)
		}
		fc.blooms = append(fc.blooms, traceFilter(traces))
		if err := t.file.put(fc, g, t.enc.traces(&fc.spec, codes, len(traces)), &t.enc); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) spanBand() error {
	if err := t.planned(); err != nil {
		return err
	}
	if t.to == len(t.groups) {
		t.plan.start, t.plan.id, t.plan.parent = nil, nil, nil
	}
	for _, s := range spanColumns {
		switch s.key {
		case keyTraceID, column.SpanID, keyParentDistance, column.ParentID, column.Start, column.ResourceRef, column.ScopeRef, column.Group,
			column.Shape, column.Overflow, column.ResourceOverflow, column.ScopeOverflow, column.ScopeName, column.ScopeVersion:
			continue
		}
		c, err := t.gather(s.key, s.coding, nil)
		if err != nil {
			return err
		}
		if s.key == column.Name {
			t.noteRoots(c)
		}
		if err := t.put(s.key, c); err != nil {
			return err
		}
	}
	if err := t.common(); err != nil {
		return err
	}
	return t.derived()
}

// planned writes the columns that the plan holds.
func (t *table) planned() error {
	p, g := t.plan, &t.gatherer
	lo, hi := int(g.from), int(g.from+g.slots)
	input := p.input[lo:hi]
	ids := make([]uint64, len(input))
	for i, r := range input {
		ids[i] = p.id[r]
	}
	if err := t.put(column.SpanID, &cells{ids: ids}); err != nil {
		return err
	}
	g.begin()
	g.ints = size(g.ints, g.slots)
	for i, r := range input {
		d := p.distance[lo+i]
		g.ints[i] = int64(d)
		if d == 0 && p.parent[r] != 0 {
			ids[i] = p.parent[r]
			g.present.Set(i)
		}
	}
	t.clearPadding()
	if err := t.put(keyParentDistance, &cells{ints: g.ints}); err != nil {
		return err
	}
	if err := t.put(column.ParentID, &cells{ids: ids, present: g.present}); err != nil {
		return err
	}
	for i, r := range input {
		g.ints[i] = p.start[r]
	}
	if err := t.put(column.Start, &cells{ints: g.ints}); err != nil {
		return err
	}
	for i := range input {
		g.ints[i] = int64(p.groupNo[lo+i])
	}
	return t.put(column.Group, &cells{ints: g.ints})
}

// clearPadding removes the slots between row groups from the gatherer's bitmap.
func (t *table) clearPadding() {
	for g := t.from; g+1 < t.to; g++ {
		end := t.groups[g].slot + t.groups[g].rows
		t.gatherer.present.ClearRange(end-int(t.gatherer.from), t.groups[g+1].slot-int(t.gatherer.from))
	}
}

// noteRoots keeps the names of the band's roots.
func (t *table) noteRoots(c *cells) {
	for _, gr := range t.groups[t.from:t.to] {
		for i, tr := range t.plan.traces[gr.trace : gr.trace+gr.traces] {
			if tr.root == noSlot {
				continue
			}
			name := ""
			if d := tr.root - t.gatherer.from; c.codes != nil {
				name = c.dict.list[c.codes[d]]
			} else {
				name = string([]byte(c.texts[d]))
			}
			t.rootNames[gr.trace+i] = name
		}
	}
}

// derived writes resources and scopes and the columns of what they hold.
func (t *table) derived() error {
	p, g := t.plan, &t.gatherer
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
		if err := t.put(side.ref, &cells{codes: of, dict: side.names}); err != nil {
			return err
		}
		text := func(k column.Key, value func(i int) (string, bool)) error {
			d := newInterner(p.seed)
			codes := make([]uint32, len(side.contents.list)) // + 1
			for i := range codes {
				if s, ok := value(i); ok {
					codes[i] = d.code(s, false) + 1
				}
			}
			g.codes = size(g.codes, g.slots)
			if slices.Contains(codes, 0) {
				t.spread(of, codes)
				return t.put(k, &cells{codes: g.codes, dict: d, present: g.end()})
			}
			if len(d.list) > 1 {
				for i, c := range of {
					g.codes[i] = codes[c] - 1
				}
			} else {
				clear(g.codes)
			}
			return t.put(k, &cells{codes: g.codes, dict: d})
		}
		if side.contents.name != nil {
			err := text(column.ScopeName, func(i int) (string, bool) { return side.contents.name[i], side.contents.name[i] != "" })
			if err == nil {
				err = text(column.ScopeVersion, func(i int) (string, bool) { return side.contents.version[i], side.contents.version[i] != "" })
			}
			if err != nil {
				return err
			}
		}
		if err := text(side.overflow, func(i int) (string, bool) { return side.contents.overflow[i], side.contents.overflow[i] != "" }); err != nil {
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
				err = t.derivedNumber(k, side.contents, of)
			default:
				err = text(k, func(i int) (string, bool) {
					v, ok := side.contents.value(i, k)
					if ok && k.Type == column.Any {
						return string(trace.AppendValue(nil, &v)), true
					}
					return unsafe.String(unsafe.SliceData(v.Bytes), len(v.Bytes)), ok
				})
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// spread puts the codes - 1 of contents to the slots that have them; 0 is none.
func (t *table) spread(of, codes []uint32) {
	g := &t.gatherer
	g.begin()
	for i, c := range of {
		if n := codes[c]; n > 0 {
			g.codes[i] = n - 1
			g.present.Set(i)
		}
	}
	t.countPresent()
}

// countPresent sets how many rows of the band have a value, without the padding.
func (t *table) countPresent() {
	t.clearPadding()
	t.gatherer.got = t.gatherer.present.Count()
}

func (t *table) derivedNumber(k column.Key, c *contents, of []uint32) error {
	g := &t.gatherer
	values, has := make([]trace.Value, len(c.list)), make([]bool, len(c.list))
	for i := range values {
		values[i], has[i] = c.value(i, k)
	}
	g.begin()
	g.ints, g.floats = size(g.ints, g.slots), size(g.floats, g.slots)
	for i, n := range of {
		if has[n] {
			g.ints[i] = int64(values[n].Num)
			g.present.Set(i)
		}
	}
	t.countPresent()
	out := &cells{ints: g.ints, present: g.end()}
	if k.Type == column.Float {
		for i, n := range of {
			if has[n] {
				g.floats[i] = math.Float64frombits(values[n].Num)
			}
		}
		out.floats = g.floats
	}
	return t.put(k, out)
}

// children writes the events or the links; nil if there are none.
func (w *writer) children(name string) (*file, error) {
	p := w.plan
	scope, fixed := column.Event, eventColumns
	if name == linksObject {
		scope, fixed = column.Link, linkColumns
	}
	list := make([]column.Columns, len(p.tables))
	for i, t := range p.tables {
		if scope == column.Event {
			list[i] = t.Events()
		} else {
			list[i] = t.Links()
		}
	}
	inputs, groups, parents, err := w.placeChildren(list)
	if err != nil || len(parents) == 0 {
		return nil, err
	}
	counts := keyCounts{}
	for _, in := range inputs {
		if err := counts.shapes(w.ctx, in.c, scope); err != nil {
			return nil, err
		}
	}
	t, err := w.newTable(name, scope, fixed, inputs, groups, counts)
	if err != nil {
		return nil, err
	}
	err = t.bands(func() error {
		g := &t.gatherer
		g.ints = size(g.ints, g.slots)
		for i := range g.ints {
			g.ints[i] = int64(parents[int(g.from)+i])
		}
		if err := t.put(column.RowRef, &cells{ints: g.ints}); err != nil {
			return err
		}
		for _, s := range fixed {
			switch s.key {
			case column.RowRef, column.Shape, column.Overflow:
				continue
			}
			c, err := t.gather(s.key, s.coding, nil)
			if err == nil {
				err = t.put(s.key, c)
			}
			if err != nil {
				return err
			}
		}
		return t.common()
	})
	if err != nil {
		return nil, err
	}
	w.overflows = append(w.overflows, t.shaper.listed.keys...)
	return t.file, t.file.complete(&w.enc)
}

// placeChildren gives child rows their slots: in the order of their spans, those of one span in the order sent. parents is by slot: the span's
// row in the block. The row groups are those of the spans; some may be empty.
func (w *writer) placeChildren(list []column.Columns) (inputs []*input, groups []group, parents []uint32, err error) {
	p := w.plan
	counts := make([]uint32, 0) // by slot of the span, then where its next child goes
	var refs [][]uint32         // slot of the span, by input and row
	var v column.Vector
	for n, c := range list {
		if c == nil {
			continue
		}
		if len(counts) == 0 {
			counts = make([]uint32, len(p.input))
		}
		spans := p.slots[p.base[n]:p.base[n+1]]
		slots := make([]uint32, c.Rows())
		for page := range column.Pages(c.Rows()) {
			if _, err := c.Vector(w.ctx, column.RowRef, page, &v); err != nil {
				return nil, nil, nil, err
			}
			if v.N != min(column.PageRows, c.Rows()-page*column.PageRows) {
				return nil, nil, nil, contradiction(column.RowRef, page)
			}
			for i, row := range v.Ints {
				if row < 0 || int(row) >= len(spans) {
					return nil, nil, nil, contradiction(column.RowRef, page)
				}
				s := spans[row]
				slots[page*column.PageRows+i] = s
				if s != noSlot {
					counts[s]++
				}
			}
		}
		refs = append(refs, slots)
		inputs = append(inputs, &input{c: c})
	}
	if len(inputs) == 0 {
		return nil, nil, nil, nil
	}
	total := 0
	for _, gr := range p.groups {
		for len(parents)%slotAlign != 0 {
			parents = append(parents, 0)
		}
		first := len(parents)
		for i := range gr.rows {
			n := counts[gr.slot+i]
			counts[gr.slot+i] = uint32(len(parents))
			for range n {
				parents = append(parents, uint32(gr.row+i))
			}
		}
		groups = append(groups, group{rows: len(parents) - first, slot: first, row: total})
		total += len(parents) - first
		if len(parents) > maxRows {
			return nil, nil, nil, fmt.Errorf("place child rows: more than %d: merge fewer tables: %w", maxRows, ErrTooLarge)
		}
	}
	for i, slots := range refs {
		for j, s := range slots {
			if s != noSlot {
				slots[j] = counts[s]
				counts[s]++
			}
		}
		inputs[i] = newInput(inputs[i].c, slots)
	}
	if total == 0 {
		return nil, nil, nil, nil
	}
	return inputs, groups, parents, nil
}

func (w *writer) meta() *Meta {
	o, p := &w.options, w.plan
	m := &Meta{Version: Version, ID: o.ID, Tenant: o.Tenant, Epoch: o.Epoch, Partition: o.Partition, Parts: slices.Clone(o.Parts), From: o.From, To: o.To,
		Level: o.Level, Spans: p.rows, Traces: len(p.traces), MinArrival: o.MinArrival, MaxArrival: o.MaxArrival, Objects: maps.Clone(w.objects), Index: w.index}
	for _, n := range w.objects {
		m.Bytes += n
	}
	m.Intervals = intervals(p.traces)
	m.MinStart = m.Intervals[0].Start
	m.MaxEnd = m.Intervals[len(m.Intervals)-1].End
	return m
}

const maxIntervals = 16

// intervals returns at most maxIntervals that hold all of the traces, which are in order of start: the widest gaps between them are left out.
func intervals(traces []plannedTrace) []Interval {
	var all []Interval
	for i := range traces {
		t := &traces[i]
		end := max(t.end, t.start)
		if n := len(all); n > 0 && t.start <= all[n-1].End {
			all[n-1].End = max(all[n-1].End, end)
			continue
		}
		all = append(all, Interval{t.start, end})
	}
	if len(all) <= maxIntervals {
		return all
	}
	gaps := make([]uint64, 0, len(all)-1)
	for i := 1; i < len(all); i++ {
		gaps = append(gaps, all[i].Start-all[i-1].End)
	}
	slices.Sort(gaps)
	least := gaps[len(gaps)-(maxIntervals-1)]
	out := all[:1]
	for _, v := range all[1:] {
		last := &out[len(out)-1]
		if v.Start-last.End >= least && len(out) < maxIntervals {
			out = append(out, v)
		} else {
			last.End = v.End
		}
	}
	return out
}
