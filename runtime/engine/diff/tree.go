// Package diff compares two traces: which spans of one have no counterpart in the other, and what is different about those that have. It is pure.
//
// Spans are matched from the roots down: children of matched spans match if service, name and kind are the same, the n-th of such siblings
// with the n-th. What hangs below a span without a counterpart has none either. Siblings are ordered by start and span id, so that the result
// does not depend on how the traces are stored. Source: HTTP API §3.5.
package diff

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// span is one span with its place in the tree.
type span struct {
	id, parent    trace.SpanID
	hasParent     bool
	service, name string
	kind, status  int32
	message       string
	start, end    uint64
	attributes    map[string]any // of the span
	resource      map[string]any
	events        []event
	children      []*span
	up            *span
	path          []int // position among its siblings, from the root down
	other         *span // its counterpart
}

type event struct {
	name       string
	attributes map[string]any
}

func (s *span) duration() uint64 {
	if s.end < s.start {
		return 0
	}
	return s.end - s.start
}

type signature struct {
	service, name string
	kind          int32
}

func (s *span) signature() signature { return signature{s.service, s.name, s.kind} }

// tree is a trace as its roots; spans whose parent is not there are roots too.
type tree struct {
	id         trace.ID
	roots, all []*span // all from the roots down
}

const statusError = 2

// read builds the tree of a TracesData message.
func read(otlp []byte) (*tree, error) {
	var v visitor
	var r trace.Reader
	if err := r.Walk(otlp, &v); err != nil {
		return nil, err
	}
	t := &tree{id: v.id}
	byID := map[trace.SpanID]*span{}
	for _, s := range v.spans {
		if _, twin := byID[s.id]; !twin {
			byID[s.id] = s
		}
	}
	for _, s := range v.spans {
		if p := byID[s.parent]; s.hasParent && p != nil && p != s && (len(s.children) == 0 || !below(p, s)) {
			s.up = p
			p.children = append(p.children, s)
		} else {
			t.roots = append(t.roots, s)
		}
	}
	t.order()
	return t, nil
}

// below reports whether s hangs below root: linking root under it would make a circle.
func below(s, root *span) bool {
	for ; s != nil; s = s.up {
		if s == root {
			return true
		}
	}
	return false
}

// order sorts siblings and gives paths, from the roots down, without recursion: a trace may be one long chain.
func (t *tree) order() {
	type level struct {
		spans  []*span
		prefix []int
	}
	open := []level{{t.roots, nil}}
	for len(open) > 0 {
		l := open[len(open)-1]
		open = open[:len(open)-1]
		slices.SortFunc(l.spans, func(a, b *span) int {
			return cmp.Or(cmp.Compare(a.start, b.start), bytes.Compare(a.id[:], b.id[:]), cmp.Compare(a.kind, b.kind), strings.Compare(a.name, b.name))
		})
		for i, s := range l.spans {
			s.path = append(slices.Clone(l.prefix), i)
			t.all = append(t.all, s)
			if len(s.children) > 0 {
				open = append(open, level{s.children, s.path})
			}
		}
	}
	slices.SortFunc(t.all, func(a, b *span) int { return slices.Compare(a.path, b.path) })
}

type visitor struct {
	id       trace.ID
	spans    []*span
	service  string
	resource map[string]any
}

func (v *visitor) Resource(resource []byte) error {
	attrs, err := trace.ResourceAttributes(resource, nil)
	if err != nil {
		return err
	}
	v.resource = trace.Plain(attrs)
	v.service, _ = v.resource["service.name"].(string)
	return nil
}

func (v *visitor) Scope([]byte) error { return nil }

func (v *visitor) Span(s *trace.Span) error {
	v.id = s.TraceID
	out := &span{id: s.SpanID, parent: s.ParentID, hasParent: s.HasParent, service: v.service, name: text(s.Name), kind: s.Kind, status: s.Status,
		message: text(s.StatusMessage), start: s.StartUnixNano, end: s.EndUnixNano, attributes: trace.Plain(s.Attributes), resource: v.resource}
	for i := range s.Events {
		out.events = append(out.events, event{text(s.Events[i].Name), trace.Plain(s.Events[i].Attributes)})
	}
	v.spans = append(v.spans, out)
	return nil
}

func text(b []byte) string { return strings.ToValidUTF8(string(b), "\ufffd") }

// match pairs the spans of two trees.
func match(a, b *tree) {
	type pair struct{ a, b []*span }
	open := []pair{{a.roots, b.roots}}
	for len(open) > 0 {
		p := open[len(open)-1]
		open = open[:len(open)-1]
		waiting := map[signature][]*span{}
		for _, s := range p.b {
			k := s.signature()
			waiting[k] = append(waiting[k], s)
		}
		for _, s := range p.a {
			k := s.signature()
			if w := waiting[k]; len(w) > 0 {
				s.other, w[0].other = w[0], s
				waiting[k] = w[1:]
				open = append(open, pair{s.children, s.other.children})
			}
		}
	}
}
