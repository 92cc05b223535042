package series

import (
	"math"
	"math/bits"
)

// Func is a first-stage metrics function.
type Func uint8

// The functions that a Tally counts for; compare() has a type of its own, Comparison.
const (
	Rate Func = iota
	Count
	Min
	Max
	Avg
	Sum
	Quantile
	Histogram
)

// Spec is what a Tally counts.
type Spec struct {
	Func         Func
	Name         string // the value of NameLabel for a series without other labels
	Window       Window
	Labels       []string  // names of the labels by which spans are grouped
	RatePer      int64     // what a rate is per, in ns, where that is not the length of an interval; else 0
	InSeconds    bool      // integers are ns and shown in seconds
	Weighted     bool      // a span stands for as many as its weight says
	Quantiles    []float64 // in the order written
	MaxExemplars int       // how many spans stand for the series
	SlotWidth    int64     // for Exemplars; see the function of this name
}

// Tally is what one function has counted: per group and interval, only those that occur.
type Tally struct {
	Groups    *Groups
	Exemplars Exemplars

	spec     Spec
	cells    cells
	counts   []uint64 // spans, or those with a number; if they are weighted, their weights
	lo       []uint64 // sums of integers in 128 bits
	hi       []int64
	exact    []*Exact  // sums of floats, where there are any
	exacts   int       // how many
	extremes []float64 // least or greatest
	octets   []uint32  // of buckets, by cell and code/8: where its counts are, 0: nowhere
	buckets  []uint64  // counts of eight buckets side by side
	scratch  []uint32
}

// NewTally returns an empty Tally.
func NewTally(s Spec) *Tally {
	t := &Tally{spec: s, Groups: NewGroups(len(s.Labels)), cells: newCells(s.Window.Intervals())}
	t.Exemplars = newExemplars(&s.Window, s.MaxExemplars, s.SlotWidth)
	return t
}

// EmptyCopy returns a Tally of the same Spec that has counted nothing.
func (t *Tally) EmptyCopy() *Tally { return NewTally(t.spec) }

// UsesValues says whether the function is one of values; otherwise it counts spans.
func (f Func) UsesValues() bool { return f >= Min }

// UsesBuckets says whether the function is one of buckets of values.
func (f Func) UsesBuckets() bool { return f == Quantile || f == Histogram }

// Bytes returns the memory that the Tally takes, in bytes, with what the next spans of the groups
// known so far need at once.
func (t *Tally) Bytes() int {
	perCell := 8
	switch t.spec.Func {
	case Min, Max:
		perCell = 16
	case Avg, Sum:
		perCell = 24 + 8*min(len(t.exact), 1)
	case Quantile, Histogram:
		perCell = 4 * octetsPerCell
	}
	return t.Groups.bytes + 4*(t.Groups.Len()*t.cells.chunksPerGroup+len(t.cells.owners)) + perCell*t.cells.len() + 8*len(t.buckets) + 96*t.exacts
}

// One is the weight of a span that stands for itself.
const UnitWeight = 1 << unitWeightBits

const unitWeightBits = 20

// unitCount returns what a count of one span is.
func (s *Spec) unitCount() float64 {
	if s.Weighted {
		return UnitWeight
	}
	return 1
}

// numberCells returns the cells of spans, in memory that is used again.
func (t *Tally) numberCells(groups, intervals []uint32) []uint32 {
	t.scratch = extendTo(t.scratch, len(intervals))
	at := t.scratch[:len(intervals)]
	t.cells.numberCells(groups, intervals, at)
	return at
}

// CountSpans counts spans. Each has a group, of Groups, and an interval; groups nil: all are of group 0.
// weights are there if the Spec says so.
func (t *Tally) CountSpans(groups, intervals []uint32, weights []uint64) {
	at := t.numberCells(groups, intervals)
	t.counts = extendTo(t.counts, t.cells.len())
	counts := t.counts
	if t.spec.Weighted {
		for i, c := range at {
			counts[c] += weights[i]
		}
		return
	}
	for _, c := range at {
		counts[c]++
	}
}

// SetExemplarInt says whether an integer may be shown by an exemplar, and notes it there.
func (t *Tally) SetExemplarInt(p *ExemplarSpan, v int64) bool {
	p.Value = float64(v)
	if t.spec.InSeconds {
		p.Value /= 1e9
	}
	if t.spec.Func.UsesBuckets() {
		p.code = uint8(bits.Len64(uint64(v - 1)))
		return v >= 2
	}
	return true
}

// SetExemplarFloat is Stands for a float.
func (t *Tally) SetExemplarFloat(p *ExemplarSpan, v float64) bool {
	p.Value = v
	return v == v && !t.spec.Func.UsesBuckets()
}

