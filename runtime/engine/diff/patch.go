package diff

import (
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

// maxEntries bounds each list of a patch.
const maxEntries = 10000

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

// NewPatch compares two TracesData messages. The error is trace.ErrMalformed.
func NewPatch(base, compare []byte) (*Patch, error) {
	a, b, err := pair(base, compare)
	if err != nil {
		return nil, err
	}
	return patchOf(a, b), nil
}

func pair(base, compare []byte) (a, b *tree, err error) {
	if a, err = read(base); err != nil {
		return nil, nil, err
	}
	if b, err = read(compare); err != nil {
		return nil, nil, err
	}
	match(a, b)
	return a, b, nil
}

func patchOf(a, b *tree) *Patch {
	p := &Patch{Version: FormatPatch, Base: Side{a.id.String(), len(a.all)}, Compare: Side{b.id.String(), len(b.all)},
		Stats: PatchStats{SpanCountA: len(a.all), SpanCountB: len(b.all)}, Modified: []Modified{}, Added: []Added{}, Removed: []Added{}, Warnings: []string{}}
	for _, s := range a.all {
		if s.other == nil {
			p.Stats.RemovedSpans++
			p.Removed = p.keep(p.Removed, Added{Place{Type: "span", Path: s.path}, s.headline()})
			continue
		}
		p.Stats.MatchedSpans++
		changes := s.changes(&p.Stats)
		if len(changes) == 0 {
			continue
		}
		p.Stats.ModifiedSpans++
		if len(p.Modified) == maxEntries {
			p.Stats.Truncated = true
			continue
		}
		p.Modified = append(p.Modified, Modified{s.ref(), changes})
	}
	for _, s := range b.all {
		if s.other == nil {
			p.Stats.AddedSpans++
			last := len(s.path) - 1
			p.Added = p.keep(p.Added, Added{Place{Type: "span", ParentPath: s.path[:last], Index: &s.path[last]}, s.headline()})
		}
	}
	if p.Stats.Truncated {
		p.Warnings = append(p.Warnings, "lists are cut at 10000 entries; stats count all")
	}
	return p
}

func (p *Patch) keep(list []Added, a Added) []Added {
	if len(list) == maxEntries {
		p.Stats.Truncated = true
		return list
	}
	return append(list, a)
}

func (s *span) ref() Ref { return Ref{s.path, s.service, s.name, kindWord(s.kind)} }

func (s *span) headline() Headline { return Headline{s.ref(), s.duration(), statusWord(s.status)} }

func kindWord(k int32) string {
	return strings.ToLower(strings.TrimPrefix(trace.KindName(k), "SPAN_KIND_"))
}

func statusWord(c int32) string {
	return strings.ToLower(strings.TrimPrefix(trace.StatusName(c), "STATUS_CODE_"))
}

// changes lists what is different between a span and its counterpart, and counts it.
func (s *span) changes(n *PatchStats) (out []Change) {
	o := s.other
	field := func(name string, before, after any) {
		if before != after {
			n.FieldChanges++
			out = append(out, Change{"replace", Target{Type: "field", Name: name}, before, after})
		}
	}
	field("duration_nanos", s.duration(), o.duration())
	field("status", statusWord(s.status), statusWord(o.status))
	field("status_message", s.message, o.message)
	attributes := func(scope string, before, after map[string]any) {
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
			n.AttributeChanges++
			out = append(out, c)
		}
	}
	attributes("span", s.attributes, o.attributes)
	attributes("resource", s.resource, o.resource)
	for i := range max(len(s.events), len(o.events)) {
		switch {
		case i >= len(s.events):
			out = append(out, Change{"add", Target{Type: "event", Name: o.events[i].name}, nil, o.events[i].attributes})
		case i >= len(o.events):
			out = append(out, Change{"remove", Target{Type: "event", Name: s.events[i].name}, s.events[i].attributes, nil})
		case s.events[i].name != o.events[i].name || !reflect.DeepEqual(s.events[i].attributes, o.events[i].attributes):
			out = append(out, Change{"replace", Target{Type: "event", Name: s.events[i].name}, s.events[i].attributes, o.events[i].attributes})
		default:
			continue
		}
		n.EventChanges++
	}
	return out
}

func unionKeys(a, b map[string]any) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}
