package trace

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// TruncatedKey is the attribute of a span, resource or scope that tells what was cut of it, and how
// long that was.
const TruncatedKey = "troupe.truncated"

const (
	leastCut    = 64      // bytes; shorter texts are never cut
	maxElements = 1 << 16 // attributes, events and links of a span, those of its events and links too
	markBytes   = 1200    // kept free for the attribute that says what was cut
	markNames   = 20      // cut values that it names
)

// layout tells which fields of a message hold texts and which hold messages. Other fields are
// copied if they are known.
type layout struct {
	text  [17]string // names of the fields that hold text or bytes
	sub   [17]*layout
	other [17]bool
	name  string // of a list's elements, for places
	lists []list // of a message that is cut as a whole, the attributes first: their elements may be dropped
}

// list is a repeated field, and the field that counts what was dropped of it.
type list struct{ field, counter uint32 }

// Source: opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto, version 1.
var (
	anyLayout   = &layout{text: [17]string{1: "", 7: ""}, other: [17]bool{2: true, 3: true, 4: true, 8: true}}
	keyLayout   = &layout{}
	arrayLayout = &layout{}
	mapLayout   = &layout{}

	eventLayout = &layout{
		name:  "events",
		text:  [17]string{2: "name"},
		sub:   [17]*layout{3: keyLayout},
		other: [17]bool{1: true, 4: true},
	}
	linkLayout = &layout{
		name:  "links",
		text:  [17]string{3: "traceState"},
		sub:   [17]*layout{4: keyLayout},
		other: [17]bool{1: true, 2: true, 5: true, 6: true},
	}
	statusLayout = &layout{text: [17]string{2: "message"}, other: [17]bool{3: true}}
	spanLayout   = &layout{
		text:  [17]string{3: "traceState", 5: "name"},
		sub:   [17]*layout{9: keyLayout, 11: eventLayout, 13: linkLayout, 15: statusLayout},
		other: [17]bool{1: true, 2: true, 4: true, 6: true, 7: true, 8: true, 10: true, 12: true, 14: true, 16: true},
		lists: []list{{9, 10}, {11, 12}, {13, 14}},
	}
	resourceLayout = &layout{
		sub:   [17]*layout{1: keyLayout},
		other: [17]bool{2: true, 3: true},
		lists: []list{{1, 2}},
	}
	scopeLayout = &layout{
		text:  [17]string{1: "name", 2: "version"},
		sub:   [17]*layout{3: keyLayout},
		other: [17]bool{4: true},
		lists: []list{{3, 4}},
	}
)

// Values hold messages that hold values.
func init() {
	keyLayout.text[1], keyLayout.sub[2] = "key", anyLayout
	anyLayout.sub[5], anyLayout.sub[6] = arrayLayout, mapLayout
	arrayLayout.sub[1] = anyLayout
	mapLayout.sub[1] = keyLayout
}

func (m *layout) isText(num uint32) bool {
	return m.text[num] != "" || m == anyLayout && (num == 1 || num == 7)
}

// headLayout returns the layout of a ResourceSpans or ScopeSpans without its spans.
func headLayout(m *layout) *layout {
	return &layout{text: [17]string{3: "schemaUrl"}, sub: [17]*layout{1: m}}
}

// cutter writes a message again with its texts cut. The message is well-formed, except that values
// may be nested too deep; a note takes their place.
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

// cutMessage returns b with its largest texts cut, so that it has at most limit bytes, and a text
// that tells which ones were cut and how long they were. The same text is the value of the
// attribute TruncatedKey. All texts are cut to one length, so that few long ones are cut before
// many short ones. Where that is not enough, the last attributes, events and links are dropped, and
// counted in the message's own fields. ok is false if even that does not suffice.
func cutMessage(m *layout, b []byte, limit int) (out []byte, what string, ok bool) {
	room := min(markBytes, limit/4)
	sent := len(b)
	b = foldMessage(m, b) // unknown fields go first
	c := cutter{most: cutLength(m, b, len(b)-(limit-room)), dst: make([]byte, 0, limit)}
	dropped := c.writeTop(m, b, limit-room)
	what = c.describeCuts(dropped)
	if what == "" {
		what = fmt.Sprintf("fields that OTLP does not have: %d bytes", sent-len(b))
	}
	mark := Attribute{Key: []byte(TruncatedKey), Value: Value{Type: String, Bytes: []byte(what)}}
	if text := room - len(TruncatedKey) - 40; len(what) > text { // 40: tags, lengths, counts of what was dropped
		mark.Value.Bytes = cutText([]byte(what), max(text, 0))
	}
	if len(mark.Value.Bytes) > 0 { // limits of a few bytes have no room for it
		var from int
		c.dst, from = openMessage(c.dst, byte(m.lists[0].field)<<3|wireLen)
		c.dst = closeMessage(AppendAttribute(c.dst, &mark), from)
	}
	return c.dst, what, len(c.dst) <= limit
}

