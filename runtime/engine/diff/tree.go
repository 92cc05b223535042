package diff

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// span is one span of a trace, its place in the tree, and what it was matched with.
type span struct {
	id, parentID trace.SpanID
	hasParent    bool
	signature
	status      int32
	message     string
	start, end  uint64         // unix ns
	attributes  map[string]any // its own, not those of the resource
	resource    *resource
	events      []event
	place       place
	counterpart *span // the span of the other trace that it matches; nil: none
	modified    bool  // it differs from its counterpart
}

// signature is what matching spans have in common.
type signature struct {
	service, name string
	kind          int32
}

// place is where a span is in its tree.
type place struct {
	parent   *span // nil: a root
	ancestor *span // the parent or a span above it, for rootOf; nil: a root
	children []*span
	position int // among its siblings
	depth    int // how many spans are above it
}

// resource is what the spans of one entry of the message have in common.
type resource struct{ attributes map[string]any }

type event struct {
	name       string
	attributes map[string]any
}

func (s *span) durationNanos() uint64 {
	if s.end < s.start {
		return 0
	}
	return s.end - s.start
}

// tree is one trace. Spans whose parent is missing are roots, too.
type tree struct {
	id    trace.ID
	spans int
	roots []*span
	all   []*span // depth first, siblings in their order
}

// checkEvery is after how many steps a loop looks whether its context has ended.
const checkEvery = 1 << 10

const statusError = 2

// readTree builds the tree of a TracesData message.
func readTree(ctx context.Context, otlp []byte) (*tree, error) {
	v := spanCollector{ctx: ctx}
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
		if n%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if p := byID[s.parentID]; s.hasParent && p != nil && p != s && rootOf(p) != s {
			s.place.parent, s.place.ancestor = p, p
			p.place.children = append(p.place.children, s)
		} else {
			t.roots = append(t.roots, s)
		}
	}
	return t, t.listDepthFirst(ctx)
}

// rootOf returns the root above a span, or the span itself. It halves the way on each walk, as in
// union-find, so that all calls together take hardly more steps than there are spans, whatever the
// shape of the trace.
func rootOf(s *span) *span {
	for s.place.ancestor != nil {
		if above := s.place.ancestor.place.ancestor; above != nil {
			s.place.ancestor = above
		}
		s = s.place.ancestor
	}
	return s
}

// listDepthFirst sorts siblings and lists all spans, each before its children.
func (t *tree) listDepthFirst(ctx context.Context) error {
	t.all = make([]*span, 0, t.spans)
	open := [][]*span{sortSiblings(t.roots)} // by depth: the siblings that are not listed yet
	for len(open) > 0 {
		siblings := open[len(open)-1]
		if len(siblings) == 0 {
			open = open[:len(open)-1]
			continue
		}
		s := siblings[0]
		open[len(open)-1] = siblings[1:]
		if len(t.all)%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		s.place.depth = len(open) - 1
		t.all = append(t.all, s)
		if len(s.place.children) > 0 {
			open = append(open, sortSiblings(s.place.children))
		}
	}
	return nil
}

// sortSiblings puts siblings into their order and notes their positions.
func sortSiblings(siblings []*span) []*span {
	slices.SortFunc(siblings, func(a, b *span) int {
		return cmp.Or(
			cmp.Compare(a.start, b.start),
			bytes.Compare(a.id[:], b.id[:]),
			cmp.Compare(a.kind, b.kind),
			strings.Compare(a.name, b.name),
		)
	})
	for i, s := range siblings {
		s.place.position = i
	}
	return siblings
}

// pathFromRoot returns the positions among siblings from the root down to s. It is called only for
// spans that are listed: the paths of all spans together can be as long as the square of their
// number.
func (s *span) pathFromRoot() []int {
	out := make([]int, s.place.depth+1)
	for at := s.place.depth; s != nil; s, at = s.place.parent, at-1 {
		out[at] = s.place.position
	}
	return out
}

// spanCollector collects the spans of a trace in the order of the message. It is a trace.Visitor.
type spanCollector struct {
	ctx      context.Context
	id       trace.ID
	spans    []*span
	service  string
	resource *resource
}

func (v *spanCollector) Resource(b []byte) error {
	attrs, err := trace.ResourceAttributes(b, nil)
	if err != nil {
		return err
	}
	v.resource = &resource{trace.Plain(attrs)}
	v.service, _ = v.resource.attributes["service.name"].(string)
	return nil
}

func (v *spanCollector) Scope([]byte) error { return nil }

func (v *spanCollector) Span(s *trace.Span) error {
	if len(v.spans)%checkEvery == 0 && v.ctx.Err() != nil {
		return v.ctx.Err()
	}
	v.id = s.TraceID
	out := &span{
		id:         s.SpanID,
		parentID:   s.ParentID,
		hasParent:  s.HasParent,
		signature:  signature{service: v.service, name: validText(s.Name), kind: s.Kind},
		status:     s.Status,
		message:    validText(s.StatusMessage),
		start:      s.StartUnixNano,
		end:        s.EndUnixNano,
		attributes: trace.Plain(s.Attributes),
		resource:   v.resource,
	}
	for i := range s.Events {
		out.events = append(out.events, event{validText(s.Events[i].Name), trace.Plain(s.Events[i].Attributes)})
	}
	v.spans = append(v.spans, out)
	return nil
}

// validText replaces what is not UTF-8 by U+FFFD.
func validText(b []byte) string { return strings.ToValidUTF8(string(b), "\ufffd") }

// matchTrees sets the counterparts of the spans of two trees.
func matchTrees(ctx context.Context, a, b *tree) error {
	type pair struct{ a, b []*span }
	open := []pair{{a.roots, b.roots}}
	for n := 0; len(open) > 0; n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		p := open[len(open)-1]
		open = open[:len(open)-1]
		waiting := map[signature][]*span{} // spans of b without counterpart, in their order
		for _, s := range p.b {
			waiting[s.signature] = append(waiting[s.signature], s)
		}
		for _, s := range p.a {
			w := waiting[s.signature]
			if len(w) == 0 {
				continue
			}
			s.counterpart, w[0].counterpart = w[0], s
			waiting[s.signature] = w[1:]
			if below := s.counterpart.place.children; len(s.place.children) > 0 && len(below) > 0 {
				open = append(open, pair{s.place.children, below})
			}
		}
	}
	return nil
}
