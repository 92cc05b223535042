package series

import (
	"cmp"
	"math"
	"math/big"
	"slices"
)

// Set makes the series of what was counted in a window. The Tally stays as it is.
func (t *Tally) Set(w Window) Set {
	s := Set{Window: w}
	if t.spec.Func.Bucketed() {
		t.bucketSeries(&s)
	} else {
		t.cellSeries(&s)
	}
	s.drop()
	s.sort()
	return s
}

// SetBytes returns the memory that Set takes for its samples at most, in bytes.
func (t *Tally) SetBytes(w *Window) int {
	n := t.Groups.Len() * w.n * 8
	switch t.spec.Func {
	case Quantile:
		return n * len(t.spec.Quantiles)
	case Histogram:
		return min(n*64, len(t.buckets)*w.n*8)
	}
	return n
}

// samples returns the values of a new series.
func samples(w *Window, empty float64) []float64 {
	v := make([]float64, w.n)
	if empty != 0 {
		for i := range v {
			v[i] = empty
		}
	}
	return v
}

// labels returns the labels of a group's series: the name of the function where there are no
// others.
func (t *Tally) labels(group int) []Label {
	if len(t.spec.Labels) == 0 {
		return []Label{{NameLabel, String(t.spec.Name)}}
	}
	return t.Groups.Labelled(group, t.spec.Labels)
}

// cellSeries makes one series of each group that counted something; an ungrouped count has its
// series in any case.
func (t *Tally) cellSeries(s *Set) {
	empty := math.NaN()
	if !t.spec.Func.Valued() {
		empty = 0
	}
	at := make([]int, t.Groups.Len()) // group -> index of its series + 1
	of := func(group int) *Series {
		if at[group] == 0 {
			s.Series = append(s.Series, Series{Labels: t.labels(group), Values: samples(&s.Window, empty)})
			at[group] = len(s.Series)
		}
		return &s.Series[at[group]-1]
	}
	if !t.spec.Func.Valued() && len(t.spec.Labels) == 0 {
		of(0)
	}
	shift, _ := s.Window.offset(&t.spec.Window)
	for c, n := range t.counts {
		if n == 0 {
			continue
		}
		if group, iv := t.cells.of(uint32(c)); iv+shift >= 0 && iv+shift < s.Window.n {
			of(group).Values[iv+shift] = t.value(c, &s.Window)
		}
	}
	for _, p := range t.Exemplars.all(&s.Window) {
		if at[p.Group] == 0 {
			continue
		}
		x := of(int(p.Group))
		e := p.exemplar(&s.Window)
		if !t.spec.Func.Valued() {
			e.Value = x.Values[e.Interval]
		}
		x.Exemplars = append(x.Exemplars, e)
	}
}

func (p *Picked) exemplar(w *Window) Exemplar {
	return Exemplar{Trace: p.Trace, Labels: p.Labels, Time: p.Start, Interval: w.Of(p.Start), Value: p.Value}
}

