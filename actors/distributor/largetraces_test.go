package distributor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// The traces that one partition names replace those that it named before, and no others. A job
// keeps the map that it was given.
func TestLargeTraces(t *testing.T) {
	one, two := trace.ID{1}, trace.ID{2}
	var l largeTraces
	l.replaceNamed(0, []jobs.LargeTrace{{Tenant: "a", ID: one}})
	given := l.of["a"]
	l.replaceNamed(1, []jobs.LargeTrace{{Tenant: "a", ID: two}, {Tenant: "b", ID: one}})
	require.Equal(t, map[string]map[trace.ID]struct{}{"a": {one: {}, two: {}}, "b": {one: {}}}, l.of)
	l.replaceNamed(0, nil)
	require.Equal(t, map[string]map[trace.ID]struct{}{"a": {two: {}}, "b": {one: {}}}, l.of)
	require.Equal(t, map[trace.ID]struct{}{one: {}}, given)
}
