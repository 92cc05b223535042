package trace

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// TruncatedKey is the attribute of a span, resource or scope that says what of it was cut, and how
// long it was.
const TruncatedKey = "troupe.truncated"

const (
	leastCut    = 64      // bytes; shorter texts are never cut
	maxElements = 1 << 16 // attributes, events and links of a span, those of its events and links too
	markBytes   = 1200    // kept free for the attribute that says what was cut
	markNames   = 20      // cut values that it names
)

// shape says which fields of a message hold texts and which hold messages. Fields of neither kind
// are copied if they are known.
type shape struct {
	text  [17]string // names of the fields that hold text or bytes
	sub   [17]*shape
	other [17]bool
	name  string // of a list's elements, for places
	lists []list // of a message that is cut as a whole, the attributes first: their elements may be dropped
}

// list is a repeated field, and the field that counts what was dropped of it.
type list struct{ field, counter uint32 }

// Source: opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto, version 1.
var (
	anyShape   = &shape{text: [17]string{1: "", 7: ""}, other: [17]bool{2: true, 3: true, 4: true, 8: true}}
	keyShape   = &shape{}
	arrayShape = &shape{}
	mapShape   = &shape{}

	eventShape = &shape{
		name:  "events",
		text:  [17]string{2: "name"},
		sub:   [17]*shape{3: keyShape},
		other: [17]bool{1: true, 4: true},
	}
	linkShape = &shape{
		name:  "links",
		text:  [17]string{3: "traceState"},
		sub:   [17]*shape{4: keyShape},
		other: [17]bool{1: true, 2: true, 5: true, 6: true},
	}
	statusShape = &shape{text: [17]string{2: "message"}, other: [17]bool{3: true}}
	spanShape   = &shape{
		text:  [17]string{3: "traceState", 5: "name"},
		sub:   [17]*shape{9: keyShape, 11: eventShape, 13: linkShape, 15: statusShape},
		other: [17]bool{1: true, 2: true, 4: true, 6: true, 7: true, 8: true, 10: true, 12: true, 14: true, 16: true},
		lists: []list{{9, 10}, {11, 12}, {13, 14}},
	}
	resourceShape = &shape{
		sub:   [17]*shape{1: keyShape},
		other: [17]bool{2: true, 3: true},
		lists: []list{{1, 2}},
	}
	scopeShape = &shape{
		text:  [17]string{1: "name", 2: "version"},
		sub:   [17]*shape{3: keyShape},
		other: [17]bool{4: true},
		lists: []list{{3, 4}},
	}
)

// Values hold messages that hold values.
func init() {
	keyShape.text[1], keyShape.sub[2] = "key", anyShape
	anyShape.sub[5], anyShape.sub[6] = arrayShape, mapShape
	arrayShape.sub[1] = anyShape
	mapShape.sub[1] = keyShape
}

func (m *shape) isText(num uint32) bool {
	return m.text[num] != "" || m == anyShape && (num == 1 || num == 7)
}

// headShape is a ResourceSpans or ScopeSpans without its spans.
func headShape(m *shape) *shape {
	return &shape{text: [17]string{3: "schemaUrl"}, sub: [17]*shape{1: m}}
}

// cutter writes a message anew with its texts cut. The message is well-formed but for values nested
// too deep, which become a note.
type cutter struct {
	dst      []byte
	most     int      // bytes that a text may keep
	names    []part   // of what is being written, from the outside in
	cut      []string // the first markNames texts that were cut, with their lengths
	cuts     int
	elements int // written
}

// part is one step of the way to a text: the key of an attribute, or an event or link by its index.
type part struct {
	key  []byte
	list string
	at   int
}

