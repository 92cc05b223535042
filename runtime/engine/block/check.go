package block

import (
	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// isConsistent reports whether the sections of the index fit together, and decodes the order of
// trace ids. After that the numbers of rows, traces, row groups and columns that the index holds
// can be used without a check.
func (bl *Block) isConsistent() bool {
	return bl.groupsFit() && bl.columnsFit() && bl.sparseFits() && bl.traces.decodeOrder()
}

// groupsFit reports whether the row groups cover all rows and all traces of the block, each trace
// in one of them and with at least one row.
func (bl *Block) groupsFit() bool {
	t := &bl.traces
	n := len(t.ids)
	if len(t.start) != n || n == 0 || len(bl.groups) != len(bl.spans.groups) {
		return false
	}
	row, first := 0, 0
	for g := range bl.groups {
		gr := &bl.groups[g]
		if gr.rows == 0 || gr.traces == 0 || gr.rows != bl.spans.groups[g] ||
			gr.traces > n-first || int(t.first[first]) != row {
			return false
		}
		row, first = row+gr.rows, first+gr.traces
	}
	if first != n || int(t.first[n]) != row || row != bl.meta.Spans || n != bl.meta.Traces {
		return false
	}
	for i := range n {
		if t.first[i+1] <= t.first[i] {
			return false
		}
	}
	return true
}

// columnsFit reports whether the directories have as many row groups as the block, and the columns
// that every span table needs.
func (bl *Block) columnsFit() bool {
	for _, d := range []*directory{&bl.events, &bl.links, &bl.attributes} {
		if d.columns != nil && len(d.groups) != len(bl.groups) {
			return false
		}
	}
	for _, k := range []column.Key{column.SpanID, keyParentDistance, column.Start, column.Duration} {
		if c, ok := bl.spans.byKey[k]; !ok || !bl.spans.columns[c].required {
			return false
		}
	}
	return true
}

// decodeOrder decodes the order of the traces by id, unless that was done. It reports whether it is
// one.
func (t *traceIndex) decodeOrder() bool {
	n := len(t.ids)
	if t.order == nil {
		t.order = make([]uint32, n)
		if decodeHybrid(t.order, t.coded, codeWidth(n)) != nil {
			return false
		}
		t.coded = nil
	}
	if len(t.order) != n {
		return false
	}
	for i, x := range t.order {
		if int(x) >= n || i > 0 && compareIDs(&t.ids[t.order[i-1]], &t.ids[x]) >= 0 {
			return false
		}
	}
	return true
}
