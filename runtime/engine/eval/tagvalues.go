package eval

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// Values lists the values of a field, from dictionaries alone where every span of a page counts.
// Elements of arrays are values of their own. Durations, ids and positions have no list. Under a
// filter with conditions on events, only the values of events that satisfy these count; so it is
// with links.
func Values(ctx context.Context, t Fetcher, r *ValuesRequest) (*TagValues, error) {
	out := &TagValues{Values: map[TagValue]struct{}{}}
	if t.Rows() == 0 || !isListed(r.Field) {
		return out, nil
	}
	l, err := newLookup(ctx, t, r.Query, r.Start, r.End)
	if err != nil || l.scan.selector.selectsNothing() {
		return out, err
	}
	src, err := l.view.findSource(r.Field)
	if err != nil || src.isAbsent() {
		return out, err
	}
	c := &collector{lookup: l, out: out, limit: r.MaxBytes, src: src, kids: l.view.childTable(familyOfField(r.Field))}
	if c.kids != nil {
		if c.group, err = l.childGroup(r.Query, familyOfField(r.Field)); err != nil {
			return nil, err
		}
	}
	if a, ok := src.(*attrSource); ok && l.view.hint != nil && l.all && l.listsOnlyValues() && c.kids == nil {
		c.dictColumn = a.onlyText()
	}
	if c.dictColumn == nil {
		if err := l.prefetchFilter(ctx); err != nil {
			return nil, err
		}
	}
	for p := range l.view.pageCount() {
		if c.dictColumn != nil && l.takesWhole(p) {
			if done, err := c.collectDict(ctx, p); err != nil {
				return nil, err
			} else if done {
				continue
			}
		}
		rows, err := l.selectRows(ctx, p)
		if err != nil {
			return nil, err
		}
		if rows == nil || rows.Empty() {
			continue
		}
		if err := c.collectPage(ctx, rows); err != nil {
			return nil, err
		}
		c.trimValues(false)
	}
	c.trimValues(true)
	return out, nil
}

// isListed reports whether the values of a field are few enough that a list of them is of use.
func isListed(f *traceql.Field) bool {
	if f.Scope != traceql.ScopeIntrinsic {
		return true
	}
	switch f.Name {
	case "trace:id", "span:id", "span:parentID", "link:traceID", "link:spanID",
		"nestedSetLeft", "nestedSetRight", "nestedSetParent",
		"duration", "traceDuration", "event:timeSinceStart":
		return false
	}
	return true
}

// childGroup compiles the conditions of a filter that one event, or link, must satisfy together.
func (l *lookup) childGroup(q *traceql.Query, of family) (*childCond, error) {
	all := &childCond{kids: l.view.childTable(of), cond: constCond{truth: true, boolean: true}}
	if q == nil {
		return all, nil
	}
	p, err := selectedPart(q)
	if err != nil {
		return nil, err
	}
	var group []traceql.Expr
	for _, st := range p.Stages {
		if f, ok := st.(*traceql.Filter); ok && f.Expr != nil {
			for _, e := range listOperands(f.Expr, nil) {
				if familyOf(e) == of && !isFormula(e) {
					group = append(group, e)
				}
			}
		}
	}
	if len(group) == 0 {
		return all, nil
	}
	c, err := compiler{view: l.view}.compileGroup(of, group)
	if err != nil {
		return nil, err
	}
	return c.(*childCond), nil
}

// collector gathers the values of one field.
type collector struct {
	*lookup
	out   *TagValues
	limit int // of bytes; 0: none
	bytes int // of the values in out

	src   source
	kids  *children  // the table of the field; nil: spans
	group *childCond // the conditions of the filter on rows of kids

	// dictColumn is the field's only column, if its dictionaries list all there is to the field.
	dictColumn *pageColumn
	dict       *string // the dictionary looked at last
	dictSize   int
	added      column.Bitmap // its codes that were added

	vals values // scratch
	list []uint32
	last value // added last
}

