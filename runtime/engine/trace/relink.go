package trace

import "encoding/binary"

// Relink separates client and server spans that share one span id, as Zipkin sends them. The server
// span gets an id of its own: the smallest number from 1 up that no span has, in the order of the
// message. Its parent becomes the client span, and children of the shared id become children of the
// (first) server span. A trace without such a pair, or bytes that are not a TracesData message, are
// returned as the same slice; otherwise the result is new and canonical.
// Source: docs/spec/api.md, "Trace by id".
func Relink(otlp []byte) []byte {
	seen := relinkVisitor{ids: map[SpanID]bool{}}
	var r Reader
	if r.Walk(otlp, &seen) != nil {
		return otlp
	}
	pairs := false
	for _, id := range seen.servers {
		pairs = pairs || seen.ids[id]
	}
	if !pairs {
		return otlp
	}
	small := uint64(0)
	free := func() (id SpanID) {
		for {
			small++
			binary.BigEndian.PutUint64(id[:], small)
			if _, used := seen.ids[id]; !used {
				return id
			}
		}
	}
	servers := map[SpanID]SpanID{} // shared id -> the first server's new one
	fresh := make([]SpanID, 0, len(seen.servers))
	for _, id := range seen.servers {
		if !seen.ids[id] {
			fresh = append(fresh, SpanID{})
			continue
		}
		n := free()
		if _, ok := servers[id]; !ok {
			servers[id] = n
		}
		fresh = append(fresh, n)
	}
	e := Encoder{Change: func(s *Span) {
		if s.Kind == KindServer {
			n := fresh[0]
			if fresh = fresh[1:]; !n.IsZero() {
				s.ParentID, s.HasParent, s.SpanID = s.SpanID, true, n
				return
			}
		}
		if n, ok := servers[s.ParentID]; ok && s.HasParent {
			s.ParentID = n
		}
	}}
	if r.Walk(otlp, &e) != nil {
		return otlp
	}
	return e.Bytes()
}

// relinkVisitor collects the ids of a trace: true where a client span has it.
type relinkVisitor struct {
	ids     map[SpanID]bool
	servers []SpanID
}

func (v *relinkVisitor) Resource([]byte) error { return nil }
func (v *relinkVisitor) Scope([]byte) error    { return nil }
func (v *relinkVisitor) Span(s *Span) error {
	v.ids[s.SpanID] = v.ids[s.SpanID] || s.Kind == KindClient
	if s.Kind == KindServer {
		v.servers = append(v.servers, s.SpanID)
	}
	return nil
}
