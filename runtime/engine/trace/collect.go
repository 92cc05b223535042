package trace

import (
	"bytes"
	"slices"
)

// Collector takes OTLP messages and sorts their spans into fragments by trace, as one home would
// hold them. It does not de-duplicate: Assemble does. The zero Collector is ready.
type Collector struct {
	r      Reader
	traces map[ID][]Fragment
	kept   map[string][]byte // resources and scopes, each once
	group  uint32

	resource, scope []byte
}

// Add takes the spans of one TracesData message and copies what it keeps of it. It returns
// ErrMalformed; the spans before the malformed part are then kept.
func (c *Collector) Add(otlp []byte) error {
	if c.traces == nil {
		c.traces, c.kept = map[ID][]Fragment{}, map[string][]byte{}
	}
	return c.r.Walk(otlp, (*collectVisitor)(c))
}

// IDs returns the traces seen, in order.
func (c *Collector) IDs() []ID {
	ids := make([]ID, 0, len(c.traces))
	for id := range c.traces {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// Fragments returns the spans of a trace in the order in which they came.
func (c *Collector) Fragments(id ID) []Fragment { return c.traces[id] }

type collectVisitor Collector

// keepOnce returns a copy of b that all equal resources or scopes share.
func (c *collectVisitor) keepOnce(b []byte) []byte {
	k, ok := c.kept[string(b)]
	if !ok {
		k = bytes.Clone(b)
		c.kept[string(b)] = k
	}
	return k
}

func (c *collectVisitor) Resource(resource []byte) error {
	c.resource = c.keepOnce(resource)
	c.group++
	return nil
}

func (c *collectVisitor) Scope(scope []byte) error {
	c.scope = c.keepOnce(scope)
	return nil
}

func (c *collectVisitor) Span(s *Span) error {
	f := Fragment{Resource: c.resource, Scope: c.scope, Group: c.group, Span: AppendSpan(nil, s)}
	c.traces[s.TraceID] = append(c.traces[s.TraceID], f)
	return nil
}
