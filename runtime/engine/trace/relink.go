package trace

import (
	"encoding/binary"
	"iter"
	"maps"
	"slices"
)

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
	next := FreeSpanIDs(maps.Keys(seen.ids))
	l := Relinks{Servers: map[SpanID]SpanID{}}
	for _, id := range seen.servers {
		if !seen.ids[id] {
			continue
		}
		fresh := next()
		if _, ok := l.Servers[id]; !ok {
			l.Servers[id] = fresh
		}
		l.Fresh = append(l.Fresh, fresh)
	}
	out, err := l.Apply(otlp)
	if err != nil {
		return otlp
	}
	return out
}

// Relinks says how clients and servers that share an id are separated, in a trace or in a part of
// one.
type Relinks struct {
	Servers map[SpanID]SpanID // a shared id -> the new id of the first server that has it
	Fresh   []SpanID          // the new ids of the server spans whose ids are shared, in the order of the message
}

// Apply returns the TracesData message with the new ids; it is canonical. Error: ErrMalformed.
func (l Relinks) Apply(otlp []byte) ([]byte, error) {
	var r Reader
	e := Encoder{Change: func(s *Span) {
		if _, shared := l.Servers[s.SpanID]; shared && s.Kind == KindServer {
			s.ParentID, s.HasParent, s.SpanID = s.SpanID, true, l.Fresh[0]
			l.Fresh = l.Fresh[1:]
			return
		}
		if n, ok := l.Servers[s.ParentID]; ok && s.HasParent {
			s.ParentID = n
		}
	}}
	if err := r.Walk(otlp, &e); err != nil {
		return nil, err
	}
	return e.Bytes(), nil
}

// FreeSpanIDs returns a function that names the ids that are not used, from the number 1 up.
func FreeSpanIDs(used iter.Seq[SpanID]) (next func() SpanID) {
	var numbers []uint64 // that may be in the way
	for id := range used {
		if n := binary.BigEndian.Uint64(id[:]); n < 1<<32 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	small := uint64(0)
	return func() (id SpanID) {
		for small++; ; small++ {
			for len(numbers) > 0 && numbers[0] < small {
				numbers = numbers[1:]
			}
			if len(numbers) == 0 || numbers[0] != small {
				binary.BigEndian.PutUint64(id[:], small)
				return id
			}
		}
	}
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
