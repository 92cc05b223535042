package oracle

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/layout"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
	"github.com/troupe-tracing/troupe/test/kit/random"
)

var (
	seed  = flag.Uint64("seed", 1, "what the random comparison is made of")
	pairs = flag.Int("pairs", defaultPairs, "random comparisons of a query over a set of traces")
	only  = flag.Int("only", -1, "the one comparison to repeat")
)

// pair is one comparison: a request, and spans in a layout.
type pair struct {
	spans   []*otlp.Span
	layout  layout.Layout
	search  *traceql.SearchRequest
	metrics *traceql.MetricsRequest
	tags    *traceql.TagsRequest
	values  *traceql.ValuesRequest
}

// makeUp makes the i-th comparison up.
func makeUp(i int) *pair {
	r := rand.New(rand.NewPCG(*seed, uint64(i)))
	p := &pair{spans: random.Spans(r), layout: layout.All[r.IntN(len(layout.All))]}
	if r.IntN(2) == 0 {
		p.layout = layout.Random(r)
	}
	kind := r.IntN(20)
	switch {
	case kind == 0:
		p.tags = &traceql.TagsRequest{Query: random.Filter(r), End: random.Base + uint64(1+r.IntN(8))*30e9}
		return p
	case kind == 1:
		p.values = &traceql.ValuesRequest{Field: random.Field(r), Query: random.Filter(r), End: random.Base + uint64(1+r.IntN(8))*30e9}
		return p
	case kind < 12:
		p.search = &traceql.SearchRequest{Query: random.Search(r), End: math.MaxUint64, Limit: []int{1, 2, 20}[r.IntN(3)], SpansPerSpanSet: []int{1, 3, 100}[r.IntN(3)],
			Bare: r.IntN(20) == 0}
		if r.IntN(3) == 0 {
			p.search.Start = random.Base + uint64(r.IntN(8))*20e9
			p.search.End = p.search.Start + 1 + uint64(r.IntN(8))*30e9
		}
		return p
	}
	p.metrics = &traceql.MetricsRequest{Query: random.Metrics(r), Step: []int64{10e9, 60e9, 7e9}[r.IntN(3)]}
	p.metrics.Start = random.Base/p.metrics.Step*p.metrics.Step + (int64(r.IntN(6))-1)*p.metrics.Step
	p.metrics.End = p.metrics.Start + int64(1+r.IntN(6))*p.metrics.Step
	if r.IntN(6) == 0 {
		p.metrics.Instant, p.metrics.End = true, p.metrics.Start+int64(1+r.IntN(300))*1e9
		p.metrics.Step = p.metrics.End - p.metrics.Start
	}
	if r.IntN(10) == 0 {
		p.metrics.MaxSeries = 1 + r.IntN(3)
	}
	return p
}

// The engine must answer random queries over random traces in random layouts as the oracle does. With the race detector there are fewer of them:
// nothing here is concurrent.
func TestRandom(t *testing.T) {
	first, last := 0, *pairs
	if *only >= 0 {
		first, last = *only, *only+1
	}
	t.Logf("seed %d", *seed)
	failed := 0
	for i := first; i < last && failed < 10; i++ {
		p := makeUp(i)
		if p.differs() == "" {
			continue
		}
		failed++
		p.shrink()
		t.Errorf("repeat: go test ./test/oracle -run TestRandom -seed=%d -only=%d\n%s", *seed, i, p)
	}
}

