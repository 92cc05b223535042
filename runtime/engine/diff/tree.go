// Package diff compares two traces: which spans of one have no counterpart in the other, and what
// is different about those that have. It is pure.
//
// Spans are matched from the roots down: children of matched spans match if service, name and kind
// are the same, the n-th of such siblings with the n-th. What hangs below a span without a
// counterpart has none either. Siblings are ordered by start and span id, so that the result does
// not depend on how the traces are stored. Source: HTTP API §3.5.
package diff

import (
	"bytes"
	"cmp"
	"context"
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
	resource      *resource
	events        []event
	children      []*span
	up            *span // nil: a root
	top           *span // up or a span above it; nil: a root
	position      int   // among its siblings
	depth         int   // spans above it
	other         *span // its counterpart
	modified      bool  // it is not the same as its counterpart
}

// resource is what the spans of one entry of the message have in common.
type resource struct{ attributes map[string]any }

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
	spans      int
	roots, all []*span // all depth first, siblings in their order
}

// pause is after how many steps a loop looks whether it is still wanted.
const pause = 1 << 10

const statusError = 2

// read builds the tree of a TracesData message.
func read(ctx context.Context, otlp []byte) (*tree, error) {
	v := visitor{ctx: ctx}
	var r trace.Reader
	if err := r.Walk(otlp, &v); err != nil {
		return nil, err
	}
	t := &tree{id: v.id, spans: len(v.spans)}
	byID := make(map[trace.SpanID]*span, len(v.spans))
	for _, s := range v.spans {
		if _, twin := byID[s.id]; !twin {
			byID[s.id] = s
		}
	}
	for n, s := range v.spans {
		if n%pause == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if p := byID[s.parent]; s.hasParent && p != nil && p != s && topOf(p) != s {
			s.up, s.top = p, p
			p.children = append(p.children, s)
		} else {
			t.roots = append(t.roots, s)
		}
	}
	return t, t.order(ctx)
}

// topOf returns the root of the tree that a span hangs in. It shortens the way for those who ask
// later, so that all questions together take hardly more steps than there are spans, whatever the
// shape of the trace.
func topOf(s *span) *span {
	for s.top != nil {
		if s.top.top != nil {
			s.top = s.top.top
		}
		s = s.top
	}
	return s
}

// order sorts siblings and lists all spans depth first, without recursion: a trace may be one long
// chain.
func (t *tree) order(ctx context.Context) error {
	t.all = make([]*span, 0, t.spans)
	open := [][]*span{sorted(t.roots)}
	for len(open) > 0 {
		siblings := open[len(open)-1]
		if len(siblings) == 0 {
			open = open[:len(open)-1]
			continue
		}
		s := siblings[0]
		open[len(open)-1] = siblings[1:]
		if len(t.all)%pause == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		s.depth = len(open) - 1
		t.all = append(t.all, s)
		if len(s.children) > 0 {
			open = append(open, sorted(s.children))
		}
	}
	return nil
}

// sorted puts siblings into their order and notes their positions.
func sorted(siblings []*span) []*span {
	slices.SortFunc(siblings, func(a, b *span) int {
		return cmp.Or(cmp.Compare(a.start, b.start), bytes.Compare(a.id[:], b.id[:]), cmp.Compare(a.kind, b.kind), strings.Compare(a.name, b.name))
	})
	for i, s := range siblings {
		s.position = i
	}
	return siblings
}

// path returns the positions among siblings from the root down to s. It is made for spans that are
// listed only: the paths of all spans together can be as long as the square of their number.
func (s *span) path() []int {
	out := make([]int, s.depth+1)
	for at := s.depth; s != nil; s, at = s.up, at-1 {
		out[at] = s.position
	}
	return out
}

type visitor struct {
	ctx      context.Context
	id       trace.ID
	spans    []*span
	service  string
	resource *resource
}

func (v *visitor) Resource(b []byte) error {
	attrs, err := trace.ResourceAttributes(b, nil)
	if err != nil {
		return err
	}
	v.resource = &resource{trace.Plain(attrs)}
	v.service, _ = v.resource.attributes["service.name"].(string)
	return nil
}

func (v *visitor) Scope([]byte) error { return nil }

func (v *visitor) Span(s *trace.Span) error {
	if len(v.spans)%pause == 0 && v.ctx.Err() != nil {
		return v.ctx.Err()
	}
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
func match(ctx context.Context, a, b *tree) error {
	type pair struct{ a, b []*span }
	open := []pair{{a.roots, b.roots}}
	for n := 0; len(open) > 0; n++ {
		if n%pause == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
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
				if len(s.children) > 0 && len(s.other.children) > 0 {
					open = append(open, pair{s.children, s.other.children})
				}
			}
		}
	}
	return nil
}
