package diff

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Names of the forms of a result.
const (
	FormatPatch    = "trace-patch-v0"
	FormatSummary  = "trace-summary-v0-native"
	FormatComposed = "trace-summary-v0-composed"
)

// A patch lists at most so many spans in each list, and so many bytes in all of them: a change of a
// resource is listed with each of its spans, and a span that hangs deep with a long path.
const (
	maxEntries = 10000
	maxListed  = 32 << 20
)

// Patch is what would have to be done to the base to get the other trace.
type Patch struct {
	Version  string     `json:"version"`
	Base     Side       `json:"base"`
	Compare  Side       `json:"compare"`
	Stats    PatchStats `json:"stats"`
	Modified []Modified `json:"modified"`
	Added    []Added    `json:"added"`
	Removed  []Added    `json:"removed"`
	Warnings []string   `json:"warnings"`

	listed int // bytes of the lists, about
}

// Side names one of the traces.
type Side struct {
	TraceID   string `json:"traceId"`
	SpanCount int    `json:"spanCount"`
}

// PatchStats counts what a patch holds, and what was cut off it.
type PatchStats struct {
	SpanCountA       int  `json:"spanCountA"`
	SpanCountB       int  `json:"spanCountB"`
	MatchedSpans     int  `json:"matchedSpans"`
	ModifiedSpans    int  `json:"modifiedSpans"`
	AddedSpans       int  `json:"addedSpans"`
	RemovedSpans     int  `json:"removedSpans"`
	FieldChanges     int  `json:"fieldChanges"`
	AttributeChanges int  `json:"attributeChanges"`
	EventChanges     int  `json:"eventChanges"`
	Truncated        bool `json:"truncated"`
}

// Modified is a span that both traces have, with what is different. Its path is that in the base.
type Modified struct {
	Span    Ref      `json:"span"`
	Changes []Change `json:"changes"`
}

// Ref points to a span by its positions among siblings from the root down.
type Ref struct {
	Path    []int  `json:"path"`
	Service string `json:"service"`
	Name    string `json:"name"`
	Kind    string `json:"kind"`
}

// Change is one difference: op is add, remove or replace.
type Change struct {
	Op     string `json:"op"`
	Target Target `json:"target"`
	Before any    `json:"before,omitempty"`
	After  any    `json:"after,omitempty"`
}

// Target is what a change is about: a field, an attribute or an event.
type Target struct {
	Type  string `json:"type"`
	Name  string `json:"name,omitempty"`
	Scope string `json:"scope,omitempty"`
	Key   string `json:"key,omitempty"`
}

// Added is a span that only one of the traces has.
type Added struct {
	Target Place    `json:"target"`
	Span   Headline `json:"span"`
}

// Place says where a span goes (parent and position) or is (path).
type Place struct {
	Type       string `json:"type"`
	Path       []int  `json:"path,omitempty"`
	ParentPath []int  `json:"parentPath,omitempty"`
	Index      *int   `json:"index,omitempty"`
}

// Headline is a span in short.
type Headline struct {
	Ref
	DurationNanos uint64 `json:"duration_nanos"`
	Status        string `json:"status"`
}

// NewPatch compares two TracesData messages. The errors are trace.ErrMalformed and that of ctx.
func NewPatch(ctx context.Context, base, compare []byte) (*Patch, error) {
	a, b, err := pair(ctx, base, compare)
	if err != nil {
		return nil, err
	}
	return patchOf(ctx, a, b)
}

func pair(ctx context.Context, base, compare []byte) (a, b *tree, err error) {
	if a, err = read(ctx, base); err != nil {
		return nil, nil, err
	}
	if b, err = read(ctx, compare); err != nil {
		return nil, nil, err
	}
	return a, b, match(ctx, a, b)
}

func patchOf(ctx context.Context, a, b *tree) (*Patch, error) {
	p := &Patch{Version: FormatPatch, Base: Side{a.id.String(), len(a.all)}, Compare: Side{b.id.String(), len(b.all)},
		Stats: PatchStats{SpanCountA: len(a.all), SpanCountB: len(b.all)}, Modified: []Modified{}, Added: []Added{}, Removed: []Added{}, Warnings: []string{}}
	resources := resourceChanges{}
	for n, s := range a.all {
		if n%pause == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if s.other == nil {
			p.Stats.RemovedSpans++
			if p.lists(len(p.Removed), s, 0) {
				p.Removed = append(p.Removed, Added{Place{Type: "span", Path: s.path()}, s.headline()})
			}
			continue
		}
		p.Stats.MatchedSpans++
		own, events := s.changes(&p.Stats)
		shared := resources.of(s.resource, s.other.resource)
		p.Stats.AttributeChanges += len(shared.changes)
		if s.modified = len(own)+len(shared.changes)+len(events) > 0; !s.modified {
			continue
		}
		p.Stats.ModifiedSpans++
		if p.lists(len(p.Modified), s, sizeOfChanges(own)+shared.size+sizeOfChanges(events)) {
			p.Modified = append(p.Modified, Modified{s.ref(), slices.Concat(own, shared.changes, events)})
		}
	}
	for n, s := range b.all {
		if n%pause == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if s.other != nil {
			continue
		}
		p.Stats.AddedSpans++
		if p.lists(len(p.Added), s, 0) {
			path := s.path()
			p.Added = append(p.Added, Added{Place{Type: "span", ParentPath: path[:s.depth], Index: &path[s.depth]}, s.headline()})
		}
	}
	if p.Stats.Truncated {
		p.Warnings = append(p.Warnings, fmt.Sprintf("lists are cut at %d entries or %d MiB; stats count all", maxEntries, maxListed>>20))
	}
	return p, nil
}

