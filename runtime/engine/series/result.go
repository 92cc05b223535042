package series

import (
	"cmp"
	"math"
	"math/big"
	"slices"
)

// MakeSeries makes the series of what was counted in a window. The Tally stays as it is.
func (t *Tally) MakeSeries(w Window) Set {
	s := Set{Window: w}
	if t.spec.Func.UsesBuckets() {
		t.makeBucketSeries(&s)
	} else {
		t.makeCellSeries(&s)
	}
	s.dropEmpty()
	s.sortSeries()
	return s
}

// MaxSeriesBytes returns the memory that Set takes for its samples at most, in bytes.
func (t *Tally) MaxSeriesBytes(w *Window) int {
	n := t.Groups.Len() * w.intervals * 8
	switch t.spec.Func {
	case Quantile:
		return n * len(t.spec.Quantiles)
	case Histogram:
		return min(n*64, len(t.buckets)*w.intervals*8)
	}
	return n
}

// newSamples returns the values of a new series.
func newSamples(w *Window, empty float64) []float64 {
	v := make([]float64, w.intervals)
	if empty != 0 {
		for i := range v {
			v[i] = empty
		}
	}
	return v
}

// labelsOf returns the labels of a group's series: the name of the function where there are no
// others.
func (t *Tally) labelsOf(group int) []Label {
	if len(t.spec.Labels) == 0 {
		return []Label{{NameLabel, String(t.spec.Name)}}
	}
	return t.Groups.LabelsOf(group, t.spec.Labels)
}

// makeCellSeries makes one series of each group that counted something; an ungrouped count has its
// series in any case.
func (t *Tally) makeCellSeries(s *Set) {
	empty := math.NaN()
	if !t.spec.Func.UsesValues() {
		empty = 0
	}
	at := make([]int, t.Groups.Len()) // group -> index of its series + 1
	of := func(group int) *Series {
		if at[group] == 0 {
			s.Series = append(s.Series, Series{Labels: t.labelsOf(group), Values: newSamples(&s.Window, empty)})
			at[group] = len(s.Series)
		}
		return &s.Series[at[group]-1]
	}
	if !t.spec.Func.UsesValues() && len(t.spec.Labels) == 0 {
		of(0)
	}
	shift, _ := s.Window.intervalOffset(&t.spec.Window)
	for c, n := range t.counts {
		if n == 0 {
			continue
		}
		if group, iv := t.cells.locateCell(uint32(c)); iv+shift >= 0 && iv+shift < s.Window.intervals {
			of(group).Values[iv+shift] = t.sampleOf(c, &s.Window)
		}
	}
	for _, p := range t.Exemplars.chosenIn(&s.Window) {
		if at[p.Group] == 0 {
			continue
		}
		x := of(int(p.Group))
		e := p.toExemplar(&s.Window)
		if !t.spec.Func.UsesValues() {
			e.Value = x.Values[e.Interval]
		}
		x.Exemplars = append(x.Exemplars, e)
	}
}

func (p *ExemplarSpan) toExemplar(w *Window) Exemplar {
	return Exemplar{Trace: p.Trace, Labels: p.Labels, Time: p.Start, Interval: w.IntervalOf(p.Start), Value: p.Value}
}

// sampleOf returns the sample of a cell that counted something.
func (t *Tally) sampleOf(c int, w *Window) float64 {
	switch t.spec.Func {
	case Rate:
		return float64(t.counts[c]) / t.spec.unitCount() / (float64(cmp.Or(t.spec.RatePer, w.step)) / 1e9)
	case Count:
		return float64(t.counts[c]) / t.spec.unitCount()
	case Min, Max:
		if t.spec.InSeconds {
			return t.extremes[c] / 1e9
		}
		return t.extremes[c]
	}
	var hi int64
	var lo uint64
	if c < len(t.lo) {
		hi, lo = t.hi[c], t.lo[c]
	}
	divisor, shift := uint64(1), 0 // weights are in the sum of integers as they are in counts
	if t.spec.Weighted {
		divisor, shift = UnitWeight, unitWeightBits
	}
	if t.spec.Func == Avg {
		divisor = t.counts[c]
	}
	if c >= len(t.exact) || t.exact[c] == nil {
		if t.spec.InSeconds {
			return divideRounded(hi, lo, divisor, 1_000_000_000)
		}
		return divideRounded(hi, lo, divisor, 1)
	}
	sum := t.exact[c].Clone()
	sum.addShifted(hi, lo, shift)
	if t.spec.Func == Sum {
		return sum.Float()
	}
	return sum.Float() / (float64(divisor) / t.spec.unitCount())
}