// CountInCell counts n spans of one group and interval, or spans of weight n.
func (t *Tally) CountInCell(group, interval uint32, n uint64) {
	g, iv := [1]uint32{group}, [1]uint32{interval}
	at := t.numberCells(g[:], iv[:])
	t.counts = extendTo(t.counts, t.cells.len())
	t.counts[at[0]] += n
}

// AddInts adds integers, one for each span. weights are as in Spans.
func (t *Tally) AddInts(groups, intervals []uint32, values []int64, weights []uint64) {
	at := t.numberCells(groups, intervals)
	values = values[:len(at)]
	switch t.spec.Func {
	case Quantile, Histogram:
		t.octets = extendTo(t.octets, t.cells.len()*octetsPerCell)
		octets, buckets := t.octets, t.buckets
		for i, v := range values {
			if v < 2 {
				continue
			}
			code := uint32(bits.Len64(uint64(v - 1)))
			n := octets[at[i]*octetsPerCell+code>>3]
			if n == 0 {
				n = t.allocateOctet(at[i], code)
				buckets = t.buckets
			}
			if weights != nil {
				buckets[n<<3|code&7] += weights[i]
			} else {
				buckets[n<<3|code&7]++
			}
		}
		return
	case Avg, Sum:
		n := t.cells.len()
		t.counts, t.lo, t.hi = extendTo(t.counts, n), extendTo(t.lo, n), extendTo(t.hi, n)
		counts, lo, hi := t.counts, t.lo, t.hi
		if weights != nil {
			for i, v := range values {
				c := at[i]
				h, l := multiply128(v, weights[i])
				var carry uint64
				lo[c], carry = bits.Add64(lo[c], l, 0)
				hi[c] += h + int64(carry)
				counts[c] += weights[i]
			}
			return
		}
		for i, v := range values {
			c := at[i]
			sum, carry := bits.Add64(lo[c], uint64(v), 0)
			lo[c] = sum
			hi[c] += v>>63 + int64(carry)
			counts[c]++
		}
		return
	}
	t.growExtremes(t.cells.len())
	counts, ext := t.counts, t.extremes
	if t.spec.Func == Min {
		for i, v := range values {
			c := at[i]
			ext[c] = min(ext[c], float64(v))
			counts[c]++
		}
		return
	}
	for i, v := range values {
		c := at[i]
		ext[c] = max(ext[c], float64(v))
		counts[c]++
	}
}

// multiply128 returns v·w in 128 bits.
func multiply128(v int64, w uint64) (hi int64, lo uint64) {
	h, lo := bits.Mul64(uint64(v), w)
	if v < 0 {
		h -= w // v is 2⁶⁴ too large as unsigned
	}
	return int64(h), lo
}

// octetsPerCell is how many times eight buckets there are.
const octetsPerCell = 8

// allocateOctet makes room for the counts of a bucket and its neighbours.
func (t *Tally) allocateOctet(cell, code uint32) uint32 {
	if len(t.buckets) == 0 {
		t.buckets = make([]uint64, 8, 1024) // octet 0 is none
	}
	n := uint32(len(t.buckets) >> 3)
	t.buckets = extendTo(t.buckets, len(t.buckets)+8)
	t.octets[cell*octetsPerCell+code>>3] = n
	return n
}

// AddFloats adds floats, one for each span. NaN is no number: it is passed over. Quantiles and
// histograms are of integers only. weights are as in Spans.
func (t *Tally) AddFloats(groups, intervals []uint32, values []float64, weights []uint64) {
	if t.spec.Func.UsesBuckets() {
		return
	}
	at := t.numberCells(groups, intervals)
	n := t.cells.len()
	if t.spec.Func == Avg || t.spec.Func == Sum {
		t.counts, t.exact = extendTo(t.counts, n), extendTo(t.exact, n)
		for i, v := range values {
			if v != v {
				continue
			}
			c := at[i]
			if t.exact[c] == nil {
				t.exact[c] = new(Exact)
				t.exacts++
			}
			n := uint64(1)
			if weights != nil {
				n = weights[i]
				v *= float64(n) / UnitWeight
			}
			t.exact[c].Add(v)
			t.counts[c] += n
		}
		return
	}
	t.growExtremes(n)
	for i, v := range values {
		if v != v {
			continue
		}
		c := at[i]
		if t.spec.Func == Min {
			t.extremes[c] = min(t.extremes[c], v)
		} else {
			t.extremes[c] = max(t.extremes[c], v)
		}
		t.counts[c]++
	}
}

// growExtremes makes room for n cells of min or max.
func (t *Tally) growExtremes(n int) {
	t.counts = extendTo(t.counts, n)
	from := len(t.extremes)
	t.extremes = extendTo(t.extremes, n)
	none := math.Inf(1)
	if t.spec.Func == Max {
		none = math.Inf(-1)
	}
	for i := from; i < n; i++ {
		t.extremes[i] = none
	}
}
