package oracle

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// aTrace is a whole trace: its spans in their order, without duplicates.
type aTrace struct {
	id    trace.ID
	spans []*span
}

// span is a span with its place in the tree of its trace.
type span struct {
	*otlp.Span
	identity    trace.Fragment // the bytes that make it what it is
	parent      *span          // nil: none is there
	left, right int            // of the nested set; 0: unknown
}

// assemble sorts spans by trace and drops duplicates.
func assemble(spans []*otlp.Span) []*aTrace {
	byID := map[trace.ID]*aTrace{}
	var out []*aTrace
	for _, s := range spans {
		t := byID[s.Trace]
		if t == nil {
			t = &aTrace{id: s.Trace}
			byID[s.Trace] = t
			out = append(out, t)
		}
		t.spans = append(t.spans, &span{Span: withinTime(s), identity: identity(s)})
	}
	for _, t := range out {
		slices.SortFunc(t.spans, inOrder)
		t.spans = slices.CompactFunc(t.spans, func(a, b *span) bool { return inOrder(a, b) == 0 })
		t.tree()
	}
	return out
}

// withinTime returns the span with its times as they are understood: none is later than 2^63-1.
func withinTime(s *otlp.Span) *otlp.Span {
	const last = uint64(math.MaxInt64)
	c := *s
	c.Start, c.End = min(s.Start, last), min(s.End, last)
	c.Events = slices.Clone(s.Events)
	for i := range c.Events {
		c.Events[i].Time = min(c.Events[i].Time, last)
	}
	return &c
}

func identity(s *otlp.Span) trace.Fragment {
	var c trace.Collector
	if err := c.Add(otlp.Encode(s)); err != nil {
		panic("BUG: " + err.Error())
	}
	return c.Fragments(s.Trace)[0]
}

// inOrder is the total order of the spans of a trace; 0 are duplicates.
func inOrder(a, b *span) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), bytes.Compare(a.ID[:], b.ID[:]),
		bytes.Compare(a.identity.Span, b.identity.Span),
		bytes.Compare(a.identity.Resource, b.identity.Resource), bytes.Compare(a.identity.Scope, b.identity.Scope))
}

// window returns the trace with the spans within the distance of a range that a query sees, and
// whether it meets the range with them.
func (t *aTrace) window(start, end uint64, distance time.Duration) (*aTrace, bool) {
	w := &aTrace{id: t.id}
	from, to := start-min(start, uint64(distance)), end+uint64(distance)
	if to < end {
		to = ^uint64(0)
	}
	for _, s := range t.spans {
		if s.Start < to && s.end() >= from {
			c := *s
			w.spans = append(w.spans, &c)
		}
	}
	if len(w.spans) == 0 {
		return nil, false
	}
	w.tree()
	return w, w.start() < end && w.end() >= start
}

func (t *aTrace) start() uint64 { return t.spans[0].Start }

func (t *aTrace) end() uint64 {
	return slices.MaxFunc(t.spans, func(a, b *span) int { return cmp.Compare(a.end(), b.end()) }).end()
}

// end is the span's end; none ends before it starts.
func (s *span) end() uint64 { return max(s.Start, s.End) }

func (s *span) duration() time.Duration { return time.Duration(s.end() - s.Start) }

// service is the service.name of the span's resource, if it is a string.
func (s *span) service() string {
	for _, v := range valuesOf(s.resourceAttrs(), "service.name") {
		if name, ok := v.(string); ok {
			return name
		}
	}
	return ""
}

// resourceValues are the values of an attribute of the resource. service.name is never absent:
// without one it is empty.
func (s *span) resourceValues(name string) []any {
	values := valuesOf(s.resourceAttrs(), name)
	if len(values) == 0 && name == "service.name" {
		return []any{""}
	}
	return values
}

func (s *span) resourceAttrs() []otlp.Attr {
	if s.Resource == nil {
		return nil
	}
	return s.Resource.Attrs
}

func (s *span) scope() otlp.Scope {
	if s.Scope == nil {
		return otlp.Scope{}
	}
	return *s.Scope
}

// root is the span that names the trace: the last of those without a parent id; nil if there is
// none.
func (t *aTrace) root() (root *span) {
	for _, s := range t.spans {
		if s.Parent.IsZero() {
			root = s
		}
	}
	return root
}

func (t *aTrace) rootName() string {
	if r := t.root(); r != nil {
		return r.Name
	}
	return ""
}

func (t *aTrace) rootService() string {
	if r := t.root(); r != nil {
		return r.service()
	}
	return ""
}

// tree finds every span's parent and numbers those below the roots.
func (t *aTrace) tree() {
	for _, s := range t.spans {
		s.parent, s.left, s.right = t.parentOf(s), 0, 0
	}
	next := 1
	for _, s := range t.spans {
		if s.Parent.IsZero() {
			t.number(s, &next)
		}
	}
}

// parentOf returns the span with the parent's id. Of several, as a client and a server may share an
// id, it is the only one of the server's kind; for a server, the only one of the client's kind.
func (t *aTrace) parentOf(s *span) *span {
	if s.Parent.IsZero() {
		return nil
	}
	var all, preferred []*span
	for _, p := range t.spans {
		if p == s || p.ID != s.Parent {
			continue
		}
		all = append(all, p)
		if s.Kind == trace.KindServer && p.Kind == trace.KindClient || s.Kind != trace.KindServer &&
			p.Kind == trace.KindServer {
			preferred = append(preferred, p)
		}
	}
	switch {
	case len(all) == 1:
		return all[0]
	case len(preferred) == 1:
		return preferred[0]
	}
	return nil
}

func (t *aTrace) children(s *span) (out []*span) {
	for _, c := range t.spans {
		if c.parent == s {
			out = append(out, c)
		}
	}
	return out
}

func (t *aTrace) number(s *span, next *int) {
	s.left = *next
	*next++
	for _, c := range t.children(s) {
		t.number(c, next)
	}
	s.right = *next
	*next++
}

// Relations of the structural operators: whether b is what the operator's name says of a.

func isChild(a, b *span) bool { return b.parent == a }

func isDescendant(a, b *span) bool {
	seen := map[*span]bool{b: true}
	for p := b.parent; p != nil && !seen[p]; p = p.parent {
		if p == a {
			return true
		}
		seen[p] = true
	}
	return false
}

func isParent(a, b *span) bool { return isChild(b, a) }

func isAncestor(a, b *span) bool { return isDescendant(b, a) }

func isSibling(a, b *span) bool {
	if a == b {
		return false
	}
	return a.Parent.IsZero() && b.Parent.IsZero() || a.parent != nil && a.parent == b.parent
}
