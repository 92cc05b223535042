package series_test

import (
	"fmt"

	"github.com/troupe-tracing/troupe/runtime/engine/series"
)

// Five spans, counted in two places by their service, become one Set: merging needs no order.
func Example() {
	const second = 1_000_000_000
	window, err := series.NewWindow(0, 30*second, 10*second)
	if err != nil {
		panic(err)
	}
	spec := series.Spec{Func: series.Count, Window: window, Labels: []string{"service"}}

	// One place has three spans, given by their starts and the codes of their services.
	here := series.NewTally(spec)
	cart := here.Groups.EncodeValue(0, series.String("cart"))
	user := here.Groups.EncodeValue(0, series.String("user"))
	groups := []uint32{cart, user, cart}
	here.Groups.NumberRows([][]uint32{groups}, groups)
	_, intervals := window.LocateRows([]int64{3 * second, 22 * second, 8 * second}, nil, nil, nil)
	here.CountSpans(groups, intervals, nil)

	// Another place has two. Its groups have other numbers.
	there := series.NewTally(spec)
	user = there.Groups.EncodeValue(0, series.String("user"))
	group := there.Groups.GroupOf([]uint32{user})
	there.CountInCell(group, 1, 2)

	here.Merge(there.Pack())
	for _, s := range here.MakeSeries(window).Series {
		fmt.Println(s.Labels[0].Value, s.Values)
	}
	// Output:
	// cart [2 0 0]
	// user [0 2 1]
}

// The share of errors is one series divided by another, sample by sample.
func ExampleJoin() {
	window, err := series.NewWindow(0, 20, 10)
	if err != nil {
		panic(err)
	}
	total := func(name string, values ...float64) series.Set {
		labels := []series.Label{{Name: series.NameLabel, Value: series.String(name)}}
		return series.Set{Window: window, Series: []series.Series{{Labels: labels, Values: values}}}
	}
	share := series.Join("/", total("errors", 1, 0), total("all", 4, 5))
	fmt.Println(share.Series[0].Labels[0].Value, share.Series[0].Values)
	// Output: (errors / all) [0.25 0]
}
