package eval

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/series"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// MaxExemplars bounds the exemplars of one query.
const MaxExemplars = 100

// MetricsPartial is what one or more homes contribute to the series of a query. Partials merge in
// any order to the same result. The zero MetricsPartial is that of no home.
type MetricsPartial struct {
	counts     []stageCounts // in the order of firstStages
	candidates map[trace.ID]Candidate
	cutsTraces bool
}

// CutsTraces reports whether what was counted may depend on spans beyond the trace window, which
// were not seen.
func (p *MetricsPartial) CutsTraces() bool { return p.cutsTraces }

// stageCounts is what one first stage has counted. One of the four is set.
type stageCounts struct {
	tally      *series.Tally // counts, or has others merged into it
	comparison *series.Comparison
	packed     *series.Packed // is only merged
	compared   *series.PackedComparison
}

// pack lets the stage count no more.
func (c *stageCounts) pack() {
	switch {
	case c.tally != nil:
		c.packed, c.tally = c.tally.Pack(), nil
	case c.comparison != nil:
		c.compared, c.comparison = c.comparison.Pack(), nil
	}
}

// open lets others be merged into what was packed.
func (c *stageCounts) open() {
	if c.packed != nil || c.compared != nil {
		packed := *c
		*c = c.emptyCopy()
		c.merge(packed)
	}
}

// emptyCopy returns counts of the same stage that have counted nothing.
func (c *stageCounts) emptyCopy() stageCounts {
	switch {
	case c.packed != nil:
		return stageCounts{tally: c.packed.NewTally()}
	case c.compared != nil:
		return stageCounts{comparison: c.compared.NewComparison()}
	case c.comparison != nil:
		return stageCounts{comparison: c.comparison.EmptyCopy()}
	}
	return stageCounts{tally: c.tally.EmptyCopy()}
}

// merge adds what o has counted, which stays as it is. It reports whether the two are of the same
// query and step.
func (c *stageCounts) merge(o stageCounts) bool {
	o.pack()
	c.open()
	if o.compared != nil {
		return c.comparison != nil && c.comparison.Merge(o.compared)
	}
	return c.tally != nil && c.tally.Merge(o.packed)
}

// bytes estimates the memory in bytes.
func (c *stageCounts) bytes() int {
	switch {
	case c.packed != nil:
		return c.packed.Bytes()
	case c.compared != nil:
		return c.compared.Bytes()
	case c.comparison != nil:
		return c.comparison.Bytes()
	}
	return c.tally.Bytes()
}

// QueryRange evaluates a metrics query over one home. Spans of shared traces are left out; where
// they may count, their traces are named as candidates. Errors: ErrLimit, ErrUnsupported, those of
// the table.
func QueryRange(ctx context.Context, t Fetcher, r *MetricsRequest, shared Set) (*MetricsPartial, error) {
	p := &MetricsPartial{candidates: map[trace.ID]Candidate{}}
	var err error
	if p.counts, err = newCounts(r); err != nil {
		return nil, err
	}
	for i, m := range firstStages(r.Query.Root) {
		s, err := newMetricsScan(ctx, t, r, m, shared, p)
		if err != nil {
			return nil, err
		}
		if err := s.countTable(ctx, p.counts[i]); err != nil {
			return nil, err
		}
	}
	p.Pack()
	return p, nil
}

// NewMetricsPartial returns a partial of no home, into which those of all homes can be merged
// without moving what is there already: it has room for the whole range of the request.
func NewMetricsPartial(r *MetricsRequest) *MetricsPartial {
	counts, err := newCounts(r)
	if err != nil {
		return &MetricsPartial{} // makes room as it is needed
	}
	return &MetricsPartial{counts: counts}
}

