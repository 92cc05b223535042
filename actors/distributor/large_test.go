package distributor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// What one partition names takes the place of what it named before, and of nothing else; a job
// keeps what it was given.
func TestLarge(t *testing.T) {
	one, two := trace.ID{1}, trace.ID{2}
	var l large
	l.set(0, []jobs.LargeTrace{{Tenant: "a", ID: one}})
	given := l.of["a"]
	l.set(1, []jobs.LargeTrace{{Tenant: "a", ID: two}, {Tenant: "b", ID: one}})
	require.Equal(t, map[string]map[trace.ID]struct{}{"a": {one: {}, two: {}}, "b": {one: {}}}, l.of)
	l.set(0, nil)
	require.Equal(t, map[string]map[trace.ID]struct{}{"a": {two: {}}, "b": {one: {}}}, l.of)
	require.Equal(t, map[trace.ID]struct{}{one: {}}, given)
}
