package eval

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/troupe-tracing/troupe/runtime/engine/series"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// metricsCase is a metrics case of testdata/semantics.yaml.
type metricsCase struct {
	ID      string           `yaml:"id"`
	Kind    string           `yaml:"kind"`
	Fixture string           `yaml:"fixture"`
	Query   string           `yaml:"query"`
	Start   string           `yaml:"start"`
	End     string           `yaml:"end"`
	Step    string           `yaml:"step"`
	Align   bool             `yaml:"align"`
	Instant bool             `yaml:"instant"`
	Series  []expectedSeries `yaml:"series"`
	Include []expectedSeries `yaml:"series_include"`
	Ideal   []expectedSeries `yaml:"ideal"`
}

type expectedSeries struct {
	Labels map[string]any     `yaml:"labels"`
	Points map[string]float64 `yaml:"points"`
}

// text prints a series so that equal ones are equal, but for the last digits.
func (s expectedSeries) text(t *testing.T) string {
	var labels, points []string
	for k, v := range s.Labels {
		labels = append(labels, fmt.Sprintf("%s=%v", k, v))
		if _, ok := v.(int); ok {
			labels[len(labels)-1] = fmt.Sprintf("%s=int(%v)", k, v)
		}
	}
	for k, v := range s.Points {
		points = append(points, fmt.Sprintf("%6d:%.13g", fixtureDuration(t, k)/1e9, v))
	}
	slices.Sort(labels)
	slices.Sort(points)
	return strings.Join(labels, ",") + " " + strings.Join(points, " ")
}

func answerText(base int64, s *Series) string {
	var labels, points []string
	for _, l := range s.Labels {
		switch v := l.Value; v.Type {
		case trace.Int:
			labels = append(labels, fmt.Sprintf("%s=int(%d)", l.Key, int64(v.Num)))
		case trace.Float:
			labels = append(labels, fmt.Sprintf("%s=float(%v)", l.Key, math.Float64frombits(v.Num)))
		case trace.Bool:
			labels = append(labels, fmt.Sprintf("%s=%v", l.Key, v.Num != 0))
		default:
			labels = append(labels, fmt.Sprintf("%s=%s", l.Key, v.Bytes))
		}
	}
	for _, p := range s.Samples {
		points = append(points, fmt.Sprintf("%6d:%.13g", (p.Time-base)/1e9, p.Value))
	}
	slices.Sort(labels)
	slices.Sort(points)
	return strings.Join(labels, ",") + " " + strings.Join(points, " ")
}

func metricsCases(t *testing.T) (map[string]*fixture, []metricsCase) {
	b, err := os.ReadFile("../traceql/testdata/semantics.yaml")
	require.NoError(t, err)
	var all struct {
		Fixtures map[string]*fixture `yaml:"fixtures"`
		Cases    []yaml.Node         `yaml:"cases"`
	}
	require.NoError(t, yaml.Unmarshal(b, &all))
	var out []metricsCase
	for _, n := range all.Cases {
		var kind struct {
			Kind string `yaml:"kind"`
		}
		require.NoError(t, n.Decode(&kind))
		if kind.Kind == "metrics" {
			var c metricsCase
			require.NoError(t, n.Decode(&c), "%v", n)
			out = append(out, c)
		}
	}
	return all.Fixtures, out
}

func (c *metricsCase) request(t *testing.T, f *fixture) *MetricsRequest {
	q, err := traceql.Parse(c.Query)
	require.NoError(t, err)
	r := &MetricsRequest{Query: q, Start: f.Base*1e9 + fixtureDuration(t, c.Start),
		End: f.Base*1e9 + fixtureDuration(t, c.End), Step: fixtureDuration(t, c.Step), Instant: c.Instant}
	if c.Align {
		r.Start, r.End = series.AlignRange(r.Start, r.End, r.Step)
	}
	return r
}

// Every metrics case of the specification must yield its series, both on one live segment and on
// one segment for each trace. Where the reference has a defect, the case has the right series.
func TestMetricsCases(t *testing.T) {
	fixtures, cases := metricsCases(t)
	require.Len(t, cases, 55)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			f := fixtures[c.Fixture]
			r := c.request(t, f)
			want, listed := c.Series, true
			if c.Include != nil {
				// What is ideal of a list of some series replaces the one with the same labels.
				want, listed = c.Include, false
				for _, s := range c.Ideal {
					i := slices.IndexFunc(want, func(o expectedSeries) bool { return fmt.Sprint(o.Labels) == fmt.Sprint(s.Labels) })
					require.GreaterOrEqual(t, i, 0)
					want[i] = s
				}
			} else if c.Ideal != nil {
				want = c.Ideal
			}
			var texts []string
			for _, s := range want {
				texts = append(texts, s.text(t))
			}
			slices.Sort(texts)
			records := f.records(t)
			for _, parts := range []int{1, len(records)} {
				var p MetricsPartial
				for i := range parts {
					var mine [][]byte
					for k, rec := range records {
						if k%parts == i {
							mine = append(mine, rec)
						}
					}
					o, err := QueryRange(context.Background(), segment(t, mine), r, nil)
					require.NoError(t, err)
					p.Merge(o)
				}
				res, err := p.Result(r)
				require.NoError(t, err)
				var got []string
				for i := range res.Series {
					got = append(got, answerText(f.Base*1e9, &res.Series[i]))
				}
				slices.Sort(got)
				if !listed {
					require.Subset(t, got, texts)
					continue
				}
				require.Equal(t, texts, got)
			}
		})
	}
}
