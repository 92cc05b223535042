package series

import (
	"math"
	"math/bits"
	"slices"
)

// bucket is how many integers of one code occurred: those up to 2^code and above the power before.
type bucket struct {
	code  uint8
	count float64
}

// bucketBound returns the upper bound of a bucket, in units of so many (1, or 1e9 ns).
func bucketBound(code uint8, unit float64) float64 { return math.Exp2(float64(code)) / unit }

// interpolateQuantile returns the value below which the fraction p of the counted values lies.
// buckets ascend, and none of them is empty; without buckets the result is 0. Inside of a bucket
// the logarithm is interpolated. A bucket begins where the one before it ends, the first at half of
// its bound. Source: docs/spec/traceql.md, "Buckets and quantiles".
func interpolateQuantile(buckets []bucket, p, unit float64) float64 {
	total := 0.0
	for _, b := range buckets {
		total += b.count
	}
	if total == 0 {
		return 0
	}
	k := max(1, math.Ceil(p*total))
	before := 0.0
	for i, b := range buckets {
		sum := before + b.count
		if sum < k {
			before = sum
			continue
		}
		hi := float64(b.code)
		lo := hi - 1
		if i > 0 {
			lo = float64(buckets[i-1].code)
		}
		return math.Exp2(lo+(hi-lo)*((k-before)/b.count)) / unit
	}
	return bucketBound(buckets[len(buckets)-1].code, unit)
}

// makeBucketSeries makes the series of quantiles and histograms: for each group one of each
// quantile, or one of each bucket that has values.
func (t *Tally) makeBucketSeries(s *Set) {
	picked := map[uint32][]ExemplarSpan{}
	for _, p := range t.Exemplars.chosenIn(&s.Window) {
		picked[p.Group] = append(picked[p.Group], p)
	}
	shift, _ := s.Window.intervalOffset(&t.spec.Window)
	b := groupBuckets{unit: 1}
	if t.spec.InSeconds {
		b.unit = 1e9
	}
	for group := range t.Groups.Len() {
		b.labels, b.seriesOf, b.overall = nil, nil, [64]float64{}
		if len(t.spec.Labels) > 0 {
			b.labels = t.labelsOf(group)
		}
		for at, cell := range t.cells.ofGroup(group) {
			iv := at + shift
			if iv < 0 || iv >= s.Window.intervals {
				continue
			}
			if b.current = t.appendBuckets(cell, b.current[:0]); len(b.current) > 0 {
				t.addBucketSamples(s, &b, iv)
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

// groupBuckets is the state of makeBucketSeries for one group.
type groupBuckets struct {
	unit     float64     // 1, or 1e9 if ns are shown as seconds
	labels   []Label     // of the group
	current  []bucket    // of the interval in hand
	seriesOf []int       // by code, or by number of the quantile: the index of its series + 1; 0: none yet
	overall  [64]float64 // by code: the counts of all intervals
}

// appendBuckets appends the buckets of a cell that are not empty, by ascending code.
func (t *Tally) appendBuckets(cell int, dst []bucket) []bucket {
	if cell >= len(t.codes) {
		return dst
	}
	for codes := t.codes[cell]; codes != 0; codes &= codes - 1 {
		code := bits.TrailingZeros64(codes)
		dst = append(dst, bucket{code: uint8(code), count: float64(t.countOf(cell, code)) / t.spec.unitCount()})
	}
	return dst
}

// addBucketSamples sets the samples of interval iv from the current buckets.
func (t *Tally) addBucketSamples(s *Set, b *groupBuckets, iv int) {
	addSeries := func(l Label) int {
		labels := append(slices.Clone(b.labels), l)
		s.Series = append(s.Series, Series{Labels: labels, Values: newSamples(&s.Window, 0)})
		return len(s.Series)
	}
	if t.spec.Func == Histogram {
		if b.seriesOf == nil {
			b.seriesOf = make([]int, 64)
		}
		for _, x := range b.current {
			if b.seriesOf[x.code] == 0 {
				b.seriesOf[x.code] = addSeries(Label{"__bucket", Float(bucketBound(x.code, b.unit))})
			}
			s.Series[b.seriesOf[x.code]-1].Values[iv] = x.count
		}
		return
	}
	if b.seriesOf == nil {
		for _, q := range t.spec.Quantiles {
			b.seriesOf = append(b.seriesOf, addSeries(Label{"p", Float(q)}))
		}
	}
	for i, q := range t.spec.Quantiles {
		s.Series[b.seriesOf[i]-1].Values[iv] = interpolateQuantile(b.current, q, b.unit)
	}
	for _, x := range b.current {
		b.overall[x.code] += x.count
	}
}

// addBucketExemplar gives an exemplar to the series that it illustrates: that of its bucket, or of
// the quantile whose value over the whole window is nearest to its own.
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
