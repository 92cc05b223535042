package eval

import (
	"context"
	"encoding/hex"
	"hash/fnv"
	"strings"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// idSource is an id as lower-case hex digits.
type idSource struct {
	col     *pageColumn
	trimmed bool   // without leading zeros
	missing string // of rows without a value
}

// newCond looks for equal bytes where it can: digits are made only for order and regular
// expressions.
func (s *idSource) newCond(p *pred) cond {
	if !p.comparesText() {
		return p.differentType()
	}
	if p.op == "=" && !s.trimmed {
		b, err := hex.DecodeString(p.literal.str)
		if p.literal.str != s.missing && (err != nil || p.literal.str != strings.ToLower(p.literal.str)) {
			return constCond{boolean: true}
		}
		if p.literal.str != s.missing {
			return &textCond{col: s.col, p: &pred{op: "=", literal: value{kind: stringValue, str: string(b)}}}
		}
	}
	return &exprCond{op: p.op, left: &fieldExpr{src: s}, right: constExpr{p.literal}, matcher: p.matcher}
}

func (s *idSource) markPresent(_ context.Context, mask, out column.Bitmap) error {
	out.Or(mask)
	return nil
}

// appendDigits returns the text of an id; buf holds it.
func (s *idSource) appendDigits(id string, buf []byte) (string, []byte) {
	at := len(buf)
	buf = hex.AppendEncode(buf, viewBytes(id))
	text := viewString(buf[at:])
	if s.trimmed {
		text = strings.TrimLeft(text, "0")
	}
	return text, buf
}

func (s *idSource) readValues(ctx context.Context, rows []uint32, out *values) error {
	v, err := s.col.loadPage(ctx)
	if err != nil {
		return err
	}
	strs, ranks := out.textSlots(), column.Ranks(v.Present)
	buf := make([]byte, 0, 16*len(rows)) // values outlive the page
	for i, r := range rows {
		if out.kinds[i] != nothing {
			continue
		}
		out.kinds[i], strs[i] = stringValue, s.missing
		if d, ok := ranks.At(int(r)); ok {
			strs[i], buf = s.appendDigits(v.Text(d), buf)
		}
	}
	return nil
}

func (s *idSource) eachValue(ctx context.Context, row int, f func(value)) error {
	var v values
	v.reset(1)
	if err := s.readValues(ctx, []uint32{uint32(row)}, &v); err != nil {
		return err
	}
	f(v.at(0))
	return nil
}

func (s *idSource) isAbsent() bool                 { return false }
func (s *idSource) eachColumn(f func(*pageColumn)) { f(s.col) }

// resourceSource identifies the resource of a span by its content.
type resourceSource struct {
	col   *pageColumn
	dict  *string // dictionary that names are of
	names []string
}

func (s *resourceSource) newCond(p *pred) cond {
	return &exprCond{op: p.op, left: &fieldExpr{src: s}, right: constExpr{p.literal}, matcher: p.matcher}
}

func (s *resourceSource) markPresent(_ context.Context, mask, out column.Bitmap) error {
	out.Or(mask)
	return nil
}

func (s *resourceSource) readValues(ctx context.Context, rows []uint32, out *values) error {
	v, err := s.col.loadFull(ctx)
	if err != nil {
		return err
	}
	if s.dict != unsafe.SliceData(v.Dict) || len(s.names) != len(v.Dict) {
		s.dict, s.names = unsafe.SliceData(v.Dict), make([]string, len(v.Dict))
	}
	strs := out.textSlots()
	for i, r := range rows {
		if out.kinds[i] != nothing {
			continue
		}
		out.kinds[i] = stringValue
		if v.Dict == nil {
			strs[i] = resourceName(v.Text(int(r)))
			continue
		}
		c := v.Codes[r]
		if s.names[c] == "" {
			s.names[c] = resourceName(v.Dict[c])
		}
		strs[i] = s.names[c]
	}
	return nil
}

// resourceName is 16 hex digits.
func resourceName(content string) string {
	h := fnv.New64a()
	h.Write(viewBytes(content))
	return hex.EncodeToString(h.Sum(nil))
}

func (s *resourceSource) eachValue(ctx context.Context, row int, f func(value)) error {
	var v values
	v.reset(1)
	if err := s.readValues(ctx, []uint32{uint32(row)}, &v); err != nil {
		return err
	}
	f(v.at(0))
	return nil
}

func (s *resourceSource) isAbsent() bool                 { return false }
func (s *resourceSource) eachColumn(f func(*pageColumn)) { f(s.col) }

// traceSource is a value that all spans of a trace share.
type traceSource struct {
	view     *tableView
	traceRow *pageColumn // TraceRow
	valueOf  func(ctx context.Context, i int) (value, error)
}

func (s *traceSource) newCond(p *pred) cond {
	return &traceCond{src: s, decide: func(ctx context.Context, i int) (bool, error) {
		v, err := s.valueOf(ctx, i)
		return err == nil && p.holdsFor(v), err
	}, share: p.guessShare()}
}

func (s *traceSource) markPresent(_ context.Context, mask, out column.Bitmap) error {
	out.Or(mask)
	return nil
}

func (s *traceSource) readValues(ctx context.Context, rows []uint32, out *values) error {
	v, err := s.traceRow.loadFull(ctx)
	if err != nil {
		return err
	}
	last, lastTrace := value{}, int64(-1)
	for i, r := range rows {
		if out.kinds[i] != nothing {
			continue
		}
		if t := v.Ints[r]; t != lastTrace {
			if last, err = s.valueOf(ctx, int(t)); err != nil {
				return err
			}
			lastTrace = t
		}
		out.set(i, last)
	}
	return nil
}

func (s *traceSource) eachValue(ctx context.Context, row int, f func(value)) error {
	v, err := s.traceRow.loadFull(ctx)
	if err != nil {
		return err
	}
	x, err := s.valueOf(ctx, int(v.Ints[row]))
	f(x)
	return err
}

func (s *traceSource) isAbsent() bool                 { return false }
func (s *traceSource) eachColumn(f func(*pageColumn)) { f(s.traceRow) }

// traceCond holds for all spans of a trace or for none; each trace is asked once.
type traceCond struct {
	definite
	src     *traceSource
	decide  func(ctx context.Context, i int) (bool, error)
	decided []uint8 // by trace: 0 not asked, 1 no, 2 yes
	share   float64
}

func (c *traceCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	v, err := c.src.traceRow.loadFull(ctx)
	if err != nil {
		return err
	}
	if c.decided == nil {
		c.decided = make([]uint8, c.src.view.table.Traces())
	}
	for r := mask.Next(0); r >= 0; r = mask.Next(r + 1) {
		t := v.Ints[r]
		if c.decided[t] == 0 {
			yes, err := c.decide(ctx, int(t))
			if err != nil {
				return err
			}
			c.decided[t] = 1
			if yes {
				c.decided[t] = 2
			}
		}
		if c.decided[t] == 2 {
			out.Set(r)
		}
	}
	return nil
}

func (c *traceCond) matchesNothing() bool               { return false }
func (c *traceCond) eachColumn(f func(*pageColumn))     { f(c.src.traceRow) }
func (c *traceCond) estimateCost() (pass, work float64) { return c.share, 6 }

// traceIDSource is trace:id.
type traceIDSource struct{ traceSource }

// newCond finds the one trace by the table's index.
func (s *traceIDSource) newCond(p *pred) cond {
	if !p.comparesText() {
		return p.differentType()
	}
	if p.matcher != nil || p.op != "=" {
		return s.traceSource.newCond(p)
	}
	id, err := trace.ParseID(p.literal.str)
	if err != nil || p.literal.str != strings.ToLower(p.literal.str) {
		return constCond{boolean: true}
	}
	asked, found, only := false, false, 0
	return &traceCond{src: &s.traceSource, share: 1e-6, decide: func(ctx context.Context, i int) (bool, error) {
		if !asked {
			var err error
			if only, found, err = s.view.table.Lookup(ctx, id); err != nil {
				return false, err
			}
			asked = true
		}
		return found && only == i, nil
	}}
}

// intrinsicSource returns the source of an intrinsic in the frame it belongs to; nil where the
// table has no such frame.
func (v *tableView) intrinsicSource(name string) source {
	num := func(k column.Key, kind valueKind, clamp bool) source {
		return &numSource{col: v.spans.column(k), kind: kind, clamp: clamp}
	}
	text := func(f *frame, k column.Key) source { return &textSource{col: f.column(k)} }
	ofTrace := func(of func(*column.TraceInfo) value) source {
		return &traceSource{view: v, traceRow: v.traceRow, valueOf: func(ctx context.Context, i int) (value, error) {
			info, err := v.describeTrace(ctx, i)
			return of(&info), err
		}}
	}
	ofTree := func(work func(*forest, context.Context, int) error, of func(t *forest, row uint32) int32) source {
		return &rowSource{cost: 40, cols: []*pageColumn{v.traceRow}, valueAt: func(ctx context.Context, row int) (value, error) {
			traces, err := v.traceRow.loadFull(ctx)
			if err != nil {
				return value{}, err
			}
			t := v.forest()
			if err := work(t, ctx, int(traces.Ints[row])); err != nil {
				return value{}, err
			}
			return value{kind: intValue, num: int64(of(t, uint32(v.spans.page*column.PageRows+row)))}, nil
		}}
	}
	child := func(k *children, of func(*frame) source) source {
		if k == nil {
			return nil
		}
		return of(k.frame)
	}
	switch name {
	case "name":
		return text(v.spans, column.Name)
	case "duration":
		return num(column.Duration, durationValue, true)
	case "status":
		return num(column.Status, statusValue, false)
	case "kind":
		return num(column.Kind, kindValue, false)
	case "statusMessage":
		return text(v.spans, column.StatusMessage)
	case "instrumentation:name":
		return text(v.spans, column.ScopeName)
	case "instrumentation:version":
		return text(v.spans, column.ScopeVersion)
	case "span:id":
		return &idSource{col: v.spans.column(column.SpanID)}
	case "span:parentID":
		return &idSource{col: v.spans.column(column.ParentID), missing: "0000000000000000"}
	case "span:childCount":
		return ofTree((*forest).linkParents, func(t *forest, row uint32) int32 { return *t.kids.at(row) })
	case "nestedSetLeft":
		return ofTree((*forest).numberSpans, func(t *forest, row uint32) int32 { return *t.left.at(row) })
	case "nestedSetRight":
		return ofTree((*forest).numberSpans, func(t *forest, row uint32) int32 { return *t.right.at(row) })
	case "nestedSetParent":
		return ofTree((*forest).numberSpans, (*forest).parentPosition)
	case "traceDuration":
		return ofTrace(func(i *column.TraceInfo) value { return value{kind: durationValue, num: int64(i.End - i.Start)} })
	case "rootName":
		return ofTrace(func(i *column.TraceInfo) value { return value{kind: stringValue, str: i.RootName} })
	case "rootServiceName":
		return ofTrace(func(i *column.TraceInfo) value { return value{kind: stringValue, str: i.RootService} })
	case "resource:id":
		return &resourceSource{col: v.spans.column(column.ResourceRef)}
	case "trace:id":
		return &traceIDSource{traceSource{view: v, traceRow: v.traceRow, valueOf: func(ctx context.Context, i int) (value, error) {
			id, err := v.table.TraceID(ctx, i)
			return value{kind: stringValue, str: strings.TrimLeft(id.String(), "0")}, err
		}}}
	case "event:name":
		return child(v.events, func(f *frame) source { return text(f, column.EventName) })
	case "event:timeSinceStart":
		return child(v.events, func(f *frame) source {
			return &numSource{col: f.column(column.EventTimeOffset), kind: durationValue}
		})
	case "link:traceID":
		return child(v.links, func(f *frame) source { return &idSource{col: f.column(column.LinkTraceID), trimmed: true} })
	case "link:spanID":
		return child(v.links, func(f *frame) source { return &idSource{col: f.column(column.LinkSpanID)} })
	}
	return nil
}
