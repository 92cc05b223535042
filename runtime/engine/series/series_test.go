package series

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// same compares sets bit for bit.
func same(a, b Set) error {
	if len(a.Series) != len(b.Series) {
		return fmt.Errorf("%d series, not %d", len(a.Series), len(b.Series))
	}
	for i := range a.Series {
		x, y := a.Series[i], b.Series[i]
		if !slices.Equal(x.Labels, y.Labels) {
			return fmt.Errorf("series %d: labels %v, not %v", i, x.Labels, y.Labels)
		}
		for k := range x.Values {
			if math.Float64bits(x.Values[k]) != math.Float64bits(y.Values[k]) {
				return fmt.Errorf("series %v, interval %d: %v, not %v", x.Labels, k, x.Values[k], y.Values[k])
			}
		}
		if !slices.EqualFunc(x.Exemplars, y.Exemplars, func(a, b Exemplar) bool {
			return a.Time == b.Time && a.Interval == b.Interval && math.Float64bits(a.Value) == math.Float64bits(b.Value) && slices.Equal(a.Labels, b.Labels)
		}) {
			return fmt.Errorf("series %v: exemplars %v, not %v", x.Labels, x.Exemplars, y.Exemplars)
		}
	}
	return nil
}

// event is a span as a Tally sees it.
type event struct {
	trace  trace.ID
	start  int64
	labels []Value
	num    int64
	float  float64
	is     byte // i, f or 0: no number
	weight uint64
}

var someValues = []Value{{}, String("a"), String("b"), String("nil"), String("1"), Int(1), Int(-1), Float(1),
	Float(0.5), Bool(true), String("")}

func someEvents(r *rand.Rand, n, labels int, end int64) []event {
	floats := []float64{0.1, 1e300, -1e300, 1e-300, 3, -0.1, math.Copysign(0, -1), 5e-324, 1 << 60, 1e16, math.NaN()}
	out := make([]event, n)
	for i := range out {
		e := &out[i]
		e.trace = trace.ID{0: byte(r.IntN(40)), 15: 1}
		e.start = r.Int64N(end+20) - 10
		e.weight = UnitWeight/4 + r.Uint64N(8*UnitWeight)
		for range labels {
			e.labels = append(e.labels, someValues[r.IntN(len(someValues))])
		}
		switch r.IntN(5) {
		case 0, 1:
			e.is, e.num = 'i', r.Int64N(1<<uint(1+r.IntN(62)))-5
		case 2:
			e.is, e.num = 'i', []int64{math.MaxInt64, math.MinInt64, 0, 1, 2, -1}[r.IntN(6)]
		case 3:
			e.is, e.float = 'f', floats[r.IntN(len(floats))]*float64(r.IntN(3)+1)
		}
	}
	return out
}

