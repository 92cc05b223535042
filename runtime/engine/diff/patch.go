package diff

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// The forms of a result, as answers name them.
const (
	FormatPatch    = "trace-patch-v0"
	FormatSummary  = "trace-summary-v0-native"
	FormatComposed = "trace-summary-v0-composed"
)

// The limits of a patch: entries of each list, and bytes of all lists together. The second one is
// needed because a changed resource is listed with each of its spans, and a deep span with a long
// path.
const (
	maxEntries     = 10000
	maxListedBytes = 32 << 20
)

// Patch is the changes that turn the base into the other trace.
type Patch struct {
	Version  string          `json:"version"`
	Base     Side            `json:"base"`
	Compare  Side            `json:"compare"`
	Stats    PatchStats      `json:"stats"`
	Modified []ModifiedSpan  `json:"modified"`
	Added    []UnmatchedSpan `json:"added"`
	Removed  []UnmatchedSpan `json:"removed"`
	Warnings []string        `json:"warnings"`

	listedBytes int // of all lists, estimated
}

// Side names one of the traces.
type Side struct {
	TraceID   string `json:"traceId"`
	SpanCount int    `json:"spanCount"`
}

// PatchStats counts all differences, also those that a truncated patch does not list.
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

// ModifiedSpan is a span that both traces have, with what is different. Its path is that in the
// base.
type ModifiedSpan struct {
	Span    SpanRef  `json:"span"`
	Changes []Change `json:"changes"`
}

// SpanRef points to a span by its positions among siblings from the root down.
type SpanRef struct {
	Path    []int  `json:"path"`
	Service string `json:"service"`
	Name    string `json:"name"`
	Kind    string `json:"kind"`
}

// Change is one difference. Op is add, remove or replace.
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

// UnmatchedSpan is a span that only one of the traces has.
type UnmatchedSpan struct {
	Target Place    `json:"target"`
	Span   Headline `json:"span"`
}

// Place is where a span that was removed is in the base (Path), or where one that was added is in
// the other trace (ParentPath and Index).
type Place struct {
	Type       string `json:"type"`
	Path       []int  `json:"path,omitempty"`
	ParentPath []int  `json:"parentPath,omitempty"`
	Index      *int   `json:"index,omitempty"`
}

// Headline identifies a span and tells its most important fields.
type Headline struct {
	SpanRef
	DurationNanos uint64 `json:"duration_nanos"`
	Status        string `json:"status"`
}

// NewPatch compares two TracesData messages and returns the patch. The errors are
// trace.ErrMalformed and that of ctx.
func NewPatch(ctx context.Context, base, compare []byte) (*Patch, error) {
	a, b, err := readPair(ctx, base, compare)
	if err != nil {
		return nil, err
	}
	return makePatch(ctx, a, b)
}

// readPair reads two traces and matches their spans.
func readPair(ctx context.Context, base, compare []byte) (a, b *tree, err error) {
	if a, err = readTree(ctx, base); err != nil {
		return nil, nil, err
	}
	if b, err = readTree(ctx, compare); err != nil {
		return nil, nil, err
	}
	return a, b, matchTrees(ctx, a, b)
}

// makePatch lists and counts the differences of two traces whose spans are matched.
func makePatch(ctx context.Context, a, b *tree) (*Patch, error) {
	p := &Patch{ // JSON clients expect empty lists, not null
		Version:  FormatPatch,
		Base:     Side{a.id.String(), len(a.all)},
		Compare:  Side{b.id.String(), len(b.all)},
		Stats:    PatchStats{SpanCountA: len(a.all), SpanCountB: len(b.all)},
		Modified: []ModifiedSpan{},
		Added:    []UnmatchedSpan{},
		Removed:  []UnmatchedSpan{},
		Warnings: []string{},
	}
	resources := resourceChanges{}
	for n, s := range a.all {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if s.counterpart == nil {
			p.Stats.RemovedSpans++
			if p.admitEntry(len(p.Removed), s, 0) {
				at := Place{Type: "span", Path: s.pathFromRoot()}
				p.Removed = append(p.Removed, UnmatchedSpan{at, s.toHeadline()})
			}
			continue
		}
		p.Stats.MatchedSpans++
		own, events := s.listChanges(&p.Stats)
		shared := resources.changesBetween(s.resource, s.counterpart.resource)
		p.Stats.AttributeChanges += len(shared.changes)
		if s.modified = len(own)+len(shared.changes)+len(events) > 0; !s.modified {
			continue
		}
		p.Stats.ModifiedSpans++
		if p.admitEntry(len(p.Modified), s, sizeOfChanges(own)+shared.size+sizeOfChanges(events)) {
			p.Modified = append(p.Modified, ModifiedSpan{s.toRef(), slices.Concat(own, shared.changes, events)})
		}
	}
	for n, s := range b.all {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if s.counterpart != nil {
			continue
		}
		p.Stats.AddedSpans++
		if p.admitEntry(len(p.Added), s, 0) {
			path, depth := s.pathFromRoot(), s.place.depth
			at := Place{Type: "span", ParentPath: path[:depth], Index: &path[depth]}
			p.Added = append(p.Added, UnmatchedSpan{at, s.toHeadline()})
		}
	}
	if p.Stats.Truncated {
		p.Warnings = append(p.Warnings, fmt.Sprintf("lists are cut at %d entries or %d MiB; stats count all",
			maxEntries, maxListedBytes>>20))
	}
	return p, nil
}

// admitEntry reports whether a list of n entries takes one more, about span s and with changes of
// so many bytes. If not, the patch is truncated.
func (p *Patch) admitEntry(n int, s *span, changes int) bool {
	size := 200 + 8*s.place.depth + len(s.service) + len(s.name) + changes
	if n == maxEntries || p.listedBytes+size > maxListedBytes {
		p.Stats.Truncated = true
		return false
	}
	p.listedBytes += size
	return true
}

// sizeOfChanges estimates how many bytes changes take in an answer.
func sizeOfChanges(list []Change) (n int) {
	for i := range list {
		n += 100 + len(list[i].Target.Key) + sizeOfValue(list[i].Before) + sizeOfValue(list[i].After)
	}
	return n
}

// sizeOfValue estimates how many bytes the value of an attribute takes in an answer.
func sizeOfValue(v any) (n int) {
	switch v := v.(type) {
	case string:
		return len(v)
	case []any:
		for _, e := range v {
			n += 2 + sizeOfValue(e)
		}
		return n
	case map[string]any:
		for k, e := range v {
			n += 6 + len(k) + sizeOfValue(e)
		}
		return n
	}
	return 8
}

func (s *span) toRef() SpanRef { return SpanRef{s.pathFromRoot(), s.service, s.name, kindWord(s.kind)} }

func (s *span) toHeadline() Headline {
	return Headline{s.toRef(), s.durationNanos(), statusWord(s.status)}
}

func kindWord(k int32) string {
	return strings.ToLower(strings.TrimPrefix(trace.KindName(k), "SPAN_KIND_"))
}

func statusWord(c int32) string {
	return strings.ToLower(strings.TrimPrefix(trace.StatusName(c), "STATUS_CODE_"))
}
