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
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/test/kit/layout"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
	"github.com/troupe-tracing/troupe/test/kit/random"
)

var (
	seed  = flag.Uint64("seed", 1, "what the random comparison is made of")
	pairs = flag.Int("pairs", defaultPairs, "random comparisons of a query over a set of traces")
	only  = flag.Int("only", -1, "the one comparison to repeat")
)

// pair is one comparison: a request, of which one kind is set, and spans in a layout.
type pair struct {
	spans   []*otlp.Span
	layout  layout.Layout
	search  *eval.SearchRequest
	metrics *eval.MetricsRequest
	tags    *eval.TagsRequest
	values  *eval.ValuesRequest
}

// makeUp makes the i-th comparison up.
func makeUp(i int) *pair {
	r := rand.New(rand.NewPCG(*seed, uint64(i)))
	p := &pair{spans: random.Spans(r), layout: layout.All[r.IntN(len(layout.All))]}
	if r.IntN(2) == 0 {
		p.layout = layout.Random(r)
	}
	p.ask(r, 1e9)
	return p
}

// ask makes a request up. The spans lie within about 300 units of time from the base.
func (p *pair) ask(r *rand.Rand, unit int64) {
	at := func(n int) uint64 { return random.Base + uint64(int64(n)*unit) }
	switch kind := r.IntN(20); {
	case kind == 0:
		p.tags = &eval.TagsRequest{Query: random.Filter(r), End: math.MaxUint64}
		if p.tags.Query != nil { // without a filter, blocks list rare names of all their spans
			p.tags.End = at(30 + 30*r.IntN(8))
		}
	case kind == 1:
		p.values = &eval.ValuesRequest{Field: random.Field(r), Query: random.Filter(r), End: at(30 + 30*r.IntN(8))}
	case kind < 12:
		p.search = &eval.SearchRequest{Query: random.Search(r), End: math.MaxUint64, Limit: []int{1, 2, 20}[r.IntN(3)],
			SpansPerSpanSet: []int{1, 3, 100}[r.IntN(3)],
			Bare:            r.IntN(20) == 0}
		p.search.TraceWindow = traceWindow(r)
		if r.IntN(3) == 0 {
			from := r.IntN(8) * 20
			p.search.Start, p.search.End = at(from), at(from+r.IntN(8)*30)+1
		}
	default:
		p.metrics = &eval.MetricsRequest{Query: random.Metrics(r), TraceWindow: traceWindow(r),
			Step: []int64{10, 60, 7}[r.IntN(3)] * unit}
		p.metrics.Start = random.Base/p.metrics.Step*p.metrics.Step + (int64(r.IntN(6))-1)*p.metrics.Step
		p.metrics.End = p.metrics.Start + int64(1+r.IntN(6))*p.metrics.Step
		if r.IntN(6) == 0 {
			p.metrics.Instant, p.metrics.End = true, p.metrics.Start+int64(1+r.IntN(300))*unit
			p.metrics.Step = []int64{0, p.metrics.End - p.metrics.Start, 60 * unit}[r.IntN(3)]
		}
		if r.IntN(10) == 0 {
			p.metrics.MaxSeries = 1 + r.IntN(3)
		}
	}
}

// traceWindow is that of a request: the spans of a random trace lie up to two days apart.
func traceWindow(r *rand.Rand) time.Duration {
	return []time.Duration{24 * time.Hour, 0, 48 * time.Hour}[r.IntN(3)]
}

// The engine must answer random queries over random traces in random layouts as the oracle does.
// With the race detector there are fewer of them: nothing here is concurrent.
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
	got, err := p.engine(store)
	if err != nil {
		return err.Error()
	}
	return got.differs(p.oracle(assemble(p.spans)))
}

// answer is an answer as text; of metrics the series, too.
type answer struct {
	text   string
	series *eval.MetricsResult
}

func (p *pair) engine(s *layout.Store) (answer, error) {
	switch {
	case p.search != nil:
		a, err := s.Search(p.search)
		return answer{text: layout.Search(a)}, err
	case p.tags != nil:
		a, err := s.Tags(p.tags)
		return answer{text: layout.Tags(a)}, err
	case p.values != nil:
		a, err := s.Values(p.values)
		return answer{text: layout.Values(a)}, err
	}
	a, err := s.Metrics(p.metrics)
	if err != nil {
		return answer{}, err
	}
	return answer{text: layout.Metrics(a), series: a}, nil
}

func (p *pair) oracle(traces []*aTrace) answer {
	switch {
	case p.search != nil:
		return answer{text: layout.Search(search(traces, p.search))}
	case p.tags != nil:
		return answer{text: layout.Tags(tagNames(traces, p.tags))}
	case p.values != nil:
		return answer{text: layout.Values(tagValues(traces, p.values))}
	}
	a := measure(traces, p.metrics)
	return answer{text: layout.Metrics(a), series: a}
}

// differs says how an answer of the engine differs from the oracle's.
func (a answer) differs(oracle answer) string {
	if a.series != nil && sameSeries(a.series, oracle.series) {
		return ""
	}
	return difference(a.text, oracle.text)
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

// sameSeries compares series, their order and samples. Samples of counts and extremes are equal,
// others up to the order of operations.
func sameSeries(got, want *eval.MetricsResult) bool {
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

// request writes the request down.
func (p *pair) request() string {
	switch {
	case p.tags != nil:
		return fmt.Sprintf("tags %s\n  end=%d\n", p.tags.Query, p.tags.End)
	case p.values != nil:
		return fmt.Sprintf("values of %s %s\n  end=%d\n", p.values.Field, p.values.Query, p.values.End)
	case p.search != nil:
		return fmt.Sprintf("search %s\n  start=%d end=%d limit=%d spss=%d\n", p.search.Query, p.search.Start,
			p.search.End, p.search.Limit, p.search.SpansPerSpanSet)
	}
	return fmt.Sprintf("metrics %s\n  start=%d end=%d step=%d instant=%t max=%d\n", p.metrics.Query, p.metrics.Start,
		p.metrics.End, p.metrics.Step, p.metrics.Instant,
		p.metrics.MaxSeries)
}

// String writes the comparison down so that it can be followed by hand.
func (p *pair) String() string {
	var b strings.Builder
	b.WriteString(p.request())
	fmt.Fprintf(&b, "layout %s\n", p.layout.Name)
	for _, s := range p.spans {
		fmt.Fprintf(&b, "  trace %s span %s parent %s %q kind=%d status=%d%q start=base%+d end=base%+d",
			s.Trace.Short(), s.ID, s.Parent, s.Name, s.Kind, s.Status, s.Message,
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
