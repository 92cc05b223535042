// Package spans makes spans for tests: random ones of every shape, and ones like those of services.
package spans

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Gen makes records of random content: every field, every type, keys that repeat in a span, and few
// enough ids that duplicates and other spans with the same ids occur.
type Gen struct {
	Rand   *rand.Rand
	Traces int
	Spans  int // span ids of a trace; 0: all distinct
	Keys   int
	Unique bool // no span comes twice

	next  uint64
	again []sent
	ids   map[uint64][]uint64 // by trace
}

// New returns a Gen.
func New(seed uint64, traces, keys int) *Gen {
	return &Gen{Rand: rand.New(rand.NewPCG(seed, 1)), Traces: traces, Keys: keys}
}

func (g *Gen) text(n int) []byte {
	switch g.Rand.IntN(8) {
	case 0:
		return nil
	case 1:
		return []byte(fmt.Sprintf("value-%d", g.Rand.Uint64()))
	case 2:
		return bytes.Repeat([]byte("ab\xff"), g.Rand.IntN(80))
	}
	return []byte(fmt.Sprintf("v%d", g.Rand.IntN(n)))
}

func (g *Gen) value(depth int) trace.Value {
	switch g.Rand.IntN(9) {
	case 0:
		return trace.Value{Type: trace.Int, Num: g.Rand.Uint64() >> g.Rand.IntN(64)}
	case 1:
		return trace.Value{Type: trace.Bool, Num: uint64(g.Rand.IntN(2))}
	case 2:
		return trace.Value{Type: trace.Float, Num: []uint64{0, 1 << 63, math.Float64bits(1.5), 0x7ff0000000000001,
			0x7ff8000000000000, g.Rand.Uint64()}[g.Rand.IntN(6)]}
	case 3:
		return trace.Value{Type: trace.Bytes, Bytes: g.text(5)}
	case 4:
		return trace.Value{}
	case 5:
		if depth > 2 {
			break
		}
		// An array or a map: a list of elements inside an AnyValue message.
		isMap := g.Rand.IntN(2) == 0
		var list []byte
		for range g.Rand.IntN(4) {
			v := g.value(depth + 1)
			var elem []byte
			if isMap {
				elem = trace.AppendAttribute(nil, &trace.Attribute{Key: g.text(4), Value: v})
			} else {
				elem = trace.AppendValue(nil, &v)
			}
			list = binary.AppendUvarint(append(list, 1<<3|2), uint64(len(elem)))
			list = append(list, elem...)
		}
		t, tag := trace.Array, byte(5<<3|2)
		if isMap {
			t, tag = trace.Map, 6<<3|2
		}
		return trace.Value{Type: t, Bytes: append(binary.AppendUvarint([]byte{tag}, uint64(len(list))), list...)}
	}
	return trace.Value{Type: trace.String, Bytes: g.text(20)}
}

func (g *Gen) attributes(max int) []trace.Attribute {
	var out []trace.Attribute
	for range g.Rand.IntN(max + 1) {
		key := []byte(fmt.Sprintf("key.%d", g.Rand.IntN(g.Keys)))
		if g.Rand.IntN(30) == 0 {
			key = nil
		}
		out = append(out, trace.Attribute{Key: key, Value: g.value(0)})
	}
	return out
}

func (g *Gen) small() uint32 {
	if g.Rand.IntN(4) > 0 {
		return 0
	}
	return g.Rand.Uint32() >> g.Rand.IntN(32)
}

