package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
)

// seriesAnswer is the answer to a metrics query as far as it is drawn.
type seriesAnswer struct {
	Series []struct {
		Labels []struct {
			Key   string
			Value attributeValue
		}
		Samples []struct {
			TimestampMs string
			Value       number
		}
		Value number // of an instant query
	}
	Status, Message string
	Warnings        []string
}

func readSeries(b []byte) (*seriesAnswer, error) {
	var a seriesAnswer
	if err := json.Unmarshal(b, &a); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return &a, nil
}

func (a *seriesAnswer) warningTexts() []string {
	if a.Message != "" {
		return []string{a.Message}
	}
	return a.Warnings
}

// units says which numbers of an answer are seconds, and whether names are for programs.
type units struct{ values, buckets, exact bool }

var (
	filters      = regexp.MustCompile(`\{[^{}]*\}`)
	functions    = regexp.MustCompile(`\b(rate|compare|[a-z]+_over_time)\s*\(\s*([A-Za-z:_.]*)`)
	scales       = regexp.MustCompile(`[*/^%]`)
	durationArgs = []string{"duration", "span:duration", "traceDuration", "trace:duration", "event:timeSinceStart"}
)

// unitsOf tells from the text of a query whether its values, or the bounds of its buckets, are
// durations.
func unitsOf(query string) units {
	rest := filters.ReplaceAllString(quoted.ReplaceAllString(query, `""`), "{}")
	found := functions.FindAllStringSubmatch(rest, -1)
	if len(found) != 1 || !slices.Contains(durationArgs, found[0][2]) {
		return units{}
	}
	switch found[0][1] {
	case "histogram_over_time":
		return units{buckets: true}
	case "min_over_time", "max_over_time", "avg_over_time", "sum_over_time", "quantile_over_time":
		return units{values: !scales.MatchString(rest)}
	}
	return units{}
}

// series is one series on the grid of all of them; NaN where it has no sample.
type series struct {
	name     string
	group    string  // the labels without order
	order    float64 // the bound of a bucket, or a quantile
	isBucket bool
	values   []float64
}

// alignSeries puts all series on the times, in milliseconds, that any of them has.
func (a *seriesAnswer) alignSeries(u units) (times []int64, all []series) {
	place := map[int64]int{}
	for _, s := range a.Series {
		for _, p := range s.Samples {
			ms, _ := strconv.ParseInt(p.TimestampMs, 10, 64)
			place[ms] = 0
		}
	}
	for ms := range place {
		times = append(times, ms)
	}
	slices.Sort(times)
	for i, ms := range times {
		place[ms] = i
	}
	for i := range a.Series {
		s := a.nameSeries(i, u)
		s.values = slices.Repeat([]float64{math.NaN()}, max(1, len(times)))
		for _, p := range a.Series[i].Samples {
			ms, _ := strconv.ParseInt(p.TimestampMs, 10, 64)
			s.values[place[ms]] = float64(p.Value)
		}
		if len(times) == 0 {
			s.values[0] = float64(a.Series[i].Value)
		}
		all = append(all, s)
	}
	return times, all
}

// nameSeries makes the series number i, without its values.
func (a *seriesAnswer) nameSeries(i int, u units) series {
	var s series
	var names, group []string
	for _, l := range a.Series[i].Labels {
		text := l.Key + "=" + l.Value.String()
		switch l.Key {
		case "__bucket":
			s.isBucket = true
			s.order = orderOf(l.Value)
			switch {
			case u.exact:
			case u.buckets:
				text = "≤" + render.Seconds(s.order)
			default:
				text = "≤" + render.Number(s.order)
			}
		case "p":
			s.order = orderOf(l.Value)
		default:
			group = append(group, text)
		}
		names = append(names, text)
	}
	s.name, s.group = strings.Join(names, " "), strings.Join(group, " ")
	if s.name == "" {
		s.name = "(all)"
	}
	return s
}

func orderOf(v attributeValue) float64 {
	if !math.IsNaN(v.number) {
		return v.number
	}
	n, _ := strconv.ParseFloat(v.text, 64)
	return n
}

// sortSeries puts the groups with the largest values first, and in a group buckets and quantiles in
// their order.
func sortSeries(all []series) {
	peaks := map[string]float64{}
	for _, s := range all {
		peak, seen := peaks[s.group]
		if v := render.Largest(s.values); !seen || v > peak || math.IsNaN(peak) {
			peaks[s.group] = v
		}
	}
	slices.SortStableFunc(all, func(x, y series) int {
		return cmp.Or(cmp.Compare(peaks[y.group], peaks[x.group]), cmp.Compare(x.group, y.group),
			cmp.Compare(x.order, y.order))
	})
}

// smallestValue returns the smallest value, and NaN if there is none.
func smallestValue(values []float64) float64 {
	out := math.NaN()
	for _, v := range values {
		if math.IsNaN(out) || v < out {
			out = v
		}
	}
	return out
}

// newestValue returns the newest value, and NaN if there is none.
func newestValue(values []float64) float64 {
	for _, v := range slices.Backward(values) {
		if !math.IsNaN(v) {
			return v
		}
	}
	return math.NaN()
}