// cutMessage returns a message of at most limit bytes that is b with its largest texts cut, and a
// text that says which and how long they were; it stands in the message too, as the attribute
// TruncatedKey. Texts are cut to one length, so that few long ones are cut before many short ones.
// Where that is not enough, the last attributes, events and links are dropped, and counted in the
// message's own fields. ok is false if nothing helps.
func cutMessage(m *shape, b []byte, limit int) (out []byte, what string, ok bool) {
	room := min(markBytes, limit/4)
	sent := len(b)
	b = foldMessage(m, b) // without fields that are not known, which are worth no text
	c := cutter{most: cutLength(m, b, len(b)-(limit-room)), dst: make([]byte, 0, limit)}
	dropped := c.top(m, b, limit-room)
	what = c.describe(dropped)
	if what == "" {
		what = fmt.Sprintf("fields that OTLP does not have: %d bytes", sent-len(b))
	}
	mark := Attribute{Key: []byte(TruncatedKey), Value: Value{Type: String, Bytes: []byte(what)}}
	if text := room - len(TruncatedKey) - 40; len(what) > text { // 40: tags, lengths, counts of what was dropped
		mark.Value.Bytes = cutText([]byte(what), max(text, 0))
	}
	if len(mark.Value.Bytes) > 0 { // limits of a few bytes have no room for it
		var from int
		c.dst, from = open(c.dst, byte(m.lists[0].field)<<3|wireLen)
		c.dst = finish(AppendAttribute(c.dst, &mark), from)
	}
	return c.dst, what, len(c.dst) <= limit
}

// foldMessage returns b with a note in the place of each value that is nested too deep.
func foldMessage(m *shape, b []byte) []byte {
	c := cutter{most: len(b), dst: make([]byte, 0, len(b))}
	c.message(m, b, 0)
	return c.dst
}

// cutLength is the length that texts must be cut to so that they become shorter by excess bytes
// together.
func cutLength(m *shape, b []byte, excess int) int {
	if excess <= 0 {
		return len(b)
	}
	lengths := textLengths(nil, m, b, 0)
	slices.Sort(lengths)
	saved := 0 // if all texts above lengths[i] were as long as it
	for i := len(lengths) - 1; i >= 0; i-- {
		next := leastCut
		if i > 0 {
			next = lengths[i-1]
		}
		longer := len(lengths) - i
		if more := longer * (lengths[i] - next); saved+more >= excess {
			return lengths[i] - (excess-saved+longer-1)/longer
		} else {
			saved += more
		}
	}
	return leastCut
}

// textLengths appends the lengths of the texts that may be cut.
func textLengths(dst []int, m *shape, b []byte, depth int) []int {
	for pos := 0; pos < len(b); {
		f, body := readField(b, pos)
		if f.end < 0 {
			return dst
		}
		pos = f.end
		if f.num > 16 || f.wire != wireLen {
			continue
		}
		if sub := m.sub[f.num]; sub != nil && depth <= 4*maxDepth {
			dst = textLengths(dst, sub, body, depth+1)
		} else if m.isText(f.num) && len(body) > leastCut {
			dst = append(dst, len(body))
		}
	}
	return dst
}

// top writes the message whose elements may be dropped, in two passes: what there is one of, then
// the lists. It returns how many were dropped.
func (c *cutter) top(m *shape, b []byte, limit int) (dropped int) {
	counts := make([]uint32, len(m.lists)) // of what was dropped, by the sender and here
	for pos := 0; pos < len(b); {
		f, _ := readField(b, pos)
		if f.end < 0 {
			break
		}
		apart := f.num > 16
		for i, l := range m.lists {
			apart = apart || f.num == l.field || f.num == l.counter
			if f.num == l.counter && f.wire == wireVarint {
				counts[i] = uint32(f.val)
			}
		}
		if !apart {
			c.field(m, b, pos, 0)
		}
		pos = f.end
	}
	for i, list := range m.lists {
		index := 0
		for pos := 0; pos < len(b); {
			f, _ := readField(b, pos)
			if f.end < 0 {
				break
			}
			if f.num == list.field {
				if name := m.sub[f.num].name; name != "" {
					c.names = append(c.names[:0], part{list: name, at: index})
				}
				index++
				if !c.within(m, b, pos, limit) {
					dropped++
					counts[i]++
				}
				c.names = c.names[:0]
			}
			pos = f.end
		}
		c.dst = appendUint(c.dst, byte(list.counter), counts[i])
	}
	return dropped
}

// within writes the element at pos, unless it is too much.
func (c *cutter) within(m *shape, b []byte, pos, limit int) bool {
	written, cuts, elements := len(c.dst), c.cuts, c.elements
	c.field(m, b, pos, 0)
	if len(c.dst) <= limit && c.elements <= maxElements {
		return true
	}
	c.dst, c.cuts, c.cut, c.elements = c.dst[:written], cuts, c.cut[:min(len(c.cut), cuts)], elements
	return false
}

