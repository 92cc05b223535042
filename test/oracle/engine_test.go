package oracle

import (
	"testing"

	"github.com/troupe-tracing/troupe/test/kit/layout"
)

// The engine must give the specified answer to every case of the specification, wherever the spans lie.
func TestEngineAnswersTheCases(t *testing.T) {
	s := loadSemantics(t)
	for _, l := range layout.All {
		t.Run(l.Name, func(t *testing.T) {
			stores := map[string]*layout.Store{}
			for i := range s.Cases {
				c := &s.Cases[i]
				f := s.Fixtures[c.Fixture]
				if c.Kind == "legacy_tags" {
					continue
				}
				t.Run(c.ID, func(t *testing.T) {
					if stores[c.Fixture] == nil {
						spans, _ := f.spans()
						store, err := l.Build(spans)
						if err != nil {
							t.Fatal(err)
						}
						stores[c.Fixture] = store
					}
					if wrong := c.judge(&f, stores[c.Fixture]); wrong != "" {
						t.Errorf("%s\n%s", c.Query, wrong)
					}
				})
			}
		})
	}
}
