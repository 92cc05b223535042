package series

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

// UsesValues reports whether the function is one of a value of each span. The others count spans.
func (f Func) UsesValues() bool { return f >= Min }

// UsesBuckets reports whether the function is one of the distribution of values, for which a Tally
// counts values by powers of two.
func (f Func) UsesBuckets() bool { return f == Quantile || f == Histogram }

// Spec is what a Tally counts.
type Spec struct {
	Func         Func
	Name         string // the value of NameLabel for a series without other labels
	Window       Window
	Labels       []string  // names of the labels by which spans are grouped
	RatePer      int64     // a rate is per so many ns; 0: per interval of the window
	InSeconds    bool      // integers are ns and are shown in seconds
	Weighted     bool      // a span stands for as many as its weight says; see UnitWeight
	Quantiles    []float64 // in the order written
	MaxExemplars int       // how many exemplars the series have in all
	BinWidth     int64     // of the Exemplars, in ns; see BinWidthFor
}

// UnitWeight is the weight of a span that stands for itself: weights are numbers with
// unitWeightBits binary digits behind the point.
const UnitWeight = 1 << unitWeightBits

const unitWeightBits = 20

// unitCount returns by how much one span that stands for itself raises a count.
func (s *Spec) unitCount() float64 {
	if s.Weighted {
		return UnitWeight
	}
	return 1
}

// Tally is what one function has counted, by group and interval, for the pairs that occur.
//
// Each array below is indexed by cell (see cells) and used by some functions only:
//
//	function             arrays
//	rate, count          counts
//	min, max             counts, extremes
//	avg, sum             counts, lo and hi (integers), exact (floats)
//	quantile, histogram  codes, octets, buckets; at first pending
//
// An array may be shorter than there are cells; what lies beyond its end has counted nothing. A
// cell has counted something if its count is not 0 or, for the last row, if it has a code.
type Tally struct {
	Groups    *Groups
	Exemplars Exemplars

	spec       Spec
	cellCounts          // spans that count, with a value if the function uses one
	lo         []uint64 // lower halves of sums of integers in 128 bits
	hi         []int64  // their upper halves
	exact      []*Exact // sums of floats; nil: no float was added
	exacts     int      // how many of exact are not nil
	extremes   []float64
	codes      []uint64          // bit c is set if a value has code c
	octets     []uint32          // by cell*octetsPerCell + code/8: the octet in buckets; 0: none
	buckets    []uint32          // by octet*8 + code%8: lower half of how many values have this code
	carries    map[uint32]uint64 // the same place: the upper half, where it is not 0
	pending    pendingValues     // are not in buckets yet
}

// NewTally returns an empty Tally.
func NewTally(s Spec) *Tally {
	t := &Tally{spec: s, Groups: NewGroups(len(s.Labels))}
	t.cells = newCells(s.Window.Intervals())
	t.Exemplars = newExemplars(&s.Window, s.MaxExemplars, s.BinWidth)
	return t
}

// EmptyCopy returns a Tally of the same Spec that has counted nothing.
func (t *Tally) EmptyCopy() *Tally { return NewTally(t.spec) }

// Bytes estimates the memory of the Tally in bytes, including what the next spans of known groups
// will need at once.
func (t *Tally) Bytes() int {
	perCell := 8
	switch t.spec.Func {
	case Min, Max:
		perCell = 16
	case Avg, Sum:
		perCell = 24 + 8*min(len(t.exact), 1)
	case Quantile, Histogram:
		perCell = 8 + 4*octetsPerCell
	}
	chunks := t.Groups.Len()*t.cells.chunksPerGroup + len(t.cells.owners)
	n := t.Groups.bytes + 4*chunks + perCell*t.cells.len()
	n += 4*len(t.buckets) + 5*len(t.pending.cells) + 96*t.exacts
	return n + 256*t.Exemplars.kept // which have some labels
}

// CountSpans counts spans: span i is of group groups[i], a number of t.Groups, and of interval
// intervals[i] of the window. Without groups (nil) all are of group 0. weights, one for each span,
// are read only if the Spec is Weighted.
func (t *Tally) CountSpans(groups, intervals []uint32, weights []uint64) {
	if !t.spec.Weighted {
		weights = nil
	}
	t.countRows(groups, intervals, weights)
}