// count counts events as an evaluation does.
func count(t testing.TB, s Spec, events []event) *Tally {
	tally := NewTally(s)
	var starts []int64
	for _, e := range events {
		starts = append(starts, e.start)
	}
	rows, ivs := s.Window.LocateRows(starts, nil, nil, nil)
	group := func(rows []uint32) []uint32 {
		columns := make([][]uint32, len(s.Labels))
		for label := range columns {
			for _, r := range rows {
				columns[label] = append(columns[label], tally.Groups.EncodeValue(label, events[r].labels[label]))
			}
		}
		dst := make([]uint32, len(rows))
		tally.Groups.NumberRows(columns, dst)
		return dst
	}
	weights := func(rows []uint32) (out []uint64) {
		if s.Weighted {
			for _, r := range rows {
				out = append(out, events[r].weight)
			}
		}
		return out
	}
	pick := func(rows, groups []uint32) {
		if len(rows) == 0 {
			return
		}
		err := tally.PickExemplars(starts, rows, func(i int, p *ExemplarSpan) (bool, error) {
			e := events[rows[i]]
			p.Trace, p.Row, p.Group = e.trace, rows[i], groups[i]
			switch {
			case !s.Func.UsesValues():
				return true, nil
			case e.is == 'i':
				return tally.SetExemplarInt(p, e.num), nil
			case e.is == 'f':
				return tally.SetExemplarFloat(p, e.float), nil
			}
			return false, nil
		}, func(p *ExemplarSpan) error {
			p.Labels = []Label{{"trace", String(p.Trace.String())}, {"number", Int(events[p.Row].num)}}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !s.Func.UsesValues() {
		groups := group(rows)
		pick(rows, groups)
		tally.CountSpans(groups, ivs, weights(rows))
		return tally
	}
	var ri, rf, ii, fi []uint32
	var ints []int64
	var floats []float64
	for k, r := range rows {
		switch e := events[r]; e.is {
		case 'i':
			ri, ii, ints = append(ri, r), append(ii, ivs[k]), append(ints, e.num)
		case 'f':
			rf, fi, floats = append(rf, r), append(fi, ivs[k]), append(floats, e.float)
		}
	}
	gi, gf := group(ri), group(rf)
	pick(ri, gi)
	pick(rf, gf)
	tally.AddInts(gi, ii, ints, weights(ri))
	tally.AddFloats(gf, fi, floats, weights(rf))
	return tally
}

// The series must be the same, bit for bit, however events are split into tallies, in whatever
// order the tallies are merged, and whichever part of the window each of them has: what is packed
// is all that was counted, and it does not change.
func TestMergeIsAssociativeAndCommutative(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		step := int64(r.IntN(30) + 1)
		start, end := step*int64(r.IntN(3)), step*int64(r.IntN(60)+4)
		w, err := NewWindow(start, end, step)
		if err != nil {
			t.Fatal(err)
		}
		s := Spec{Func: Func(r.IntN(8)), Name: "f", Window: w, Labels: []string{"x", "y", "z"}[:r.IntN(4)],
			InSeconds: r.IntN(2) == 0, Weighted: r.IntN(4) == 0,
			Quantiles: []float64{0, .5, .9, 1}, MaxExemplars: r.IntN(12)}
		s.BinWidth = BinWidthFor(start, end, s.MaxExemplars)
		events := someEvents(r, r.IntN(400), len(s.Labels), end)
		want := count(t, s, events).MakeSeries(w)

		parts := make([][]event, r.IntN(6)+1)
		for _, e := range events {
			k := int(e.trace[0]) % len(parts)
			parts[k] = append(parts[k], e)
		}
		tallies := make([]*Tally, len(parts))
		for i, p := range parts {
			part := s
			if lo, hi := start/step, end/step; r.IntN(2) == 0 { // the window only as far as needed
				for _, e := range p {
					if w.IntervalOf(e.start) >= 0 {
						lo, hi = min(lo, e.start/step-1), max(hi, e.start/step+1)
					}
				}
				if part.Window, err = NewWindow(max(lo*step, start), min(hi*step, end), step); err != nil {
					t.Fatal(err)
				}
			}
			r.Shuffle(len(p), func(i, j int) { p[i], p[j] = p[j], p[i] })
			tallies[i] = count(t, part, p)
		}
		r.Shuffle(len(tallies), func(i, j int) { tallies[i], tallies[j] = tallies[j], tallies[i] })
		for len(tallies) > 1 {
			i := r.IntN(len(tallies) - 1)
			packed, before := tallies[i+1].Pack(), tallies[i+1].MakeSeries(w)
			if !tallies[i].Merge(packed) {
				t.Fatalf("seed %d: windows of one step do not merge", seed)
			}
			alone := packed.NewTally()
			alone.Merge(packed)
			if err := same(alone.MakeSeries(w), before); err != nil {
				t.Fatalf("seed %d: packed it is another: %v", seed, err)
			}
			if !reflect.DeepEqual(packed, tallies[i+1].Pack()) {
				t.Fatalf("seed %d: what was packed has changed", seed)
			}
			tallies = slices.Delete(tallies, i+1, i+2)
		}
		if err := same(tallies[0].MakeSeries(w), want); err != nil {
			t.Fatalf("seed %d, %+v: %v", seed, s, err)
		}
	}
}

// Every function must yield the same as a plain computation over the events of each series and
// interval.
func TestAgainstPlainComputation(t *testing.T) {
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 2))
		step := int64(r.IntN(30) + 1)
		end := step * int64(r.IntN(50)+2)
		w, _ := NewWindow(0, end, step)
		s := Spec{Func: Func(r.IntN(6)), Name: "f", Window: w, Labels: []string{"x"}[:r.IntN(2)],
			InSeconds: r.IntN(2) == 0}
		events := someEvents(r, 300, len(s.Labels), end)
		got := count(t, s, events).MakeSeries(w)
		for _, x := range got.Series {
			for iv, v := range x.Values {
				var mine []event
				for _, e := range events {
					t1 := w.IntervalEnd(iv)
					if e.start <= t1-step || e.start > t1 {
						continue
					}
					if len(s.Labels) > 0 {
						want := x.Labels[0].Value
						if e.labels[0] != want && !(want == String("nil") && e.labels[0] == Value{}) {
							continue
						}
					}
					mine = append(mine, e)
				}
				if want := plain(s, mine); math.Float64bits(want) != math.Float64bits(v) && !(want != want && v != v) {
					t.Fatalf("seed %d, function %d, series %v, interval %d: %v, not %v", seed, s.Func, x.Labels, iv,
						v, want)
				}
			}
		}
	}
}

