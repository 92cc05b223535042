package oracle

import (
	"math"
	"slices"
	"testing"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/layout"
)

// engine is the engine over a layout as one that answers.
type engine struct{ *layout.Store }

func (engine) Filter(text string) *traceql.Query { return traceql.ParseFilter(text) }

// The engine must give the specified answer to every case of the specification, wherever the spans
// lie.
func TestEngineAnswersTheCases(t *testing.T) {
	s := loadSemantics(t)
	for _, l := range layout.All {
		t.Run(l.Name, func(t *testing.T) {
			stores := map[string]*layout.Store{}
			for i := range s.Cases {
				c := &s.Cases[i]
				f := s.Fixtures[c.Fixture]
				t.Run(c.ID, func(t *testing.T) {
					if stores[c.Fixture] == nil {
						spans, _ := f.spans()
						store, err := l.Build(spans)
						if err != nil {
							t.Fatal(err)
						}
						stores[c.Fixture] = store
					}
					if c.Kind == "legacy_tags" {
						judgeEngineLegacy(t, c, stores[c.Fixture])
					} else if wrong := c.judge(&f, engine{stores[c.Fixture]}); wrong != "" {
						t.Errorf("%s\n%s", c.Query, wrong)
					}
				})
			}
		})
	}
}

func judgeEngineLegacy(t *testing.T, c *semanticsCase, s *layout.Store) {
	want, err := c.wantedTraces()
	if err != nil {
		t.Fatal(err)
	}
	q, err := traceql.ParseTags(c.Query, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.Search(&eval.SearchRequest{Query: q, End: math.MaxUint64, Limit: 1000, SpansPerSpanSet: 1,
		Bare: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range found {
		got = append(got, m.ID.String())
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s\n%v, want %v", c.Query, got, want)
	}
}
