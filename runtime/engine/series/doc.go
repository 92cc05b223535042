// Package series is the arithmetic of time series: it counts spans by labels and intervals, joins
// what was counted in different places, and makes series out of it.
//
// A Tally is what one metrics function has counted so far. Tallies of the same function and window
// merge in any order and grouping to the same result, bit for bit: integers are summed in 128 bits,
// floats exactly (Exact), and rounded once, when series are made; whatever is left out is chosen by
// a total order of content, never by order of arrival. A Set is series at last: second stages and
// arithmetic work on it.
//
// Everything per span works on arrays of group and interval numbers, a page at a time. Source:
// language specification §12, §13.
package series