func (g *Gen) span() *trace.Span {
	s := &trace.Span{}
	n := uint64(g.Rand.IntN(g.Traces)) + 1
	binary.BigEndian.PutUint64(s.TraceID[:], n*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(s.TraceID[8:], n)
	g.next++
	id := g.next
	if g.Spans > 0 {
		id = uint64(g.Rand.IntN(g.Spans)) + 1
	}
	binary.BigEndian.PutUint64(s.SpanID[:], id)
	if g.ids == nil {
		g.ids = map[uint64][]uint64{}
	}
	g.ids[n] = append(g.ids[n], id, id+1)
	if g.Rand.IntN(3) > 0 {
		binary.BigEndian.PutUint64(s.ParentID[:], g.Rand.Uint64()|1)
		if list := g.ids[n]; len(list) > 0 && g.Rand.IntN(4) > 0 {
			binary.BigEndian.PutUint64(s.ParentID[:], list[g.Rand.IntN(len(list))]) // itself or a descendant, at times
		}
		s.HasParent = true
	}
	if g.Rand.IntN(10) == 0 {
		s.TraceState = g.text(3)
	}
	s.Name = g.text(30)
	s.Kind = int32(g.Rand.IntN(6))
	if g.Rand.IntN(20) == 0 {
		s.Kind = -int32(g.Rand.IntN(1 << 30))
	}
	if g.Rand.IntN(3) == 0 {
		s.HasStatus = true
		if g.Rand.IntN(2) == 0 {
			s.Status = int32(g.Rand.IntN(4)) - 1
			s.StatusMessage = g.text(3)
		}
	}
	s.StartUnixNano = g.Rand.Uint64() >> g.Rand.IntN(60)
	s.EndUnixNano = s.StartUnixNano + uint64(g.Rand.IntN(1<<30))
	if g.Rand.IntN(10) == 0 {
		s.EndUnixNano = g.Rand.Uint64()
	}
	s.Attributes = g.attributes(8)
	s.Flags = g.small()
	s.DroppedAttributes = g.small()
	s.DroppedEvents = g.small()
	s.DroppedLinks = g.small()
	for range g.Rand.IntN(6) - 2 {
		s.Events = append(s.Events, trace.Event{TimeUnixNano: g.Rand.Uint64(), Name: g.text(4),
			Attributes: g.attributes(3), Dropped: g.small()})
	}
	for range g.Rand.IntN(5) - 2 {
		s.Links = append(s.Links, trace.Link{TraceID: g.text(9), SpanID: g.text(9), TraceState: g.text(3),
			Attributes: g.attributes(3), Dropped: g.small(), Flags: g.small()})
	}
	return s
}

// resource and scope return canonical contents, as the reader would.
func (g *Gen) under(scope bool) []byte {
	var inner []byte
	if scope {
		if g.Rand.IntN(3) > 0 {
			inner = append(inner, 1<<3|2, 3, 'l', 'i', byte('a'+g.Rand.IntN(3)))
		}
		if g.Rand.IntN(3) > 0 {
			inner = append(inner, 2<<3|2, 1, byte('0'+g.Rand.IntN(3)))
		}
	}
	list := g.attributes(4)
	if !scope && g.Rand.IntN(2) == 0 {
		list = append(list, trace.Attribute{Key: []byte("service.name"),
			Value: trace.Value{Type: trace.String, Bytes: []byte(fmt.Sprintf("svc-%d", g.Rand.IntN(5)))}})
	}
	for i := range list {
		a := trace.AppendAttribute(nil, &list[i])
		tag := byte(1<<3 | 2)
		if scope {
			tag = 3<<3 | 2
		}
		inner = append(binary.AppendUvarint(append(inner, tag), uint64(len(a))), a...)
	}
	out := append(binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(inner))), inner...)
	if g.Rand.IntN(4) == 0 {
		out = append(out, 3<<3|2, 1, 's')
	}
	return out
}

// Record returns a record of about n spans. It repeats some of earlier records.
func (g *Gen) Record(n int) []byte {
	var e trace.Encoder
	for n > 0 {
		res := g.under(false)
		if len(g.again) > 0 && g.Rand.IntN(2) == 0 {
			res = g.again[g.Rand.IntN(len(g.again))].resource
		}
		must(e.Resource(res))
		for range g.Rand.IntN(3) {
			scope := g.under(true)
			must(e.Scope(scope))
			for range g.Rand.IntN(6) {
				s := g.span()
				if !g.Unique && len(g.again) > 0 && g.Rand.IntN(6) == 0 {
					old := g.again[g.Rand.IntN(len(g.again))]
					if g.Rand.IntN(2) == 0 {
						must(e.Resource(old.resource))
						must(e.Scope(old.scope))
						res, scope = old.resource, old.scope
					}
					s = old.span
				}
				must(e.Span(s))
				g.again = append(g.again, sent{res, scope, s})
				n--
			}
		}
		n--
	}
	return e.Bytes()
}

// Sent is how many spans the records held, those that came again included.
func (g *Gen) Sent() int { return len(g.again) }

type sent struct {
	resource, scope []byte
	span            *trace.Span
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
