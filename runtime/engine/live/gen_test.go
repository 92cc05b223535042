package live

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// gen makes records of random content: every field, every type, keys that repeat in a span, and few enough ids that duplicates and other
// spans with the same ids occur.
type gen struct {
	r      *rand.Rand
	traces int
	spans  int // span ids of a trace; 0: all distinct
	keys   int
	next   uint64
	unique bool // no span comes twice
}

func (g *gen) text(n int) []byte {
	switch g.r.IntN(8) {
	case 0:
		return nil
	case 1:
		return []byte(fmt.Sprintf("value-%d", g.r.Uint64()))
	case 2:
		return bytes.Repeat([]byte("ab\xff"), g.r.IntN(80))
	}
	return []byte(fmt.Sprintf("v%d", g.r.IntN(n)))
}

func (g *gen) value(depth int) trace.Value {
	switch g.r.IntN(9) {
	case 0:
		return trace.Value{Type: trace.Int, Num: g.r.Uint64() >> g.r.IntN(64)}
	case 1:
		return trace.Value{Type: trace.Bool, Num: uint64(g.r.IntN(2))}
	case 2:
		return trace.Value{Type: trace.Float, Num: []uint64{0, 1 << 63, math.Float64bits(1.5), 0x7ff0000000000001, 0x7ff8000000000000, g.r.Uint64()}[g.r.IntN(6)]}
	case 3:
		return trace.Value{Type: trace.Bytes, Bytes: g.text(5)}
	case 4:
		return trace.Value{}
	case 5:
		if depth > 2 {
			break
		}
		// An array or a map: a list of elements inside an AnyValue message.
		isMap := g.r.IntN(2) == 0
		var list []byte
		for range g.r.IntN(4) {
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

func (g *gen) attributes(max int) []trace.Attribute {
	var out []trace.Attribute
	for range g.r.IntN(max + 1) {
		key := []byte(fmt.Sprintf("key.%d", g.r.IntN(g.keys)))
		if g.r.IntN(30) == 0 {
			key = nil
		}
		out = append(out, trace.Attribute{Key: key, Value: g.value(0)})
	}
	return out
}

func (g *gen) small() uint32 {
	if g.r.IntN(4) > 0 {
		return 0
	}
	return g.r.Uint32() >> g.r.IntN(32)
}

func (g *gen) span() *trace.Span {
	s := &trace.Span{}
	n := uint64(g.r.IntN(g.traces)) + 1
	binary.BigEndian.PutUint64(s.TraceID[:], n*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(s.TraceID[8:], n)
	g.next++
	id := g.next
	if g.spans > 0 {
		id = uint64(g.r.IntN(g.spans)) + 1
	}
	binary.BigEndian.PutUint64(s.SpanID[:], id)
	if g.r.IntN(3) > 0 {
		binary.BigEndian.PutUint64(s.ParentID[:], g.r.Uint64()|1)
		s.HasParent = true
	}
	if g.r.IntN(10) == 0 {
		s.TraceState = g.text(3)
	}
	s.Name = g.text(30)
	s.Kind = int32(g.r.IntN(6))
	if g.r.IntN(20) == 0 {
		s.Kind = -int32(g.r.IntN(1 << 30))
	}
	if g.r.IntN(3) == 0 {
		s.HasStatus = true
		if g.r.IntN(2) == 0 {
			s.Status = int32(g.r.IntN(4)) - 1
			s.StatusMessage = g.text(3)
		}
	}
	s.StartUnixNano = g.r.Uint64() >> g.r.IntN(60)
	s.EndUnixNano = s.StartUnixNano + uint64(g.r.IntN(1<<30))
	if g.r.IntN(10) == 0 {
		s.EndUnixNano = g.r.Uint64()
	}
	s.Attributes = g.attributes(8)
	s.Flags, s.DroppedAttributes, s.DroppedEvents, s.DroppedLinks = g.small(), g.small(), g.small(), g.small()
	for range g.r.IntN(6) - 2 {
		s.Events = append(s.Events, trace.Event{TimeUnixNano: g.r.Uint64(), Name: g.text(4), Attributes: g.attributes(3), Dropped: g.small()})
	}
	for range g.r.IntN(5) - 2 {
		s.Links = append(s.Links, trace.Link{TraceID: g.text(9), SpanID: g.text(9), TraceState: g.text(3), Attributes: g.attributes(3), Dropped: g.small(), Flags: g.small()})
	}
	return s
}

// resource and scope return canonical contents, as the reader would.
func (g *gen) under(scope bool) []byte {
	var inner []byte
	if scope {
		if g.r.IntN(3) > 0 {
			inner = append(inner, 1<<3|2, 3, 'l', 'i', byte('a'+g.r.IntN(3)))
		}
		if g.r.IntN(3) > 0 {
			inner = append(inner, 2<<3|2, 1, byte('0'+g.r.IntN(3)))
		}
	}
	list := g.attributes(4)
	if !scope && g.r.IntN(2) == 0 {
		list = append(list, trace.Attribute{Key: []byte("service.name"), Value: trace.Value{Type: trace.String, Bytes: []byte(fmt.Sprintf("svc-%d", g.r.IntN(5)))}})
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
	if g.r.IntN(4) == 0 {
		out = append(out, 3<<3|2, 1, 's')
	}
	return out
}

// record returns a record of about n spans. again holds spans of earlier records, some of which it repeats.
func (g *gen) record(n int, again *[]sent) []byte {
	var e trace.Encoder
	for n > 0 {
		res := g.under(false)
		if len(*again) > 0 && g.r.IntN(2) == 0 {
			res = (*again)[g.r.IntN(len(*again))].resource
		}
		must(e.Resource(res))
		for range g.r.IntN(3) {
			scope := g.under(true)
			must(e.Scope(scope))
			for range g.r.IntN(6) {
				s := g.span()
				if !g.unique && len(*again) > 0 && g.r.IntN(6) == 0 {
					old := (*again)[g.r.IntN(len(*again))]
					if g.r.IntN(2) == 0 {
						must(e.Resource(old.resource))
						must(e.Scope(old.scope))
						res, scope = old.resource, old.scope
					}
					s = old.span
				}
				must(e.Span(s))
				*again = append(*again, sent{res, scope, s})
				n--
			}
		}
		n--
	}
	return e.Bytes()
}

type sent struct {
	resource, scope []byte
	span            *trace.Span
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// plainTable hides what a Snapshot can do beyond column.Table.
type plainTable struct{ column.Table }

// realRecords returns the recorded traces as records, or skips the test.
func realRecords(t testing.TB, name string) [][]byte {
	dir := os.Getenv("TROUPE_SHARED")
	if dir == "" {
		dir = "../../../../shared"
	}
	f, err := os.Open(filepath.Join(dir, "data", name))
	if err != nil {
		t.Skipf("the real traces are not here: set TROUPE_SHARED (looked in %s)", dir)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for r := bufio.NewReaderSize(z, 1<<20); ; {
		line, err := r.ReadBytes('\n')
		if len(line) > 1 {
			otlp, err := trace.FromJSON(line)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, otlp)
		}
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