// collectPage adds the values of rows of the current page.
func (c *collector) collectPage(ctx context.Context, rows column.Bitmap) error {
	if c.kids == nil {
		return c.collectRows(ctx, c.src, rows)
	}
	return c.group.eachMatchingPage(ctx, rows, func(hits column.Bitmap, _ []int64) error {
		return c.collectRows(ctx, c.src, hits)
	})
}

// collectRows adds the values that a source has on rows of its frame's page.
func (c *collector) collectRows(ctx context.Context, src source, rows column.Bitmap) error {
	switch s := src.(type) {
	case *unscoped:
		if err := s.splitRows(ctx, rows); err != nil {
			return err
		}
		rest := slices.Clone(s.rest)
		if err := c.collectRows(ctx, s.span, rows); err != nil {
			return err
		}
		return c.collectRows(ctx, s.resource, rest)
	case *attrSource:
		return c.collectAttribute(ctx, s, rows)
	case *textSource:
		v, err := s.col.loadPage(ctx)
		if err != nil {
			return err
		}
		c.collectColumn(v, column.String, rows)
		if v.Present != nil {
			for i, w := range rows {
				if w&^v.Present[i] != 0 {
					c.addValue(value{kind: stringValue})
					break
				}
			}
		}
		return nil
	}
	c.list = rows.AppendRows(c.list[:0], 0)
	c.vals.reset(len(c.list))
	if err := src.readValues(ctx, c.list, &c.vals); err != nil {
		return err
	}
	for i := range c.list {
		c.addValue(c.vals.at(i))
	}
	return nil
}

// collectAttribute adds the values of an attribute of one scope.
func (c *collector) collectAttribute(ctx context.Context, s *attrSource, rows column.Bitmap) error {
	for _, h := range s.cols {
		v, err := h.loadPage(ctx)
		if err != nil {
			return err
		}
		if v.N > 0 {
			c.collectColumn(v, h.key.Type, rows)
		}
	}
	if s.overflow != nil {
		found, err := s.overflow.readPage(ctx)
		if err != nil {
			return err
		}
		for i := range found {
			if o := &found[i]; o.number == s.number && rows.Get(o.row) {
				c.addValue(o.value)
			}
		}
	}
	if !s.emptyIfMissing {
		return nil
	}
	s.stored = resizeWords(s.stored, len(rows))
	if err := s.markStored(ctx, rows, s.stored); err != nil {
		return err
	}
	for i, w := range rows {
		if w&^s.stored[i] != 0 {
			c.addValue(value{kind: stringValue})
			break
		}
	}
	return nil
}

// collectColumn adds the values that rows have in one column. If it has a dictionary, each value of
// it is added once.
func (c *collector) collectColumn(v *column.Vector, t column.Type, rows column.Bitmap) {
	ranks := column.Ranks(v.Present)
	if v.Dict == nil || t == column.Bytes {
		for r := rows.Next(0); r >= 0; r = rows.Next(r + 1) {
			if d, ok := ranks.At(r); ok {
				c.addValue(denseValue(v, t, d))
			}
		}
		return
	}
	if c.dict != unsafe.SliceData(v.Dict) || c.dictSize != len(v.Dict) {
		c.dict, c.dictSize = unsafe.SliceData(v.Dict), len(v.Dict)
		c.added = c.added.Resize(len(v.Dict))
	}
	for r := rows.Next(0); r >= 0; r = rows.Next(r + 1) {
		if d, ok := ranks.At(r); ok {
			if code := int(v.Codes[d]); !c.added.Get(code) {
				c.added.Set(code)
				c.addValue(denseString(v.Dict[code], t))
			}
		}
	}
}

// denseString returns a text of a String or Any column as a value.
func denseString(s string, t column.Type) value {
	if t == column.Any {
		return parseAnyValue(s)
	}
	return value{kind: stringValue, str: s}
}