// divideRounded returns the integer hi·2⁶⁴ + lo divided by d1·d2, rounded once.
func divideRounded(hi int64, lo uint64, d1, d2 uint64) float64 {
	const exact = 1 << 53
	if n := int64(lo); hi == n>>63 && n < exact && n > -exact && d1 < exact/d2 {
		return float64(n) / float64(d1*d2)
	}
	n := new(big.Int).Lsh(big.NewInt(hi), 64)
	n.Add(n, new(big.Int).SetUint64(lo))
	d := new(big.Int).Mul(new(big.Int).SetUint64(d1), new(big.Int).SetUint64(d2))
	f, _ := new(big.Rat).SetFrac(n, d).Float64()
	return f
}

// makeBucketSeries makes the series of quantiles and histograms.
func (t *Tally) makeBucketSeries(s *Set) {
	picked := map[uint32][]ExemplarSpan{}
	for _, p := range t.Exemplars.chosenIn(&s.Window) {
		picked[p.Group] = append(picked[p.Group], p)
	}
	shift, _ := s.Window.intervalOffset(&t.spec.Window)
	var b groupBuckets
	if b.unit = 1; t.spec.InSeconds {
		b.unit = 1e9
	}
	for group := range t.Groups.Len() {
		b.labels, b.seriesOf, b.overall = nil, nil, [64]float64{}
		if len(t.spec.Labels) > 0 {
			b.labels = t.labelsOf(group)
		}
		for c := range t.cells.chunksPerGroup {
			at := group*t.cells.chunksPerGroup + c
			if at >= len(t.cells.chunks) || t.cells.chunks[at] == 0 {
				continue
			}
			for k := range t.cells.chunkSize() {
				iv := c<<t.cells.chunkBits + k + shift
				if iv < 0 || iv >= s.Window.intervals {
					continue
				}
				if b.current = t.appendBuckets(int(t.cells.chunks[at])<<t.cells.chunkBits|k, b.current[:0]); len(b.current) > 0 {
					t.addBucketSamples(s, &b, iv)
				}
			}
		}
		if len(b.seriesOf) == 0 {
			continue
		}
		for _, p := range picked[uint32(group)] {
			t.addBucketExemplar(s, &b, &p)
		}
	}
}

// groupBuckets is the series of one group while they are made.
type groupBuckets struct {
	unit     float64
	labels   []Label
	current  []bucket // of one interval
	seriesOf []int    // of a histogram by code, of quantiles by number: the series + 1
	overall  [64]float64
}

// appendBuckets appends the buckets of a cell that are not empty, ascending.
func (t *Tally) appendBuckets(cell int, dst []bucket) []bucket {
	for i, n := range t.octetsOfCell(cell) {
		if n == 0 {
			continue
		}
		for k, count := range t.buckets[n<<3 : n<<3+8] {
			if count > 0 {
				dst = append(dst, bucket{code: uint8(i<<3 + k), count: float64(count) / t.spec.unitCount()})
			}
		}
	}
	return dst
}

// addBucketSamples makes the samples of one interval.
func (t *Tally) addBucketSamples(s *Set, b *groupBuckets, at int) {
	add := func(l Label) int {
		s.Series = append(s.Series, Series{Labels: append(slices.Clone(b.labels), l), Values: newSamples(&s.Window, 0)})
		return len(s.Series)
	}
	if t.spec.Func == Histogram {
		if b.seriesOf == nil {
			b.seriesOf = make([]int, 64)
		}
		for _, x := range b.current {
			if b.seriesOf[x.code] == 0 {
				b.seriesOf[x.code] = add(Label{"__bucket", Float(bucketBound(x.code, b.unit))})
			}
			s.Series[b.seriesOf[x.code]-1].Values[at] = x.count
		}
		return
	}
	if b.seriesOf == nil {
		for _, q := range t.spec.Quantiles {
			b.seriesOf = append(b.seriesOf, add(Label{"p", Float(q)}))
		}
	}
	for i, q := range t.spec.Quantiles {
		s.Series[b.seriesOf[i]-1].Values[at] = interpolateQuantile(b.current, q, b.unit)
	}
	for _, x := range b.current {
		b.overall[x.code] += x.count
	}
}

// addBucketExemplar gives an exemplar to the series it stands for: its bucket's, or the quantile's
// that is nearest to it over all of the window.
func (t *Tally) addBucketExemplar(s *Set, b *groupBuckets, p *ExemplarSpan) {
	e := p.toExemplar(&s.Window)
	if t.spec.Func == Histogram {
		if n := b.seriesOf[p.code]; n > 0 {
			x := &s.Series[n-1]
			e.Value = x.Values[e.Interval]
			x.Exemplars = append(x.Exemplars, e)
		}
		return
	}
	b.current = b.current[:0]
	for code, count := range b.overall {
		if count > 0 {
			b.current = append(b.current, bucket{code: uint8(code), count: count})
		}
	}
	nearest, least := 0, math.Inf(1)
	for i, q := range t.spec.Quantiles {
		if d := math.Abs(interpolateQuantile(b.current, q, b.unit) - p.Value); d < least {
			nearest, least = i, d
		}
	}
	x := &s.Series[b.seriesOf[nearest]-1]
	x.Exemplars = append(x.Exemplars, e)
}