// foldMessage returns b with a note in the place of each value that is nested too deep.
func foldMessage(m *layout, b []byte) []byte {
	c := cutter{most: len(b), dst: make([]byte, 0, len(b))}
	c.writeMessage(m, b, 0)
	return c.dst
}

// cutLength returns the length to which texts must be cut so that together they become shorter by
// excess bytes.
func cutLength(m *layout, b []byte, excess int) int {
	if excess <= 0 {
		return len(b)
	}
	lengths := textLengths(nil, m, b, 0)
	slices.Sort(lengths)
	saved := 0 // bytes saved if all longer texts were cut to lengths[i]
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

// textLengths appends the lengths of those texts that may be cut.
func textLengths(dst []int, m *layout, b []byte, depth int) []int {
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

// writeTop writes the message whose elements may be dropped, in two passes: first the fields that
// are there once, then the lists. It returns how many elements were dropped.
func (c *cutter) writeTop(m *layout, b []byte, limit int) (dropped int) {
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
			c.writeField(m, b, pos, 0)
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
				if !c.writeWithin(m, b, pos, limit) {
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

// writeWithin writes the element at pos, unless that exceeds the limit or the number of elements.
func (c *cutter) writeWithin(m *layout, b []byte, pos, limit int) bool {
	before := *c
	c.writeField(m, b, pos, 0)
	if len(c.dst) <= limit && c.elements <= maxElements {
		return true
	}
	c.dst = c.dst[:len(before.dst)]
	c.cut = c.cut[:len(before.cut)]
	c.cuts, c.elements = before.cuts, before.elements
	return false
}

func (c *cutter) writeMessage(m *layout, b []byte, depth int) {
	for pos := 0; pos < len(b); {
		f, _ := readField(b, pos)
		if f.end < 0 {
			return
		}
		if f.num <= 16 {
			c.writeField(m, b, pos, depth)
		}
		pos = f.end
	}
}

// writeField writes the field at pos. depth counts the values around it.
func (c *cutter) writeField(m *layout, b []byte, pos, depth int) {
	f, body := readField(b, pos)
	tag := byte(f.num << 3)
	sub := m.sub[f.num]
	switch {
	case sub != nil && m == anyLayout && depth >= maxDepth:
		c.dst = appendLen(c.dst, 1<<3|wireLen, []byte(causeFolded))
	case sub != nil:
		names := len(c.names)
		switch sub {
		case keyLayout:
			c.elements++
			var a Attribute
			elementAttribute(body, &a)
			c.names = append(c.names, part{key: a.Key})
		case eventLayout, linkLayout:
			c.elements++
		case statusLayout:
			c.names = append(c.names, part{key: []byte("status")})
		case anyLayout:
			depth++
		}
		var mark int
		c.dst, mark = openMessage(c.dst, tag|wireLen)
		c.writeMessage(sub, body, depth)
		c.dst = closeMessage(c.dst, mark)
		c.names = c.names[:names]
	case m.isText(f.num) && f.wire == wireLen:
		kept := body
		if len(body) > max(c.most, leastCut) {
			kept = body[:max(c.most, leastCut)]
			if f.num != 7 {
				kept = cutText(body, max(c.most, leastCut))
			}
			c.noteCut(m.text[f.num], len(body))
		}
		c.dst = appendLen(c.dst, tag|wireLen, kept)
	case m.other[f.num]:
		c.dst = append(c.dst, b[pos:f.end]...)
	}
}

// noteCut counts a text that was cut, and remembers the first ones by name.
func (c *cutter) noteCut(field string, length int) {
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

// describeCuts returns a text for people that tells what was cut and dropped.
func (c *cutter) describeCuts(dropped int) string {
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
func cutHead(m *layout, head []byte, limit int) (out []byte, what string, ok bool) {
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
