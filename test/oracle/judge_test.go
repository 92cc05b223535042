package oracle

import (
	"slices"
	"strings"
	"testing"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// naive is the oracle as one that answers.
type naive []*otlp.Span

func (n naive) Search(r *eval.SearchRequest) ([]eval.TraceMatch, error) {
	return Search(n, r), nil
}
func (n naive) Metrics(r *eval.MetricsRequest) (*eval.MetricsResult, error) {
	return Metrics(n, r), nil
}
func (n naive) Tags(r *eval.TagsRequest) (eval.TagNames, error) { return Tags(n, r), nil }
func (n naive) Values(r *eval.ValuesRequest) (map[eval.TagValue]struct{}, error) {
	return Values(n, r), nil
}
func (n naive) Filter(text string) *traceql.Query { return Filter(text) }

// The oracle must give the specified answer to every case of the specification.
func TestOracleAnswersTheCases(t *testing.T) {
	s := loadSemantics(t)
	for i := range s.Cases {
		c := &s.Cases[i]
		f := s.Fixtures[c.Fixture]
		spans, _ := f.spans()
		t.Run(c.ID, func(t *testing.T) {
			if c.Kind == "legacy_tags" {
				judgeLegacy(t, c, spans)
			} else if wrong := c.judge(&f, naive(spans)); wrong != "" {
				t.Errorf("%s\n%s", c.Query, wrong)
			}
		})
	}
}

// wantedTraces are the traces of a search by tags.
func (c *semanticsCase) wantedTraces() (out []string, err error) {
	err = c.wanted().Decode(&out)
	for i := range out {
		out[i] = fixtureTraceID(out[i]).String()
	}
	slices.Sort(out)
	return out, err
}

func judgeLegacy(t *testing.T, c *semanticsCase, spans []*otlp.Span) {
	tags := map[string]string{}
	for _, pair := range strings.Fields(c.Query) {
		k, v, _ := strings.Cut(pair, "=")
		tags[k] = v
	}
	want, err := c.wantedTraces()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range LegacyTags(spans, tags) {
		got = append(got, m.id.String())
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s\n%v, want %v", c.Query, got, want)
	}
}
