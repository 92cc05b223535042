package eval

import (
	"context"
	"encoding/hex"
	"hash/fnv"
	"strings"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// idSource is an id as text: lower-case hex digits.
type idSource struct {
	col     *pageColumn
	trimmed bool   // without leading zeros
	missing string // the text of rows without an id
}

// newCond compares bytes where it can. Only order and regular expressions need digits.
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

// appendDigits appends the digits of an id to buf and returns its text, which aliases buf.
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
	buf := make([]byte, 0, 16*len(rows)) // not reused, because values outlive the page
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

// resourceSource is resource:id, which tells resources apart by their content.
type resourceSource struct {
	col   *pageColumn
	dict  *string  // the dictionary that names belongs to
	names []string // by code; "" where not asked for
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

// resourceName returns the id of a resource by its content: 16 hex digits.
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
