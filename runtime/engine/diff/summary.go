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

// Summary is the difference of two traces in numbers.
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

// Digest is one trace in numbers. The root is the first span without a parent.
type Digest struct {
	TraceID           string  `json:"traceId"`
	RootService       string  `json:"rootService"`
	RootName          string  `json:"rootName"`
	SpanCount         int     `json:"spanCount"`
	ErrorSpanCount    int     `json:"errorSpanCount"`
	DurationMs        float64 `json:"durationMs"`
	SumSpanDurationMs float64 `json:"sumSpanDurationMs"`
}

// Signals say which way each number went: increased, decreased or unchanged; the structure is
// changed or unchanged.
type Signals struct {
	TraceLatency    string `json:"traceLatency"`
	SumSpanDuration string `json:"sumSpanDuration"`
	Errors          string `json:"errors"`
	SpanCount       string `json:"spanCount"`
	Structure       string `json:"structure"`
}

// Trust says how much the traces have in common: of their spans, and of the paths that lead to
// them, from 0 to 1.
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

// ServiceChanges is what changed in one service.
type ServiceChanges struct {
	Name                   string  `json:"name"`
	SumSpanDurationDeltaMs float64 `json:"sumSpanDurationDeltaMs"`
	Modified               int     `json:"modified"`
	Added                  int     `json:"added"`
	Removed                int     `json:"removed"`
	NewErrors              int     `json:"newErrors"`
	ResolvedErrors         int     `json:"resolvedErrors"`
}

// Composed is a summary and, if it is not too large, the patch.
type Composed struct {
	Version      string   `json:"version"`
	Summary      *Summary `json:"summary"`
	Patch        *Patch   `json:"patch,omitempty"`
	PatchOmitted *Omitted `json:"patchOmitted,omitempty"`
}

// Omitted says why there is no patch, and how large it would be.
type Omitted struct {
	Bytes  int    `json:"bytes"`
	Reason string `json:"reason"`
}

const patchBudget = 64 << 10 // bytes of a patch in a composed result

// NewSummary compares two TracesData messages. The errors are trace.ErrMalformed and that of ctx.
func NewSummary(ctx context.Context, base, compare []byte) (*Summary, error) {
	a, b, err := pair(ctx, base, compare)
	if err != nil {
		return nil, err
	}
	p, err := patchOf(ctx, a, b)
	if err != nil {
		return nil, err
	}
	return summaryOf(a, b, p), nil
}

// NewComposed compares two TracesData messages. The errors are trace.ErrMalformed and that of ctx.
func NewComposed(ctx context.Context, base, compare []byte) (*Composed, error) {
	a, b, err := pair(ctx, base, compare)
	if err != nil {
		return nil, err
	}
	p, err := patchOf(ctx, a, b)
	if err != nil {
		return nil, err
	}
	out := &Composed{Version: FormatComposed, Summary: summaryOf(a, b, p)}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	if len(text) > patchBudget {
		out.PatchOmitted = &Omitted{len(text), "over_budget"}
	} else {
		out.Patch = p
	}
	return out, nil
}

func summaryOf(a, b *tree, p *Patch) *Summary {
	s := &Summary{Version: FormatSummary, Base: digest(a), Compare: digest(b), ChangedServices: []string{}, Services: []ServiceChanges{}, Warnings: p.Warnings}
	n := p.Stats
	s.Stats = SummaryStats{TraceLatencyDeltaMs: s.Compare.DurationMs - s.Base.DurationMs, SumSpanDurationDeltaMs: s.Compare.SumSpanDurationMs - s.Base.SumSpanDurationMs,
		SpanCountDelta: s.Compare.SpanCount - s.Base.SpanCount, ErrorSpanDelta: s.Compare.ErrorSpanCount - s.Base.ErrorSpanCount,
		MatchedSpans: n.MatchedSpans, ModifiedSpans: n.ModifiedSpans, AddedSpans: n.AddedSpans, RemovedSpans: n.RemovedSpans,
		FieldChanges: n.FieldChanges, AttributeChanges: n.AttributeChanges}
	s.Signals = Signals{way(s.Base.DurationMs, s.Compare.DurationMs), way(s.Base.SumSpanDurationMs, s.Compare.SumSpanDurationMs),
		way(s.Base.ErrorSpanCount, s.Compare.ErrorSpanCount), way(s.Base.SpanCount, s.Compare.SpanCount), "unchanged"}
	if n.AddedSpans+n.RemovedSpans > 0 {
		s.Signals.Structure = "changed"
	}
	if all := n.SpanCountA + n.SpanCountB; all > 0 {
		s.Trust.MatchedSpanRatio = 2 * float64(n.MatchedSpans) / float64(all)
	}
	s.Trust.StructureOverlap = overlap(a, b)
	s.services(a, b)
	return s
}

func way[T cmp.Ordered](before, after T) string {
	switch {
	case after > before:
		return "increased"
	case after < before:
		return "decreased"
	}
	return "unchanged"
}

func ms(ns uint64) float64 { return float64(ns) / float64(time.Millisecond) }

func digest(t *tree) Digest {
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
		sum += s.duration()
		if s.status == statusError {
			d.ErrorSpanCount++
		}
	}
	d.DurationMs, d.SumSpanDurationMs = ms(last-first), ms(sum)
	return d
}

// overlap is how many of the distinct paths of signatures, from a root to a span, both traces have.
func overlap(a, b *tree) float64 {
	x, y := paths(a), paths(b)
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

// paths are the distinct paths of a trace, each as a digest: a path of a thousand steps is no
// longer than one.
func paths(t *tree) map[[sha256.Size]byte]struct{} {
	out := map[[sha256.Size]byte]struct{}{}
	known := map[*span][sha256.Size]byte{}
	for _, s := range t.all { // parents come first
		above := known[s.up]
		d := sha256.Sum256([]byte(string(above[:]) + s.service + "\x00" + s.name + "\x00" + kindWord(s.kind)))
		known[s] = d
		out[d] = struct{}{}
	}
	return out
}

func (s *Summary) services(a, b *tree) {
	by := map[string]*ServiceChanges{}
	sum := map[string]int64{}
	of := func(name string) *ServiceChanges {
		if by[name] == nil {
			by[name] = &ServiceChanges{Name: name}
		}
		return by[name]
	}
	for _, x := range a.all {
		sum[x.service] -= int64(x.duration())
		c := of(x.service)
		if x.other == nil {
			c.Removed++
			continue
		}
		if x.modified {
			c.Modified++
		}
		if was, is := x.status == statusError, x.other.status == statusError; was != is {
			if is {
				c.NewErrors++
			} else {
				c.ResolvedErrors++
			}
		}
	}
	for _, x := range b.all {
		sum[x.service] += int64(x.duration())
		if x.other == nil {
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
