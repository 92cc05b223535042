package diff

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Summary is the difference of two traces in numbers: the other trace minus the base.
type Summary struct {
	Version         string           `json:"version"`
	Base            Digest           `json:"base"`
	Compare         Digest           `json:"compare"`
	Signals         Signals          `json:"signals"`
	Trust           Trust            `json:"trust"`
	Stats           SummaryStats     `json:"stats"`
	ChangedServices []string         `json:"changedServices"`
	Services        []ServiceChanges `json:"services"`
	Warnings        []string         `json:"warnings,omitempty"`
}

// Digest is one trace in numbers. The root is the first span, if it was sent without a parent.
type Digest struct {
	TraceID           string  `json:"traceId"`
	RootService       string  `json:"rootService"`
	RootName          string  `json:"rootName"`
	SpanCount         int     `json:"spanCount"`
	ErrorSpanCount    int     `json:"errorSpanCount"`
	DurationMs        float64 `json:"durationMs"`
	SumSpanDurationMs float64 `json:"sumSpanDurationMs"`
}

// Signals tell in words how each number changed from the base to the other trace: increased,
// decreased or unchanged. The structure is changed or unchanged.
type Signals struct {
	TraceLatency    string `json:"traceLatency"`
	SumSpanDuration string `json:"sumSpanDuration"`
	Errors          string `json:"errors"`
	SpanCount       string `json:"spanCount"`
	Structure       string `json:"structure"`
}

// Trust tells how far the traces can be compared: the shares of their spans, and of the paths that
// lead to them, that they have in common, from 0 to 1.
type Trust struct {
	MatchedSpanRatio float64 `json:"matchedSpanRatio"`
	StructureOverlap float64 `json:"structureOverlap"`
}

// SummaryStats counts the differences.
type SummaryStats struct {
	TraceLatencyDeltaMs    float64 `json:"traceLatencyDeltaMs"`
	SumSpanDurationDeltaMs float64 `json:"sumSpanDurationDeltaMs"`
	SpanCountDelta         int     `json:"spanCountDelta"`
	ErrorSpanDelta         int     `json:"errorSpanDelta"`
	MatchedSpans           int     `json:"matchedSpans"`
	ModifiedSpans          int     `json:"modifiedSpans"`
	AddedSpans             int     `json:"addedSpans"`
	RemovedSpans           int     `json:"removedSpans"`
	FieldChanges           int     `json:"fieldChanges"`
	AttributeChanges       int     `json:"attributeChanges"`
}

// ServiceChanges counts the differences in one service.
type ServiceChanges struct {
	Name                   string  `json:"name"`
	SumSpanDurationDeltaMs float64 `json:"sumSpanDurationDeltaMs"`
	Modified               int     `json:"modified"`
	Added                  int     `json:"added"`
	Removed                int     `json:"removed"`
	NewErrors              int     `json:"newErrors"`
	ResolvedErrors         int     `json:"resolvedErrors"`
}

// Composed is a summary together with the patch, unless that is too large.
type Composed struct {
	Version      string         `json:"version"`
	Summary      *Summary       `json:"summary"`
	Patch        *Patch         `json:"patch,omitempty"`
	PatchOmitted *PatchOmission `json:"patchOmitted,omitempty"`
}

// PatchOmission tells why a patch was left out, and how large it is.
type PatchOmission struct {
	Bytes  int    `json:"bytes"`
	Reason string `json:"reason"`
}

// patchBudget is how many bytes of JSON a patch in a composed result may have.
const patchBudget = 64 << 10

// NewSummary compares two TracesData messages and returns the summary. The errors are
// trace.ErrMalformed and that of ctx.
func NewSummary(ctx context.Context, base, compare []byte) (*Summary, error) {
	a, b, err := readPair(ctx, base, compare)
	if err != nil {
		return nil, err
	}
	p, err := makePatch(ctx, a, b)
	if err != nil {
		return nil, err
	}
	return makeSummary(a, b, p), nil
}

// NewComposed compares two TracesData messages and returns both forms. The errors are
// trace.ErrMalformed and that of ctx.
func NewComposed(ctx context.Context, base, compare []byte) (*Composed, error) {
	a, b, err := readPair(ctx, base, compare)
	if err != nil {
		return nil, err
	}
	p, err := makePatch(ctx, a, b)
	if err != nil {
		return nil, err
	}
	out := &Composed{Version: FormatComposed, Summary: makeSummary(a, b, p)}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	if len(text) > patchBudget {
		out.PatchOmitted = &PatchOmission{len(text), "over_budget"}
	} else {
		out.Patch = p
	}
	return out, nil
}

