// Package series is the arithmetic of time series: it counts spans by labels and intervals, merges
// what was counted in different places, and makes series of it.
//
// There are two stages. A Tally holds what one metrics function has counted so far; compare() has a
// Comparison instead. What was counted in one place is Packed: it is small, does not change, and is
// merged into the Tally of the answer. MakeSeries turns that into a Set, and second stages and
// arithmetic work on Sets: KeepTop, KeepWhere, ApplyConstant, Join.
//
//	starts ──Window.LocateRows──► intervals ──┐
//	values ──Groups.EncodeValue─► codes       ├─► Tally ──Pack──► Packed
//	codes ───Groups.NumberRows──► groups ─────┘                     │ of each place
//	                                              Tally ◄──Merge────┘
//	                                                └─────MakeSeries──► Set
//
// # Invariants
//
// Tallies of the same function and step merge in any order and grouping to the same result, bit for
// bit. For that, integers are summed in 128 bits and floats exactly (Exact), both are rounded only
// when series are made, and whatever has to be left out is selected by a total order of content,
// never by order of arrival.
//
// Everything that is done for each span works on arrays, a page of spans at a time: element i of
// each array belongs to the same span. Numbers of groups and cells mean nothing outside of their
// Tally; merging translates them.
//
// Source: docs/spec/traceql.md, from "Functions of metrics" to "Compare".
package series