func plain(s Spec, events []event) float64 {
	switch s.Func {
	case Rate:
		return float64(len(events)) / (float64(s.Window.Step()) / 1e9)
	case Count:
		return float64(len(events))
	}
	sum, n := new(big.Rat), 0
	lo, hi := math.Inf(1), math.Inf(-1)
	exact := true // only integers
	for _, e := range events {
		v, f := new(big.Rat), e.float
		switch {
		case e.is == 'i':
			f = float64(e.num)
			if v.SetInt64(e.num); s.InSeconds {
				v.Quo(v, big.NewRat(1e9, 1))
			}
		case e.is == 'f' && f == f:
			v.SetFloat64(f)
			exact = false
		default:
			continue
		}
		sum.Add(sum, v)
		n++
		lo, hi = min(lo, f), max(hi, f)
	}
	if n == 0 {
		return math.NaN()
	}
	switch s.Func {
	case Min, Max:
		if s.Func == Max {
			lo = hi
		}
		if s.InSeconds {
			return lo / 1e9
		}
		return lo
	}
	if exact && s.Func == Avg {
		f, _ := sum.Quo(sum, new(big.Rat).SetInt64(int64(n))).Float64()
		return f
	}
	if !exact && s.InSeconds { // no query mixes durations and floats: the floats count as they are, in ns
		sum.SetInt64(0)
		for _, e := range events {
			if e.is == 'i' {
				sum.Add(sum, new(big.Rat).SetInt64(e.num))
			} else if e.is == 'f' && e.float == e.float {
				sum.Add(sum, new(big.Rat).SetFloat64(e.float))
			}
		}
	}
	f, _ := sum.Float64()
	if s.Func == Avg {
		return f / float64(n)
	}
	return f
}

// Spans of weight n count as n spans do: in counts, sums, means, buckets and quantiles, but not in
// extremes.
func TestWeights(t *testing.T) {
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 4))
		w, _ := NewWindow(0, 100, 10)
		s := Spec{Func: Func(r.IntN(8)), Name: "f", Window: w, Labels: []string{"x"}[:r.IntN(2)],
			InSeconds: r.IntN(2) == 0, Quantiles: []float64{.1, .5, .9}}
		events := someEvents(r, 100, len(s.Labels), 100)
		var many []event
		for i := range events {
			n := 1 + r.IntN(4)
			events[i].weight = uint64(n) * UnitWeight
			for range n {
				many = append(many, events[i])
			}
		}
		weighted := s
		weighted.Weighted = true
		got, want := count(t, weighted, events).MakeSeries(w), count(t, s, many).MakeSeries(w)
		if len(got.Series) != len(want.Series) {
			t.Fatalf("seed %d: %d series, not %d", seed, len(got.Series), len(want.Series))
		}
		for i, x := range want.Series {
			for k, v := range x.Values {
				g := got.Series[i].Values[k]
				if v == v && math.Abs(g-v) > 1e-12*math.Abs(v) || (v == v) != (g == g) {
					t.Fatalf("seed %d, function %d, series %v: %v, not %v", seed, s.Func, x.Labels, g, v)
				}
			}
		}
	}
}

