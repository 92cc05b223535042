// Package random makes up traces and queries: small, odd, and out of few names and values, so that
// queries find something.
package random

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// Base is about when the spans start: a whole hour, in unix ns.
const Base = 1_700_006_400_000_000_000

// The names of attributes. Each has a type that its values usually are of; any has all of them.
var (
	intKeys    = []string{"n", "http.status"}
	stringKeys = []string{"s", "http.method", "日本"}
	floatKeys  = []string{"f"}
	boolKeys   = []string{"ok"}
	anyKeys    = []string{"any", "x y"}
)

var (
	ints = []any{0, 1, 2, 3, 7, 10, -5, 500, int64(1) << 53, int64(1)<<53 + 1, int64(math.MaxInt64),
		int64(math.MinInt64)}
	strs    = []any{"", "x", "y", "POST", "GET", "500", "nil", "ünï", "a\nb"}
	floats  = []any{0.5, 2.0, -1.5, 500.0, 1e300, 0.1, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1)}
	bools   = []any{true, false}
	oddOnes = []any{nil, []byte("x"), []any{}, []any{"x"}, []any{"x", "y"}, []any{"y", "z", "y"}, []any{1, 2},
		[]any{3, 1}, []any{0.5, 2.5}, []any{true, false},
		[]any{1, "x"}, []any{[]any{"x"}}, otlp.Map{{Key: "s", Value: "x"}}}
	services = []any{"cart", "db", "frontend", "", 5}
	names    = []string{"GET", "POST /cart", "x", "", "ünï"}
	events   = []string{"exception", "retry", ""}
)

var farTimes = []uint64{0, 1 << 63, math.MaxUint64, Base, 1, 1<<63 - 1}

// few picks rather one of the first.
func few[T any](r *rand.Rand, from []T) T { return from[min(r.IntN(len(from)), r.IntN(len(from)))] }

func oneOf[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }

// Spans makes up the spans of a few traces, in the order in which they are sent.
func Spans(r *rand.Rand) []*otlp.Span {
	var out []*otlp.Span
	resources := make([]*otlp.Resource, 1+r.IntN(3))
	for i := range resources {
		resources[i] = &otlp.Resource{Attrs: attrs(r, 2)}
		if chance(r, 85) {
			resources[i].Attrs = append(resources[i].Attrs, otlp.Attr{Key: "service.name", Value: few(r, services)})
		}
	}
	scopes := []*otlp.Scope{nil, {Name: "otel-http", Version: "1.2.0", Attrs: attrs(r, 2)}, {Name: "x"}}
	for n := 1 + r.IntN(6); n > 0; n-- {
		id := traceID(r, n)
		start := Base + uint64(r.IntN(8))*30e9
		if chance(r, 3) {
			start += uint64(r.IntN(60)) * 3600e9
		}
		var t []*otlp.Span
		for k := 1 + r.IntN(8); k > 0; k-- {
			t = append(t, span(r, id, start, len(t), oneOf(r, resources), few(r, scopes)))
		}
		out = append(out, t...)
		out = append(out, again(r, t)...)
	}
	if chance(r, 50) {
		r.Shuffle(len(out), func(i, k int) { out[i], out[k] = out[k], out[i] })
	}
	return out
}

func traceID(r *rand.Rand, n int) trace.ID {
	id := otlp.TraceID(uint64(0xa0 + n))
	if chance(r, 70) {
		id[0] = 0x70
	}
	return id
}

func spanID(n int) trace.SpanID {
	id := otlp.SpanID(uint64(n + 1))
	if n%3 > 0 {
		id[0] = 0x50
	}
	return id
}