func (c *cutter) message(m *shape, b []byte, depth int) {
	for pos := 0; pos < len(b); {
		f, _ := readField(b, pos)
		if f.end < 0 {
			return
		}
		if f.num <= 16 {
			c.field(m, b, pos, depth)
		}
		pos = f.end
	}
}

// field writes the field at pos. depth counts the values around it.
func (c *cutter) field(m *shape, b []byte, pos, depth int) {
	f, body := readField(b, pos)
	tag := byte(f.num << 3)
	sub := m.sub[f.num]
	switch {
	case sub != nil && m == anyShape && depth >= maxDepth:
		c.dst = appendLen(c.dst, 1<<3|wireLen, []byte(causeFolded))
	case sub != nil:
		names := len(c.names)
		switch sub {
		case keyShape:
			c.elements++
			var a Attribute
			elementAttribute(body, &a)
			c.names = append(c.names, part{key: a.Key})
		case eventShape, linkShape:
			c.elements++
		case statusShape:
			c.names = append(c.names, part{key: []byte("status")})
		case anyShape:
			depth++
		}
		var mark int
		c.dst, mark = open(c.dst, tag|wireLen)
		c.message(sub, body, depth)
		c.dst = finish(c.dst, mark)
		c.names = c.names[:names]
	case m.isText(f.num) && f.wire == wireLen:
		kept := body
		if len(body) > max(c.most, leastCut) {
			kept = body[:max(c.most, leastCut)]
			if f.num != 7 {
				kept = cutText(body, max(c.most, leastCut))
			}
			c.note(m.text[f.num], len(body))
		}
		c.dst = appendLen(c.dst, tag|wireLen, kept)
	case m.other[f.num]:
		c.dst = append(c.dst, b[pos:f.end]...)
	}
}

// note remembers that a text was cut.
func (c *cutter) note(field string, length int) {
	if c.cuts++; len(c.cut) >= markNames {
		return
	}
	var names []string
	for _, p := range c.names {
		if p.list != "" {
			names = append(names, fmt.Sprintf("%s[%d]", p.list, p.at))
		} else {
			names = append(names, string(cutText(p.key, 100)))
		}
	}
	if field != "" {
		names = append(names, field)
	}
	c.cut = append(c.cut, fmt.Sprintf("%s: %d bytes", strings.Join(names, "."), length))
}

// describe says what was cut and dropped.
func (c *cutter) describe(dropped int) string {
	var parts []string
	if dropped > 0 {
		parts = append(parts, fmt.Sprintf("%d attributes, events or links left out", dropped))
	}
	parts = append(parts, c.cut...)
	if more := c.cuts - len(c.cut); more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.ToValidUTF8(strings.Join(parts, ", "), "\ufffd") // it goes into protobuf, whose readers demand that
}

// cutText returns at most n bytes of a text, and no broken character at the end unless it was
// broken before.
func cutText(b []byte, n int) []byte {
	if len(b) <= n {
		return b
	}
	for back := 1; back < utf8.UTFMax && back <= n; back++ {
		if utf8.RuneStart(b[n-back]) {
			if !utf8.FullRune(b[n-back : n]) {
				return b[:n-back]
			}
			break
		}
	}
	return b[:n]
}

// cutHead cuts what Visitor.Resource or Visitor.Scope was given to at most limit bytes: the
// resource or scope, of shape m, and the URL of its schema.
func cutHead(m *shape, head []byte, limit int) (out []byte, what string, ok bool) {
	var inner, schema []byte
	for pos := 0; pos < len(head); {
		f, body := readField(head, pos)
		if f.end < 0 {
			break
		}
		if pos = f.end; f.num == 1 {
			inner = body
		} else {
			schema = cutText(body, limit/8)
		}
	}
	if inner, what, ok = cutMessage(m, inner, limit-len(schema)-2*binary.MaxVarintLen32-2); !ok {
		return nil, what, false
	}
	return appendText(appendLen(nil, 1<<3|wireLen, inner), 3, schema), what, true
}