// makeSummary counts over both traces; p is their patch.
func makeSummary(a, b *tree, p *Patch) *Summary {
	base, compare, n := digestOf(a), digestOf(b), p.Stats
	s := &Summary{
		Version: FormatSummary,
		Base:    base,
		Compare: compare,
		Signals: Signals{
			TraceLatency:    directionOf(base.DurationMs, compare.DurationMs),
			SumSpanDuration: directionOf(base.SumSpanDurationMs, compare.SumSpanDurationMs),
			Errors:          directionOf(base.ErrorSpanCount, compare.ErrorSpanCount),
			SpanCount:       directionOf(base.SpanCount, compare.SpanCount),
			Structure:       "unchanged",
		},
		Stats: SummaryStats{
			TraceLatencyDeltaMs:    compare.DurationMs - base.DurationMs,
			SumSpanDurationDeltaMs: compare.SumSpanDurationMs - base.SumSpanDurationMs,
			SpanCountDelta:         compare.SpanCount - base.SpanCount,
			ErrorSpanDelta:         compare.ErrorSpanCount - base.ErrorSpanCount,
			MatchedSpans:           n.MatchedSpans,
			ModifiedSpans:          n.ModifiedSpans,
			AddedSpans:             n.AddedSpans,
			RemovedSpans:           n.RemovedSpans,
			FieldChanges:           n.FieldChanges,
			AttributeChanges:       n.AttributeChanges,
		},
		ChangedServices: []string{},
		Services:        []ServiceChanges{},
		Warnings:        p.Warnings,
	}
	if n.AddedSpans+n.RemovedSpans > 0 {
		s.Signals.Structure = "changed"
	}
	if all := n.SpanCountA + n.SpanCountB; all > 0 {
		s.Trust.MatchedSpanRatio = 2 * float64(n.MatchedSpans) / float64(all)
	}
	s.Trust.StructureOverlap = structureOverlap(a, b)
	s.addServices(a, b)
	return s
}

// directionOf returns the word of Signals for a change.
func directionOf[T cmp.Ordered](before, after T) string {
	switch {
	case after > before:
		return "increased"
	case after < before:
		return "decreased"
	}
	return "unchanged"
}

func toMilliseconds(ns uint64) float64 { return float64(ns) / float64(time.Millisecond) }

func digestOf(t *tree) Digest {
	d := Digest{TraceID: t.id.String(), SpanCount: len(t.all)}
	if len(t.roots) > 0 && !t.roots[0].hasParent {
		d.RootService, d.RootName = t.roots[0].service, t.roots[0].name
	}
	var first, last, sum uint64
	for i, s := range t.all {
		if i == 0 || s.start < first {
			first = s.start
		}
		last = max(last, s.end, s.start)
		sum += s.durationNanos()
		if s.status == statusError {
			d.ErrorSpanCount++
		}
	}
	d.DurationMs, d.SumSpanDurationMs = toMilliseconds(last-first), toMilliseconds(sum)
	return d
}

// structureOverlap returns the share of distinct paths that both traces have. A path is the
// signatures from a root down to a span.
func structureOverlap(a, b *tree) float64 {
	x, y := distinctPaths(a), distinctPaths(b)
	both := 0
	for p := range x {
		if _, ok := y[p]; ok {
			both++
		}
	}
	if all := len(x) + len(y) - both; all > 0 {
		return float64(both) / float64(all)
	}
	return 1
}

// distinctPaths returns a digest of each distinct path of a trace. A digest is made of the parent's
// digest, so that deep paths cost no more than short ones.
func distinctPaths(t *tree) map[[sha256.Size]byte]struct{} {
	out := map[[sha256.Size]byte]struct{}{}
	known := map[*span][sha256.Size]byte{}
	for _, s := range t.all { // parents come first
		above := known[s.place.parent]
		d := sha256.Sum256([]byte(string(above[:]) + s.service + "\x00" + s.name + "\x00" + kindWord(s.kind)))
		known[s] = d
		out[d] = struct{}{}
	}
	return out
}

// addServices adds the services in which something changed, by name.
func (s *Summary) addServices(a, b *tree) {
	by := map[string]*ServiceChanges{}
	sum := map[string]int64{}
	of := func(name string) *ServiceChanges {
		if by[name] == nil {
			by[name] = &ServiceChanges{Name: name}
		}
		return by[name]
	}
	for _, x := range a.all {
		sum[x.service] -= int64(x.durationNanos())
		c := of(x.service)
		if x.counterpart == nil {
			c.Removed++
			continue
		}
		if x.modified {
			c.Modified++
		}
		if was, is := x.status == statusError, x.counterpart.status == statusError; was != is {
			if is {
				c.NewErrors++
			} else {
				c.ResolvedErrors++
			}
		}
	}
	for _, x := range b.all {
		sum[x.service] += int64(x.durationNanos())
		if x.counterpart == nil {
			of(x.service).Added++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(by)) {
		c := by[name]
		c.SumSpanDurationDeltaMs = float64(sum[name]) / float64(time.Millisecond)
		if c.Modified+c.Added+c.Removed > 0 || c.SumSpanDurationDeltaMs != 0 {
			s.Services = append(s.Services, *c)
			s.ChangedServices = append(s.ChangedServices, name)
		}
	}
}