// differs says how the engine's answer differs from the oracle's, "" if it does not.
func (p *pair) differs() (how string) {
	defer func() {
		if r := recover(); r != nil {
			how = fmt.Sprintf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	store, err := p.layout.Build(p.spans)
	if err != nil {
		return "build: " + err.Error()
	}
	if p.search != nil {
		got, err := store.Search(p.search)
		if err != nil {
			return err.Error()
		}
		return difference(layout.Search(got), layout.Search(Search(p.spans, p.search)))
	}
	if p.tags != nil {
		got, err := store.Tags(p.tags)
		if err != nil {
			return err.Error()
		}
		return difference(layout.Tags(got), layout.Tags(Tags(p.spans, p.tags)))
	}
	if p.values != nil {
		got, err := store.Values(p.values)
		if err != nil {
			return err.Error()
		}
		return difference(layout.Values(got), layout.Values(Values(p.spans, p.values)))
	}
	got, err := store.Metrics(p.metrics)
	if err != nil {
		return err.Error()
	}
	if want := Metrics(p.spans, p.metrics); !sameSeries(got, want) {
		return difference(layout.Metrics(got), layout.Metrics(want))
	}
	return ""
}

// difference shows the lines that only one of two answers has, "" if they are equal.
func difference(engine, oracle string) string {
	if engine == oracle {
		return ""
	}
	var b strings.Builder
	only := func(who, these, those string) {
		others := strings.Split(those, "\n")
		for _, line := range strings.Split(these, "\n") {
			if !slices.Contains(others, line) {
				b.WriteString(who + " " + line + "\n")
			}
		}
	}
	only("engine:", engine, oracle)
	only("oracle:", oracle, engine)
	if b.Len() == 0 {
		return "the order differs; engine:\n" + engine + "oracle:\n" + oracle
	}
	return b.String()
}

// sameSeries compares series, their order and samples. Samples of counts and extremes are equal, others up to the order of operations.
func sameSeries(got, want *traceql.MetricsResult) bool {
	if len(got.Series) != len(want.Series) || got.Truncated != want.Truncated {
		return false
	}
	for i, w := range want.Series {
		g := got.Series[i]
		if layout.Attributes(g.Labels) != layout.Attributes(w.Labels) || len(g.Samples) != len(w.Samples) {
			return false
		}
		for k := range w.Samples {
			if g.Samples[k].Time != w.Samples[k].Time || !near(g.Samples[k].Value, w.Samples[k].Value) {
				return false
			}
		}
	}
	return true
}

// String writes the comparison down so that it can be followed by hand.
func (p *pair) String() string {
	var b strings.Builder
	switch {
	case p.tags != nil:
		fmt.Fprintf(&b, "tags %s\n  end=%d\n", p.tags.Query, p.tags.End)
	case p.values != nil:
		fmt.Fprintf(&b, "values of %s %s\n  end=%d\n", p.values.Field, p.values.Query, p.values.End)
	case p.search != nil:
		fmt.Fprintf(&b, "search %s\n  start=%d end=%d limit=%d spss=%d\n", p.search.Query, p.search.Start, p.search.End, p.search.Limit, p.search.SpansPerSpanSet)
	default:
		fmt.Fprintf(&b, "metrics %s\n  start=%d end=%d step=%d instant=%t max=%d\n", p.metrics.Query, p.metrics.Start, p.metrics.End, p.metrics.Step, p.metrics.Instant, p.metrics.MaxSeries)
	}
	fmt.Fprintf(&b, "layout %s\n", p.layout.Name)
	for _, s := range p.spans {
		fmt.Fprintf(&b, "  trace %s span %s parent %s %q kind=%d status=%d%q start=base%+d end=base%+d", s.Trace.Short(), s.ID, s.Parent, s.Name, s.Kind, s.Status, s.Message,
			int64(s.Start)-random.Base, int64(s.End)-random.Base)
		if len(s.Attrs) > 0 {
			fmt.Fprintf(&b, " attrs=%v", s.Attrs)
		}
		if s.Resource != nil && len(s.Resource.Attrs) > 0 {
			fmt.Fprintf(&b, " resource=%v", s.Resource.Attrs)
		}
		if s.Scope != nil {
			fmt.Fprintf(&b, " scope=%v", *s.Scope)
		}
		if len(s.Events)+len(s.Links) > 0 {
			fmt.Fprintf(&b, " events=%v links=%v", s.Events, s.Links)
		}
		b.WriteString("\n")
	}
	b.WriteString(p.differs())
	return b.String()
}
