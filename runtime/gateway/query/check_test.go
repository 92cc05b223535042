package query

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A query is told by its kind, or has an error with its place.
func TestCheckQuery(t *testing.T) {
	s := New(Deps{Config: DefaultConfig()})
	for text, want := range map[string]string{
		"{ }":                      "filter",
		"{ .a = 1 } | count() > 2": "search",
		"{ } >> { }":               "search",
		"{ } | rate()":             "metrics",
		"({ } | rate()) / 2":       "metrics",
	} {
		c := s.CheckQuery(text)
		require.Nil(t, c.Error, text)
		require.Equal(t, want, c.Kind, text)
		again := s.CheckQuery(c.Canonical)
		require.Equal(t, c, again, "the canonical text is understood as the query is: %s", text)
	}
	c := s.CheckQuery("{ status = }")
	require.Equal(t, []any{1, 12, false, ""}, []any{c.Error.Line, c.Error.Column, c.Error.Semantic, c.Kind})
	require.True(t, s.CheckQuery("{ name > kind }").Error.Semantic)
	require.ErrorContains(t, s.CheckQuery(strings.Repeat("(", 200<<10)).Error, "bytes")
}