// collectDict adds the values of a page of dictColumn without reading its codes. done is false if
// the page has no dictionary.
func (c *collector) collectDict(ctx context.Context, page int) (done bool, err error) {
	dict, ok, err := c.view.hint.Dict(ctx, c.dictColumn.key, page)
	if err != nil || !ok {
		return false, err
	}
	if c.src.(*attrSource).emptyIfMissing {
		n, ok := c.view.hint.Count(c.dictColumn.key, page)
		if !ok {
			return false, nil
		}
		if n < c.view.rowsOfPage(page) {
			c.addValue(value{kind: stringValue})
		}
	}
	if c.dict != unsafe.SliceData(dict) || c.dictSize != len(dict) {
		c.dict, c.dictSize = unsafe.SliceData(dict), len(dict)
		for _, s := range dict {
			c.addValue(value{kind: stringValue, str: s})
		}
		c.trimValues(false)
	}
	return true, nil
}

// addValue adds a value, or the elements of an array.
func (c *collector) addValue(v value) {
	if v == c.last {
		return
	}
	c.last = v
	if v.kind == arrayValue {
		v.eachElement(func(e value) bool { c.putValue(e); return true })
		return
	}
	c.putValue(v)
}

// putValue adds a value that is no array.
func (c *collector) putValue(v value) {
	t, ok := tagValue(v)
	if !ok {
		return
	}
	if _, has := c.out.Values[t]; has {
		return
	}
	t.Value = strings.Clone(t.Value)
	c.out.Values[t] = struct{}{}
	c.bytes += t.size()
}

// tagValue returns a value as autocomplete shows it. ok is false if it shows none of the kind.
func tagValue(v value) (t TagValue, ok bool) {
	switch v.kind {
	case stringValue:
		return TagValue{Type: "string", Value: v.str}, true
	case intValue:
		return TagValue{Type: "int", Value: strconv.FormatInt(v.num, 10)}, true
	case floatValue:
		return TagValue{Type: "float", Value: strconv.FormatFloat(v.toFloat(), 'g', -1, 64)}, true
	case boolValue:
		return TagValue{Type: "bool", Value: strconv.FormatBool(v.num != 0)}, true
	case statusValue:
		return TagValue{Type: "keyword", Value: traceql.StatusName(v.num)}, true
	case kindValue:
		return TagValue{Type: "keyword", Value: traceql.KindName(v.num)}, true
	}
	return TagValue{}, false
}

func (t TagValue) size() int { return len(t.Type) + len(t.Value) }

// trimValues keeps the lexicographically first values within the limit. Unless it is the end, the
// values may grow to twice the limit, so that they are sorted seldom.
func (c *collector) trimValues(end bool) {
	if c.limit > 0 && (c.bytes > 2*c.limit || end && c.bytes > c.limit) {
		c.bytes = c.out.keepFirst(c.limit)
		c.dict = nil
	}
}

// keepFirst keeps the lexicographically first values within maxBytes and returns their size in
// bytes.
func (v *TagValues) keepFirst(maxBytes int) int {
	sum := 0
	for t := range v.Values {
		sum += t.size()
	}
	if sum <= maxBytes {
		return sum
	}
	list := make([]TagValue, 0, len(v.Values))
	for t := range v.Values {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b TagValue) int {
		return cmp.Or(strings.Compare(a.Value, b.Value), strings.Compare(a.Type, b.Type))
	})
	v.Truncated = true
	sum = 0
	for i, t := range list {
		if sum+t.size() > maxBytes {
			for _, t := range list[i:] {
				delete(v.Values, t)
			}
			break
		}
		sum += t.size()
	}
	return sum
}

// Merge adds the values of another home and keeps the lexicographically first maxBytes of them; 0
// is no limit. It does not change o.
func (v *TagValues) Merge(o *TagValues, maxBytes int) {
	if v.Values == nil {
		v.Values = make(map[TagValue]struct{}, len(o.Values))
	}
	for t := range o.Values {
		v.Values[t] = struct{}{}
	}
	v.Truncated = v.Truncated || o.Truncated
	if maxBytes > 0 {
		v.keepFirst(maxBytes)
	}
}