// span makes up the n-th span of a trace.
func span(r *rand.Rand, id trace.ID, base uint64, n int, resource *otlp.Resource, scope *otlp.Scope) *otlp.Span {
	s := &otlp.Span{Trace: id, ID: spanID(n), Name: few(r, names), Kind: int32(r.IntN(6)), Resource: resource,
		Scope: scope, Attrs: attrs(r, 5)}
	s.Start = base + uint64(few(r, []int{0, 1, 5, 10, 100, 1000, 60_000, 90_000}))*1e6
	if chance(r, 1) {
		s.Start += 30 * 3600e9 // more than a day after the others
	}
	s.End = s.Start + uint64(few(r, []int{0, 1, 5, 10, 100, 1000, 60_000}))*1e6 + uint64(few(r, []int{0, 1, 999}))
	if chance(r, 1) {
		s.End += 20 * 3600e9
	}
	if chance(r, 2) { // about a day or two from the others, to either side and at the very edge
		s.Start += uint64(few(r, []int64{24, -24, 48, -48, 47, -25})*3600e9 + few(r, []int64{0, 1, -1, 30e9}))
		s.End = s.Start + uint64(few(r, []int{0, 1, 1000}))*1e6
	}
	if chance(r, 1) { // from clocks that are not set, or worse
		s.Start, s.End = few(r, farTimes), few(r, farTimes)
	}
	if chance(r, 2) {
		s.End = s.Start - uint64(r.IntN(5))*1e6
	}
	if chance(r, 2) {
		s.Kind, s.Status = 9, 7
	}
	if chance(r, 30) {
		s.Status, s.Message = int32(r.IntN(3)), few(r, []string{"", "boom"})
	}
	switch k := r.IntN(100); {
	case n == 0 && k < 80 || k < 10: // a root
	case k < 88 && n > 0:
		s.Parent = spanID(r.IntN(n))
	case k < 94:
		s.Parent = otlp.SpanID(0xff) // not there
	default:
		s.Parent = spanID(r.IntN(8)) // later ones, and itself: cycles
	}
	for k := few(r, []int{0, 0, 1, 2, 3}); k > 0; k-- {
		s.Events = append(s.Events, otlp.Event{Name: few(r, events), Time: s.Start + uint64(r.IntN(4))*1e6,
			Attrs: attrs(r, 2)})
	}
	for k := few(r, []int{0, 0, 0, 1, 2}); k > 0; k-- {
		s.Links = append(s.Links, otlp.Link{Trace: traceID(r, 1+r.IntN(3)), Span: spanID(r.IntN(4)),
			Attrs: attrs(r, 2)})
	}
	return s
}

// again are spans sent once more: the same, with another content, or as the twin of another kind.
func again(r *rand.Rand, t []*otlp.Span) (out []*otlp.Span) {
	for k := few(r, []int{0, 0, 1, 2}); k > 0; k-- {
		c := *oneOf(r, t)
		switch r.IntN(4) {
		case 0, 1:
		case 2:
			c.Attrs = attrs(r, 3)
			c.Name = few(r, names)
		case 3:
			c.Kind = 5 - c.Kind
		}
		out = append(out, &c)
	}
	return out
}

// attrs makes up at most n attributes. Now and then a key comes twice.
func attrs(r *rand.Rand, n int) (out []otlp.Attr) {
	for n = r.IntN(n + 1); n > 0; n-- {
		a := otlp.Attr{}
		switch r.IntN(6) {
		case 0, 1:
			a.Key, a.Value = few(r, intKeys), few(r, ints)
		case 2:
			a.Key, a.Value = few(r, stringKeys), few(r, strs)
		case 3:
			a.Key, a.Value = few(r, floatKeys), few(r, floats)
		case 4:
			a.Key, a.Value = few(r, boolKeys), few(r, bools)
		case 5:
			a.Key, a.Value = few(r, anyKeys), oneOf(r, oddOnes)
		}
		if chance(r, 12) {
			a.Value = few(r, oneOf(r, [][]any{ints, strs, floats, bools, oddOnes}))
		}
		if chance(r, 95) && slices.ContainsFunc(out, func(o otlp.Attr) bool { return o.Key == a.Key }) {
			continue
		}
		out = append(out, a)
	}
	return out
}

// Many makes up the spans of many traces over some hours: enough for several pages, with texts that
// no dictionary holds and rare attributes.
func Many(r *rand.Rand, traces int) []*otlp.Span {
	var out []*otlp.Span
	resources := make([]*otlp.Resource, 20)
	for i := range resources {
		resources[i] = &otlp.Resource{Attrs: append(attrs(r, 3),
			otlp.Attr{Key: "service.name", Value: fmt.Sprintf("service-%d", i/2)})}
	}
	scopes := []*otlp.Scope{nil, {Name: "otel-http", Version: "1.2.0", Attrs: attrs(r, 2)}, {Name: "x"}}
	for n := range traces {
		id := traceID(r, n)
		start := Base + uint64(n)*uint64(3*3600e9/traces) + uint64(r.IntN(60))*1e9
		var t []*otlp.Span
		for k := 1 + r.IntN(12); k > 0; k-- {
			s := span(r, id, start, len(t), oneOf(r, resources), few(r, scopes))
			if chance(r, 50) {
				s.Name = fmt.Sprintf("%s %d", s.Name, r.IntN(1<<20))
			}
			if chance(r, 40) {
				s.Attrs = append(s.Attrs, otlp.Attr{Key: "id", Value: fmt.Sprintf("%x", r.Uint64())})
			}
			if chance(r, 1) {
				s.Attrs = append(s.Attrs, otlp.Attr{Key: fmt.Sprintf("rare %d", r.IntN(50)), Value: few(r, ints)})
			}
			t = append(t, s)
		}
		out = append(out, t...)
		out = append(out, again(r, t)...)
	}
	return out
}