// lists reports whether one more entry, about span s and with changes of so many bytes, goes into a
// list of n entries.
func (p *Patch) lists(n int, s *span, changes int) bool {
	size := 200 + 8*s.depth + len(s.service) + len(s.name) + changes
	if n == maxEntries || p.listed+size > maxListed {
		p.Stats.Truncated = true
		return false
	}
	p.listed += size
	return true
}

func sizeOfChanges(list []Change) (n int) {
	for i := range list {
		n += 100 + len(list[i].Target.Key) + sizeOf(list[i].Before) + sizeOf(list[i].After)
	}
	return n
}

// sizeOf is about how many bytes a value of an attribute takes in an answer.
func sizeOf(v any) (n int) {
	switch v := v.(type) {
	case string:
		return len(v)
	case []any:
		for _, e := range v {
			n += 2 + sizeOf(e)
		}
		return n
	case map[string]any:
		for k, e := range v {
			n += 6 + len(k) + sizeOf(e)
		}
		return n
	}
	return 8
}

func (s *span) ref() Ref { return Ref{s.path(), s.service, s.name, kindWord(s.kind)} }

func (s *span) headline() Headline { return Headline{s.ref(), s.duration(), statusWord(s.status)} }

func kindWord(k int32) string {
	return strings.ToLower(strings.TrimPrefix(trace.KindName(k), "SPAN_KIND_"))
}

func statusWord(c int32) string {
	return strings.ToLower(strings.TrimPrefix(trace.StatusName(c), "STATUS_CODE_"))
}

// changes lists what is different between a span and its counterpart, but for their resources, and
// counts it.
func (s *span) changes(n *PatchStats) (own, events []Change) {
	o := s.other
	field := func(name string, before, after any) {
		if before != after {
			n.FieldChanges++
			own = append(own, Change{"replace", Target{Type: "field", Name: name}, before, after})
		}
	}
	field("duration_nanos", s.duration(), o.duration())
	field("status", statusWord(s.status), statusWord(o.status))
	field("status_message", s.message, o.message)
	attributes := compareAttributes("span", s.attributes, o.attributes)
	n.AttributeChanges += len(attributes)
	own = append(own, attributes...)
	for i := range max(len(s.events), len(o.events)) {
		switch {
		case i >= len(s.events):
			events = append(events, Change{"add", Target{Type: "event", Name: o.events[i].name}, nil, o.events[i].attributes})
		case i >= len(o.events):
			events = append(events, Change{"remove", Target{Type: "event", Name: s.events[i].name}, s.events[i].attributes, nil})
		case s.events[i].name != o.events[i].name || !reflect.DeepEqual(s.events[i].attributes, o.events[i].attributes):
			events = append(events, Change{"replace", Target{Type: "event", Name: s.events[i].name}, s.events[i].attributes, o.events[i].attributes})
		default:
			continue
		}
		n.EventChanges++
	}
	return own, events
}

func unionKeys(a, b map[string]any) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

// compareAttributes lists what is different between two sets of attributes, by key.
func compareAttributes(scope string, before, after map[string]any) (out []Change) {
	for _, k := range unionKeys(before, after) {
		was, had := before[k]
		is, has := after[k]
		c := Change{"replace", Target{Type: "attribute", Scope: scope, Key: k}, was, is}
		switch {
		case !had:
			c.Op = "add"
		case !has:
			c.Op = "remove"
		case reflect.DeepEqual(was, is):
			continue
		}
		out = append(out, c)
	}
	return out
}

// resourceChanges keeps what is different between two resources, because many spans have the same
// two.
type resourceChanges map[[2]*resource]resourceDiff

type resourceDiff struct {
	changes []Change
	size    int // of changes, in bytes
}

func (known resourceChanges) of(before, after *resource) resourceDiff {
	k := [2]*resource{before, after}
	d, ok := known[k]
	if !ok {
		d.changes = compareAttributes("resource", before.attributes, after.attributes)
		d.size = sizeOfChanges(d.changes)
		known[k] = d
	}
	return d
}