// value returns the sample of a cell that counted something.
func (t *Tally) value(c int, w *Window) float64 {
	switch t.spec.Func {
	case Rate:
		return float64(t.counts[c]) / t.spec.one() / (float64(cmp.Or(t.spec.Per, w.step)) / 1e9)
	case Count:
		return float64(t.counts[c]) / t.spec.one()
	case Min, Max:
		if t.spec.Seconds {
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
		divisor, shift = One, oneBits
	}
	if t.spec.Func == Avg {
		divisor = t.counts[c]
	}
	if c >= len(t.exact) || t.exact[c] == nil {
		if t.spec.Seconds {
			return quotient(hi, lo, divisor, 1_000_000_000)
		}
		return quotient(hi, lo, divisor, 1)
	}
	sum := t.exact[c].Clone()
	sum.addShifted(hi, lo, shift)
	if t.spec.Func == Sum {
		return sum.Float()
	}
	return sum.Float() / (float64(divisor) / t.spec.one())
}

// quotient returns the integer hi·2⁶⁴ + lo divided by d1·d2, rounded once.
func quotient(hi int64, lo uint64, d1, d2 uint64) float64 {
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

// bucketSeries makes the series of quantiles and histograms.
func (t *Tally) bucketSeries(s *Set) {
	picked := map[uint32][]Picked{}
	for _, p := range t.Exemplars.all(&s.Window) {
		picked[p.Group] = append(picked[p.Group], p)
	}
	shift, _ := s.Window.offset(&t.spec.Window)
	var b bucketed
	if b.unit = 1; t.spec.Seconds {
		b.unit = 1e9
	}
	for group := range t.Groups.Len() {
		b.labels, b.of, b.overall = nil, nil, [64]float64{}
		if len(t.spec.Labels) > 0 {
			b.labels = t.labels(group)
		}
		for c := range t.cells.per {
			at := group*t.cells.per + c
			if at >= len(t.cells.dir) || t.cells.dir[at] == 0 {
				continue
			}
			for k := range t.cells.chunk() {
				iv := c<<t.cells.bits + k + shift
				if iv < 0 || iv >= s.Window.n {
					continue
				}
				if b.now = t.bucketsOf(int(t.cells.dir[at])<<t.cells.bits|k, b.now[:0]); len(b.now) > 0 {
					t.bucketSamples(s, &b, iv)
				}
			}
		}
		if len(b.of) == 0 {
			continue
		}
		for _, p := range picked[uint32(group)] {
			t.bucketExemplar(s, &b, &p)
		}
	}
}

// bucketed is the series of one group while they are made.
type bucketed struct {
	unit    float64
	labels  []Label
	now     []bucket // of one interval
	of      []int    // of a histogram by code, of quantiles by number: the series + 1
	overall [64]float64
}

// bucketsOf appends the buckets of a cell that are not empty, ascending.
func (t *Tally) bucketsOf(cell int, dst []bucket) []bucket {
	for i, n := range t.octetsAt(cell) {
		if n == 0 {
			continue
		}
		for k, count := range t.buckets[n<<3 : n<<3+8] {
			if count > 0 {
				dst = append(dst, bucket{code: uint8(i<<3 + k), count: float64(count) / t.spec.one()})
			}
		}
	}
	return dst
}

// bucketSamples makes the samples of one interval.
func (t *Tally) bucketSamples(s *Set, b *bucketed, at int) {
	add := func(l Label) int {
		s.Series = append(s.Series, Series{Labels: append(slices.Clone(b.labels), l), Values: samples(&s.Window, 0)})
		return len(s.Series)
	}
	if t.spec.Func == Histogram {
		if b.of == nil {
			b.of = make([]int, 64)
		}
		for _, x := range b.now {
			if b.of[x.code] == 0 {
				b.of[x.code] = add(Label{"__bucket", Float(bound(x.code, b.unit))})
			}
			s.Series[b.of[x.code]-1].Values[at] = x.count
		}
		return
	}
	if b.of == nil {
		for _, q := range t.spec.Quantiles {
			b.of = append(b.of, add(Label{"p", Float(q)}))
		}
	}
	for i, q := range t.spec.Quantiles {
		s.Series[b.of[i]-1].Values[at] = quantile(b.now, q, b.unit)
	}
	for _, x := range b.now {
		b.overall[x.code] += x.count
	}
}

// bucketExemplar gives an exemplar to the series it stands for: its bucket's, or the quantile's
// that is nearest to it over all of the window.
func (t *Tally) bucketExemplar(s *Set, b *bucketed, p *Picked) {
	e := p.exemplar(&s.Window)
	if t.spec.Func == Histogram {
		if n := b.of[p.code]; n > 0 {
			x := &s.Series[n-1]
			e.Value = x.Values[e.Interval]
			x.Exemplars = append(x.Exemplars, e)
		}
		return
	}
	b.now = b.now[:0]
	for code, count := range b.overall {
		if count > 0 {
			b.now = append(b.now, bucket{code: uint8(code), count: count})
		}
	}
	nearest, least := 0, math.Inf(1)
	for i, q := range t.spec.Quantiles {
		if d := math.Abs(quantile(b.now, q, b.unit) - p.Value); d < least {
			nearest, least = i, d
		}
	}
	x := &s.Series[b.of[nearest]-1]
	x.Exemplars = append(x.Exemplars, e)
}