// A sum of floats is the exact sum rounded once, for all finite floats.
func TestExactSum(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 3))
		want, parts := new(big.Rat), [3]Exact{}
		for range r.IntN(40) {
			f := math.Float64frombits(r.Uint64())
			if r.IntN(3) == 0 {
				f = math.Ldexp(r.Float64()-.5, r.IntN(8)-1074+r.IntN(3)*1000)
			}
			if f != f || math.IsInf(f, 0) {
				continue
			}
			for range 1 + r.IntN(2)*r.IntN(5) {
				want.Add(want, new(big.Rat).SetFloat64(f))
				parts[r.IntN(3)].Add(f)
			}
		}
		if r.IntN(2) == 0 {
			hi, lo := int64(r.Uint64())>>r.IntN(64), r.Uint64()
			n := new(big.Int).Lsh(big.NewInt(hi), 64)
			want.Add(want, new(big.Rat).SetInt(n.Add(n, new(big.Int).SetUint64(lo))))
			parts[0].AddInt(hi, lo)
		}
		parts[1].propagateCarries()
		parts[1].Merge(&parts[2])
		parts[0].Merge(&parts[1])
		f, _ := want.Float64()
		if got := parts[0].Float(); got != f {
			t.Fatalf("seed %d: %v, not %v", seed, got, f)
		}
	}
	var e Exact
	e.Add(math.Inf(1))
	if e.Float() != math.Inf(1) {
		t.Error("+Inf is lost")
	}
	if e.Add(math.Inf(-1)); e.Float() == e.Float() {
		t.Error("+Inf and -Inf have a sum")
	}
}

// Carries must not overflow, however many numbers are added before they are propagated.
func TestExactSumOfMany(t *testing.T) {
	var e Exact
	for range 3 {
		e.Add(1)
		e.pending = maxPending - 1
		e.Add(math.MaxUint32)
		c := e.Clone()
		c.pending = maxPending - 1
		e.Merge(c)
	}
	if got, want := e.Float(), 14*(1+math.MaxUint32); got != float64(want) {
		t.Errorf("%v, not %v", got, want)
	}
}

// Every start must fall into the interval that a division puts it in, also at the edges.
func TestWindow(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		step := 1 + r.Int64N(1<<uint(r.IntN(50)+1))
		start := r.Int64N(1<<uint(r.IntN(61)+1)) - 1000
		end := start + 1 + r.Int64N(step*50)
		w, err := NewWindow(start, end, step)
		if r.IntN(5) == 0 {
			w, err = NewInstant(start, end)
		}
		if err != nil {
			t.Fatal(err)
		}
		times := []int64{start, start + 1, end, end + 1, math.MaxInt64, -5}
		for i := range min(w.Intervals(), 5) {
			times = append(times, w.IntervalEnd(i)-1, w.IntervalEnd(i), w.IntervalEnd(i)+1)
		}
		for range 20 {
			times = append(times, start+r.Int64N(end-start+2))
		}
		rows, ivs := w.LocateRows(times, nil, []uint32{7}, nil)
		if rows[0] != 7 {
			t.Fatal("what was there is gone")
		}
		some, ivs2 := w.LocateRows(times, []uint32{0, 2, 3}, nil, nil)
		at, rows := 0, rows[1:]
		for i, x := range times {
			of := w.IntervalOf(x)
			in := x > start && x <= end && x >= 0 // no span starts before 0: as a uint64 it would start after 2⁶³
			if !in {
				if at < len(rows) && rows[at] == uint32(i) {
					t.Fatalf("(%d, %d]/%d has %d", start, end, step, x)
				}
				continue
			}
			if at >= len(rows) || rows[at] != uint32(i) || int(ivs[at]) != of {
				t.Fatalf("(%d, %d]/%d: %d is not found in interval %d", start, end, step, x, of)
			}
			if hi := w.IntervalEnd(of); x > hi || x <= hi-w.Step() {
				t.Fatalf("(%d, %d]/%d: %d is in the interval that ends at %d", start, end, step, x, hi)
			}
			if k := slices.Index(some, uint32(i)); (i == 0 || i == 2 || i == 3) && (k < 0 || ivs2[k] != ivs[at]) {
				t.Fatalf("row %d is not found among the selected", i)
			}
			at++
		}
	}
	for _, bad := range [][3]int64{{0, 0, 1}, {5, 1, 1}, {0, 10, 0}, {0, 10, -1}, {math.MinInt64, math.MaxInt64, 5},
		{0, math.MaxInt64, 1}, {math.MinInt64, math.MinInt64 + 1, 1000}} {
		if _, err := NewWindow(bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("%v makes a window", bad)
		}
	}
}

