package series

import (
	"cmp"
	"math"
	"math/big"
)

// MakeSeries makes the series of the window w. Its memory is bounded by MaxSeriesBytes. The Tally
// stays as it is.
func (t *Tally) MakeSeries(w Window) Set {
	s := Set{Window: w}
	if t.spec.Func.UsesBuckets() {
		t.settle()
		t.makeBucketSeries(&s)
	} else {
		t.makeCellSeries(&s)
	}
	s.dropEmpty()
	s.sortSeries()
	return s
}

// MaxSeriesBytes bounds the memory of the samples that MakeSeries will make, in bytes.
func (t *Tally) MaxSeriesBytes(w *Window) int {
	t.settle()
	n := t.Groups.Len() * w.intervals * 8
	switch t.spec.Func {
	case Quantile:
		return n * len(t.spec.Quantiles)
	case Histogram:
		return min(n*64, len(t.buckets)*w.intervals*8)
	}
	return n
}

// newSamples returns the values of a new series, each of them empty.
func newSamples(w *Window, empty float64) []float64 {
	v := make([]float64, w.intervals)
	if empty != 0 {
		for i := range v {
			v[i] = empty
		}
	}
	return v
}

// labelsOf returns the labels of a group's series. Without groups that is the name of the function.
func (t *Tally) labelsOf(group int) []Label {
	if len(t.spec.Labels) == 0 {
		return []Label{{NameLabel, String(t.spec.Name)}}
	}
	return t.Groups.LabelsOf(group, t.spec.Labels)
}

// makeCellSeries makes a series of each group that counted something in the window. A count of
// spans without groups always has its series.
//
//	counts  group 0 = cart  2 0 1         count                            cart  2 0 1
//	        group 1 = user  0 0 2         rate, in steps of 10 s           cart  0.2 0 0.1
//	                                      avg: no sample without values    user  NaN NaN 7
func (t *Tally) makeCellSeries(s *Set) {
	empty := math.NaN()
	if !t.spec.Func.UsesValues() {
		empty = 0
	}
	at := make([]int, t.Groups.Len()) // by group: the index of its series + 1; 0: none yet
	seriesOf := func(group int) *Series {
		if at[group] == 0 {
			s.Series = append(s.Series, Series{Labels: t.labelsOf(group), Values: newSamples(&s.Window, empty)})
			at[group] = len(s.Series)
		}
		return &s.Series[at[group]-1]
	}
	if !t.spec.Func.UsesValues() && len(t.spec.Labels) == 0 {
		seriesOf(0)
	}
	shift, _ := s.Window.intervalOffset(&t.spec.Window)
	for c, n := range t.counts {
		if n == 0 {
			continue
		}
		if group, iv := t.cells.locateCell(uint32(c)); iv+shift >= 0 && iv+shift < s.Window.intervals {
			seriesOf(group).Values[iv+shift] = t.sampleOf(c, &s.Window)
		}
	}
	for _, p := range t.Exemplars.chosenIn(&s.Window) {
		if at[p.Group] == 0 {
			continue
		}
		x := seriesOf(int(p.Group))
		e := p.toExemplar(&s.Window)
		if !t.spec.Func.UsesValues() {
			e.Value = x.Values[e.Interval]
		}
		x.Exemplars = append(x.Exemplars, e)
	}
}

// toExemplar returns the exemplar that an answer shows.
func (p *ExemplarSpan) toExemplar(w *Window) Exemplar {
	return Exemplar{Trace: p.Trace, Labels: p.Labels, Time: p.Start, Interval: w.IntervalOf(p.Start), Value: p.Value}
}

// sampleOf returns the sample of a cell that has counted something. w is the window of the series,
// whose step is the default unit of a rate.
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
	divisor, shift := uint64(1), 0 // a weighted sum of integers has the fixed point of the weights
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

// divideRounded returns the integer hi·2⁶⁴ + lo divided by d1·d2, rounded once to the nearest
// float.
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