// newCounts returns empty counts of each first stage of a query.
func newCounts(r *MetricsRequest) ([]stageCounts, error) {
	stages := firstStages(r.Query.Root)
	out := make([]stageCounts, len(stages))
	for i, m := range stages {
		var err error
		if out[i], err = newStageCounts(r, m, len(stages)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Pack makes the partial small. It can be merged as before.
func (p *MetricsPartial) Pack() {
	for i := range p.counts {
		p.counts[i].pack()
	}
}

// firstStages returns the first stages of a query from left to right. A stage that is written twice
// is counted once.
func firstStages(n traceql.Node) []*traceql.Metrics {
	var out []*traceql.Metrics
	seen := map[string]bool{}
	traceql.EachMetrics(n, func(m *traceql.Metrics) {
		if key := traceql.FormatNode(m); !seen[key] {
			seen[key] = true
			out = append(out, m)
		}
	})
	return out
}

// seriesWindow returns the window of the series that the request asks for.
func (r *MetricsRequest) seriesWindow() (series.Window, error) {
	if r.Instant {
		return series.NewInstant(r.Start, r.End)
	}
	return series.NewWindow(r.Start, r.End, r.Step)
}

// wantedExemplars returns how many exemplars the answer may have. The query's hint overrides the
// request; an instant has none.
func (r *MetricsRequest) wantedExemplars() int {
	n := r.Exemplars
	if h, ok := r.Query.Hint("exemplars"); ok {
		switch {
		case h.Type == traceql.TypeInt:
			n = int(min(max(h.Int, 0), MaxExemplars))
		case h.Type == traceql.TypeBool && h.Int == 0:
			n = 0
		case h.Type == traceql.TypeBool && n == 0:
			n = MaxExemplars
		}
	}
	if r.Instant {
		return 0
	}
	return min(n, MaxExemplars)
}

// ExemplarBinWidth returns the BinWidth with which requests for parts of the range choose the
// same exemplars as r does.
func (r *MetricsRequest) ExemplarBinWidth() int64 {
	if r.BinWidth > 0 {
		return r.BinWidth
	}
	return series.BinWidthFor(r.Start, r.End, r.wantedExemplars())
}

// newStageCounts returns empty counts of one of n first stages, which share the exemplars evenly.
func newStageCounts(r *MetricsRequest, m *traceql.Metrics, n int) (stageCounts, error) {
	w, err := r.seriesWindow()
	if err != nil {
		return stageCounts{}, err
	}
	if m.Compare != nil {
		return stageCounts{comparison: series.NewComparison(w, isExtrapolated(r.Query))}, nil
	}
	s := series.Spec{
		Func:      seriesFunc(m.Func),
		Name:      m.Func,
		Window:    w,
		InSeconds: m.Field != nil && isDuration(m.Field),
		Weighted:  isExtrapolated(r.Query),
		BinWidth:  r.ExemplarBinWidth(),
	}
	if r.Instant {
		s.RatePer = r.Step
	}
	if want := r.wantedExemplars(); want > 0 {
		s.MaxExemplars = max(want/n, 1)
	}
	for _, f := range groupFields(m) {
		s.Labels = append(s.Labels, f.String())
	}
	for _, q := range m.Quantiles {
		s.Quantiles = append(s.Quantiles, q.Number())
	}
	return stageCounts{tally: series.NewTally(s)}, nil
}

// isDuration reports whether a field is an intrinsic duration, which is counted in ns and shown in
// seconds.
func isDuration(f *traceql.Field) bool {
	return f.Scope == traceql.ScopeIntrinsic && traceql.IntrinsicType(f.Name) == traceql.TypeDuration
}

// seriesFunc returns the function of a first stage other than compare().
func seriesFunc(name string) series.Func {
	switch name {
	case "rate":
		return series.Rate
	case "count_over_time":
		return series.Count
	case "min_over_time":
		return series.Min
	case "max_over_time":
		return series.Max
	case "avg_over_time":
		return series.Avg
	case "sum_over_time":
		return series.Sum
	case "quantile_over_time":
		return series.Quantile
	case "histogram_over_time":
		return series.Histogram
	}
	panic("BUG: no metrics function " + name)
}

// groupFields returns the fields of by(), each once.
func groupFields(m *traceql.Metrics) []*traceql.Field {
	var out []*traceql.Field
	for _, f := range m.By {
		if !slices.ContainsFunc(out, func(o *traceql.Field) bool { return o.String() == f.String() }) {
			out = append(out, f)
		}
	}
	return out
}

// Merge adds the partial result of another home, or of several. Both must be of the same query and
// step, otherwise Merge panics; their ranges may be different parts of time. o stays as it is.
func (p *MetricsPartial) Merge(o *MetricsPartial) {
	if len(p.counts) == 0 {
		for i := range o.counts {
			p.counts = append(p.counts, o.counts[i].emptyCopy())
		}
	}
	for i := range o.counts {
		if i >= len(p.counts) || !p.counts[i].merge(o.counts[i]) {
			panic("BUG: partial results of different metrics queries or steps are merged")
		}
	}
	p.cutsTraces = p.cutsTraces || o.cutsTraces
	for _, c := range o.candidates {
		p.noteCandidate(c)
	}
}

// noteCandidate adds a trace that must be evaluated as a whole, from all its homes.
func (p *MetricsPartial) noteCandidate(c Candidate) {
	if p.candidates == nil {
		p.candidates = map[trace.ID]Candidate{}
	}
	if old, ok := p.candidates[c.ID]; ok {
		c = c.join(old)
	}
	p.candidates[c.ID] = c
}

// Candidates returns the traces that must be evaluated as a whole, ordered by id.
func (p *MetricsPartial) Candidates() []Candidate {
	out := make([]Candidate, 0, len(p.candidates))
	for _, c := range p.candidates {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Candidate) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return out
}

// Size estimates the memory of the partial in bytes.
func (p *MetricsPartial) Size() int64 {
	n := int64(64 + 72*len(p.candidates))
	for i := range p.counts {
		n += int64(p.counts[i].bytes())
	}
	return n
}

// checkSeriesMemory returns ErrLimit if counts or series of so many bytes take too much memory.
func checkSeriesMemory(bytes int) error {
	if bytes <= MaxMemory {
		return nil
	}
	return fmt.Errorf("%w: its series take more than %d MiB; "+
		"group by fewer fields, filter, or ask for a longer step", ErrLimit, MaxMemory>>20)
}