// Default steps must be those that the API documents. A range moves to multiples of the step and
// begins one step earlier.
func TestSteps(t *testing.T) {
	const s = int64(1e9)
	for _, c := range []struct{ d, want int64 }{
		{10 * s, 50e6}, {59 * s, 200e6}, {60 * s, s}, {3600 * s, 15 * s}, {6 * 3600 * s, 60 * s},
		{24 * 3600 * s, 300 * s}, {25 * 3600 * s, 300 * s}, {1000 * 3600 * s, 4 * 3600 * s}, {240 * s, s},
		{600 * s, 2 * s},
		{1200 * s, 5 * s}, {241 * 5 * s, 5 * s},
	} {
		if got := DefaultStep(1000*s, 1000*s+c.d); got != c.want {
			t.Errorf("default step of %d s is %d ns, not %d", c.d/s, got, c.want)
		}
	}
	if a, b := AlignRange(10, 170, 60); a != -60 || b != 180 {
		t.Errorf("aligned to (%d, %d]", a, b)
	}
	if a, b := AlignRange(60, 180, 60); a != 0 || b != 180 {
		t.Errorf("aligned to (%d, %d]", a, b)
	}
	if n := LeastStep(0, 120*s, 10000); n != 12e6 {
		t.Errorf("least step %d", n)
	}
}

