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
		return min(n*64, t.buckets.used*w.n*8)
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

// labels returns the labels of a group's series: the name of the function where there are no others.
func (t *Tally) labels(group int) []Label {
	if len(t.spec.Labels) == 0 {
		return []Label{{NameLabel, String(t.spec.Name)}}
	}
	return t.Groups.Labelled(group, t.spec.Labels)
}

// cellSeries makes one series of each group that counted something; an ungrouped count has its series in any case.
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
	return Exemplar{Labels: p.Labels, Time: p.Start, Interval: w.Of(p.Start), Value: p.Value}
}

// value returns the sample of a cell that counted something.
func (t *Tally) value(c int, w *Window) float64 {
	switch t.spec.Func {
	case Rate:
		return float64(t.counts[c]) / (float64(w.step) / 1e9)
	case Count:
		return float64(t.counts[c])
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
	divisor := uint64(1)
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
	sum.AddInt(hi, lo)
	return sum.Float() / float64(divisor)
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
	type entry struct {
		group, interval int
		bucket
	}
	var entries []entry
	shift, _ := s.Window.offset(&t.spec.Window)
	for i, key := range t.buckets.keys {
		if key == 0 {
			continue
		}
		e := entry{bucket: bucket{code: uint8(key & (1<<codeBits - 1)), count: t.buckets.counts[i]}}
		e.group, e.interval = t.cells.of(uint32(key >> codeBits))
		if e.interval += shift; e.interval >= 0 && e.interval < s.Window.n {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.interval, b.interval), cmp.Compare(a.code, b.code))
	})
	picked := map[uint32][]Picked{}
	for _, p := range t.Exemplars.all(&s.Window) {
		picked[p.Group] = append(picked[p.Group], p)
	}
	unit := 1.0
	if t.spec.Seconds {
		unit = 1e9
	}
	for len(entries) > 0 {
		group := entries[0].group
		n := slices.IndexFunc(entries, func(e entry) bool { return e.group != group })
		if n < 0 {
			n = len(entries)
		}
		mine := entries[:n]
		entries = entries[n:]
		var labels []Label
		if len(t.spec.Labels) > 0 {
			labels = t.labels(group)
		}
		add := func(l Label) *Series {
			s.Series = append(s.Series, Series{Labels: append(slices.Clone(labels), l), Values: samples(&s.Window, 0)})
			return &s.Series[len(s.Series)-1]
		}
		if t.spec.Func == Histogram {
			at := map[uint8]int{}
			for _, e := range mine {
				if _, ok := at[e.code]; !ok {
					at[e.code] = len(s.Series)
					add(Label{"__bucket", Float(bound(e.code, unit))})
				}
				s.Series[at[e.code]].Values[e.interval] = float64(e.count)
			}
			for _, p := range picked[uint32(group)] {
				if i, ok := at[p.code]; ok {
					x := &s.Series[i]
					e := p.exemplar(&s.Window)
					e.Value = x.Values[e.Interval]
					x.Exemplars = append(x.Exemplars, e)
				}
			}
			continue
		}
		from := len(s.Series)
		for _, q := range t.spec.Quantiles {
			add(Label{"p", Float(q)})
		}
		all := make([]bucket, 0, len(mine))
		for len(mine) > 0 {
			iv := mine[0].interval
			at := len(all)
			for len(mine) > 0 && mine[0].interval == iv {
				all = append(all, mine[0].bucket)
				mine = mine[1:]
			}
			for i, q := range t.spec.Quantiles {
				s.Series[from+i].Values[iv] = quantile(all[at:], q, unit)
			}
		}
		// An exemplar stands for the quantile that is nearest to it over all of the window.
		all = mergeBuckets(all)
		overall := make([]float64, len(t.spec.Quantiles))
		for i, q := range t.spec.Quantiles {
			overall[i] = quantile(all, q, unit)
		}
		for _, p := range picked[uint32(group)] {
			nearest := 0
			for i, v := range overall {
				if math.Abs(v-p.Value) < math.Abs(overall[nearest]-p.Value) {
					nearest = i
				}
			}
			if len(overall) > 0 {
				x := &s.Series[from+nearest]
				x.Exemplars = append(x.Exemplars, p.exemplar(&s.Window))
			}
		}
	}
}