// Of two spans with equal keys the trace ids must decide. A trace has one exemplar, and only spans
// that may be kept are asked for their values.
func TestExemplars(t *testing.T) {
	w, _ := NewWindow(0, 100, 10)
	tally := NewTally(Spec{Window: w, MaxExemplars: 4, BinWidth: BinWidthFor(0, 100, 4)})
	starts := []int64{5, 5, 5, 5, 60, 70, 80}
	ids := []byte{9, 3, 3, 7, 3, 1, 2}
	err := tally.PickExemplars(starts, []uint32{0, 1, 2, 3, 4, 5, 6}, func(i int, p *ExemplarSpan) (bool, error) {
		p.Trace, p.Row = trace.ID{ids[i]}, uint32(i)
		return true, nil
	}, func(p *ExemplarSpan) error {
		p.Labels = []Label{{"n", Int(-int64(p.Row))}} // "-1" comes before "-2"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	e := &tally.Exemplars
	var rows []uint32
	for _, p := range e.chosenIn(&w) {
		rows = append(rows, p.Row)
	}
	traces := map[byte]bool{}
	for _, r := range rows {
		traces[ids[r]] = true
	}
	if len(rows) != 4 || len(traces) != 4 || slices.Contains(rows, 2) {
		t.Errorf("rows %v stand for the series", rows)
	}
}

// If enough traces count, there must be as many exemplars as were asked for, wherever in the range
// the spans lie, and the same ones in whatever order and parts the spans come.
func TestAsManyExemplarsAsAskedFor(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for round := range 300 {
		start, end, step := int64(1000), int64(1000+10*(1+r.Int64N(100))), int64(10)
		n, spans := 1+r.IntN(maxPerBin), 1+r.IntN(100)
		w, _ := NewWindow(start, end, step)
		starts := make([]int64, spans)
		at, width := start+1+r.Int64N(end-start), 1+r.Int64N(end-start)
		for i := range starts { // all of them in one part of the range
			starts[i] = min(at+r.Int64N(width), end)
		}
		binWidth := BinWidthFor(start, end, n)
		tally := func(part []int) *Tally {
			out := NewTally(Spec{Window: w, MaxExemplars: n, BinWidth: binWidth})
			for _, i := range part {
				err := out.PickExemplars(starts, []uint32{uint32(i)}, func(_ int, p *ExemplarSpan) (bool, error) {
					p.Trace = trace.ID{1: byte(i)}
					return true, nil
				}, func(p *ExemplarSpan) error { p.Labels = []Label{}; return nil })
				if err != nil {
					t.Fatal(err)
				}
			}
			return out
		}
		order := r.Perm(spans)
		one := tally(order).Exemplars.chosenIn(&w)
		if len(one) != min(n, spans) {
			t.Fatalf("round %d: %d exemplars of %d spans, asked for %d", round, len(one), spans, n)
		}
		cut := r.IntN(spans + 1)
		a, b := tally(order[cut:]), tally(order[:cut])
		a.mergeExemplars(b.Exemplars.list(), b.spec.BinWidth, []uint32{0})
		if two := a.Exemplars.chosenIn(&w); !reflect.DeepEqual(one, two) {
			t.Fatalf("round %d: %v, in parts %v", round, one, two)
		}
	}
}

// It must make no difference whether the rows of a page are listed or all of them are meant.
func TestPickAll(t *testing.T) {
	w, _ := NewWindow(0, 1000, 10)
	r := rand.New(rand.NewPCG(3, 5))
	starts, rows := make([]int64, 500), make([]uint32, 500)
	for i := range starts {
		starts[i], rows[i] = 1+r.Int64N(1000), uint32(i)
	}
	chosen := func(rows []uint32) []ExemplarSpan {
		tally := NewTally(Spec{Window: w, MaxExemplars: 20, BinWidth: BinWidthFor(0, 1000, 20)})
		err := tally.PickExemplars(starts, rows, func(i int, p *ExemplarSpan) (bool, error) {
			p.Trace, p.Row = trace.ID{byte(i % 100)}, uint32(i)
			return true, nil
		}, func(p *ExemplarSpan) error {
			p.Labels = []Label{{"row", Int(int64(p.Row))}}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return tally.Exemplars.chosenIn(&w)
	}
	listed, all := chosen(rows), chosen(nil)
	if len(listed) < 10 || !reflect.DeepEqual(listed, all) {
		t.Errorf("of the rows listed %v are chosen, of all %v", listed, all)
	}
}

// Values, totals and the choice of the top values must be the same in whatever parts spans are
// compared. If there are too many values, those with the least hashes must be counted exactly.
func TestComparison(t *testing.T) {
	w, _ := NewWindow(0, 100, 10)
	r := rand.New(rand.NewPCG(1, 9))
	type item struct {
		side  int
		value Value
		iv    uint32
	}
	var items []item
	for range 20000 {
		v := Int(r.Int64N(20000))
		if r.IntN(3) == 0 {
			v = someValues[1+r.IntN(4)]
		}
		items = append(items, item{r.IntN(2), v, uint32(r.IntN(10))})
	}
	run := func(items []item) *Comparison {
		c := NewComparison(w, false)
		f := c.Field("span.x")
		for i := 0; i < len(items); i += 500 {
			for side := range 2 {
				var groups, ivs []uint32
				for _, x := range items[i:min(i+500, len(items))] {
					if x.side != side {
						continue
					}
					f.CountTotal(side, x.iv, 1)
					if n, ok := f.NumberOf(x.value); ok {
						groups, ivs = append(groups, GroupOf(side, n)), append(ivs, x.iv)
					}
				}
				f.CountSpans(groups, ivs, nil)
				f.PruneValues()
			}
		}
		return c
	}
	whole := run(items).MakeSeries(w, 20)
	counts := map[item]int{}
	for _, x := range items {
		x.iv = 0
		counts[x]++
	}
	for _, s := range whole.Series {
		if n := len(s.Labels); n != 2 || s.Labels[1].Name != "span.x" {
			t.Fatalf("labels %v", s.Labels)
		}
		side := slices.Index([]string{"baseline", "selection"}, s.Labels[0].Value.Text)
		if side < 0 {
			continue
		}
		sum := 0.0
		for _, v := range s.Values {
			sum += v
		}
		if want := counts[item{side, s.Labels[1].Value, 0}]; int(sum) != want {
			t.Errorf("%v: %v spans, not %d", s.Labels, sum, want)
		}
	}
	for k := range 4 {
		r.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		a, b := run(items[:700*k*k*k]), run(items[700*k*k*k:])
		if k%2 == 1 {
			a, b = b, a
		}
		empty := NewComparison(w, false)
		for _, part := range []*Comparison{a, b} {
			packed, before := part.Pack(), part.MakeSeries(w, 20)
			alone := packed.NewComparison()
			if alone.Merge(packed); same(alone.MakeSeries(w, 20), before) != nil {
				t.Fatal("packed it is another")
			}
			empty.Merge(packed)
		}
		if err := same(empty.MakeSeries(w, 20), whole); err != nil {
			t.Fatal(err)
		}
	}
	if len(whole.Series) != 20*2+2+1 {
		t.Errorf("%d series", len(whole.Series))
	}
}

// Counts of a histogram must be right beyond 32 bits, in whatever parts they are added.
func TestLargeCounts(t *testing.T) {
	w, _ := NewWindow(0, 10, 10)
	r := rand.New(rand.NewPCG(5, 5))
	for range 50 {
		all := NewTally(Spec{Func: Histogram, Window: w, Weighted: true})
		sums := map[float64]uint64{}
		for range 1 + r.IntN(8) {
			part := all.EmptyCopy()
			for range 1 + r.IntN(8) {
				code, weight := 1+r.IntN(9), uint64(1)<<r.IntN(52)+r.Uint64N(100)
				part.AddInts(nil, []uint32{0}, []int64{1 << code}, []uint64{weight})
				sums[math.Exp2(float64(code))] += weight
			}
			all.Merge(part.Pack())
		}
		series := all.MakeSeries(w).Series
		if len(series) != len(sums) {
			t.Fatalf("%d buckets, not %d", len(series), len(sums))
		}
		for _, s := range series {
			bound := math.Float64frombits(s.Labels[0].Value.Num)
			if want := float64(sums[bound]) / UnitWeight; s.Values[0] != want {
				t.Fatalf("bucket %v has %v, not %v", bound, s.Values[0], want)
			}
		}
	}
}

// Selection must agree with sorting, whatever repeats.
func TestSelectLeast(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for range 2000 {
		keys := make([]uint64, 1+r.IntN(60))
		for i := range keys {
			keys[i] = r.Uint64N(1 + r.Uint64N(90))
		}
		n := r.IntN(len(keys))
		sorted := slices.Sorted(slices.Values(keys))
		if got := selectLeast(slices.Clone(keys), n); got != sorted[n] {
			t.Fatalf("%d of %v is %d, not %d", n, keys, got, sorted[n])
		}
	}
}

// Values that share a hash must be counted apart.
func TestValuesOfOneHash(t *testing.T) {
	w, _ := NewWindow(0, 10, 10)
	f := NewComparison(w, false).Field("span.x")
	for round := range 3 {
		for i := range 100 {
			f.CountInGroup(GroupOf(Selection, f.numberHashed(7, Int(int64(i)))), 0, uint64(i))
		}
		for n, v := range f.values {
			if got := f.counts.sum(int(GroupOf(Selection, uint32(n))), 0, 1); got != uint64(round+1)*v.Num {
				t.Fatalf("%d spans have %v, not %d", got, v, uint64(round+1)*v.Num)
			}
		}
	}
	if len(f.values) != 100 {
		t.Errorf("%d values", len(f.values))
	}
}

// Ties of topk must go to the first series and those of bottomk to the last. The other samples are
// dropped.
func TestTop(t *testing.T) {
	make3 := func() Set {
		w, _ := NewWindow(0, 3, 1)
		var s Set
		s.Window = w
		for i, v := range [][]float64{{2, 0, 0}, {0, 2, 0}, {0, 0, math.NaN()}} {
			s.Series = append(s.Series, Series{Labels: []Label{{"x", String(string(rune('a' + i)))}}, Values: v})
		}
		return s
	}
	text := func(s Set) (out string) {
		for _, x := range s.Series {
			out += fmt.Sprint(x.Labels[0].Value, x.Values)
		}
		return out
	}
	s := make3()
	if s.KeepTop(1, false); text(s) != "a [2 NaN 0]b [NaN 2 NaN]" {
		t.Error(text(s))
	}
	s = make3()
	if s.KeepTop(2, true); text(s) != "a [NaN 0 0]b [0 NaN 0]c [0 0 NaN]" {
		t.Error(text(s))
	}
	s = make3()
	if s.KeepTop(3, true); text(s) != text(make3()) {
		t.Error(text(s))
	}
}
