package diff

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

var ctx = context.Background()

type testSpan struct {
	id, parent byte
	name       string
	start, end uint64
	status     int
	attr       string // value of the attribute "a"
}

// encode makes a trace of one service.
func encode(t *testing.T, id byte, service string, spans ...testSpan) []byte {
	t.Helper()
	doc := map[string]any{}
	var list []any
	for _, s := range spans {
		m := map[string]any{"traceId": fmt.Sprintf("%032x", id), "spanId": fmt.Sprintf("%016x", s.id), "name": s.name,
			"kind":              2,
			"startTimeUnixNano": fmt.Sprint(s.start * 1e6), "endTimeUnixNano": fmt.Sprint(s.end * 1e6),
			"status": map[string]any{"code": s.status}}
		if s.parent != 0 {
			m["parentSpanId"] = fmt.Sprintf("%016x", s.parent)
		}
		if s.attr != "" {
			m["attributes"] = []any{map[string]any{"key": "a", "value": map[string]any{"stringValue": s.attr}}}
		}
		list = append(list, m)
	}
	doc["resourceSpans"] = []any{map[string]any{"resource": map[string]any{"attributes": []any{map[string]any{"key": "service.name",
		"value": map[string]any{"stringValue": service}}}}, "scopeSpans": []any{map[string]any{"spans": list}}}}
	b, err := json.Marshal(doc)
	require.NoError(t, err)
	out, _, err := trace.FromJSON(b)
	require.NoError(t, err)
	return out
}

// A trace must not differ from itself.
func TestSame(t *testing.T) {
	a := encode(t, 1, "cart", testSpan{1, 0, "GET", 0, 100, 0, "x"}, testSpan{2, 1, "db", 10, 50, 2, ""})
	p, err := NewPatch(ctx, a, a)
	require.NoError(t, err)
	b, err := json.Marshal(p)
	require.NoError(t, err)
	id := "00000000000000000000000000000001"
	require.JSONEq(t, `{"version":"trace-patch-v0","base":{"traceId":"`+id+`","spanCount":2},"compare":{"traceId":"`+id+`","spanCount":2},
		"stats":{"spanCountA":2,"spanCountB":2,"matchedSpans":2,"modifiedSpans":0,"addedSpans":0,"removedSpans":0,"fieldChanges":0,"attributeChanges":0,
		"eventChanges":0,"truncated":false},"modified":[],"added":[],"removed":[],"warnings":[]}`, string(b))
	s, err := NewSummary(ctx, a, a)
	require.NoError(t, err)
	require.Equal(t, Signals{"unchanged", "unchanged", "unchanged", "unchanged", "unchanged"}, s.Signals)
	require.Equal(t, Trust{1, 1}, s.Trust)
	require.Empty(t, s.Services)
	require.Equal(t, Digest{id, "cart", "GET", 2, 1, 100, 140}, s.Base)
}

// Spans that are added, removed or modified must be named by their places.
func TestDifferent(t *testing.T) {
	a := encode(t, 1, "cart", testSpan{1, 0, "GET", 0, 100, 0, "x"}, testSpan{2, 1, "db", 10, 50, 0, ""},
		testSpan{3, 1, "old", 60, 70, 0, ""}, testSpan{4, 3, "older", 61, 62, 0, ""})
	b := encode(t, 2, "cart", testSpan{9, 0, "GET", 0, 100, 0, "y"}, testSpan{8, 9, "new", 5, 7, 0, ""},
		testSpan{7, 9, "db", 10, 60, 2, ""})
	p, err := NewPatch(ctx, a, b)
	require.NoError(t, err)
	require.Equal(t, PatchStats{SpanCountA: 4, SpanCountB: 3, MatchedSpans: 2, ModifiedSpans: 2, AddedSpans: 1,
		RemovedSpans: 2, FieldChanges: 2, AttributeChanges: 1}, p.Stats)
	require.Equal(t, []Change{{"replace", Target{Type: "attribute", Scope: "span", Key: "a"}, "x", "y"}},
		p.Modified[0].Changes)
	require.Equal(t, []int{0, 0}, p.Modified[1].Span.Path)
	require.Equal(t, []Change{{"replace", Target{Type: "field", Name: "duration_nanos"}, uint64(40e6), uint64(50e6)},
		{"replace", Target{Type: "field", Name: "status"}, "unset", "error"}}, p.Modified[1].Changes)
	require.Equal(t, []int{0}, p.Added[0].Target.ParentPath)
	require.Equal(t, 0, *p.Added[0].Target.Index)
	require.Equal(t, []int{0, 1}, p.Removed[0].Target.Path)
	require.Equal(t, []int{0, 1, 0}, p.Removed[1].Target.Path)

	s, err := NewSummary(ctx, a, b)
	require.NoError(t, err)
	require.Equal(t, Signals{"unchanged", "increased", "increased", "decreased", "changed"}, s.Signals)
	require.Equal(t, []ServiceChanges{{"cart", 1, 2, 1, 2, 1, 0}}, s.Services)
	require.InDelta(t, 0.4, s.Trust.StructureOverlap, 1e-9, "two of five paths")
	c, err := NewComposed(ctx, a, b)
	require.NoError(t, err)
	require.NotNil(t, c.Patch)
}

// The composed form must leave a large patch out and tell why.
func TestBudget(t *testing.T) {
	var many []testSpan
	for i := range 200 {
		many = append(many, testSpan{byte(i + 1), 0, strings.Repeat("name", 100), uint64(i), uint64(i + 1), 0, ""})
	}
	c, err := NewComposed(ctx, encode(t, 1, "a", testSpan{1, 0, "x", 0, 1, 0, ""}), encode(t, 2, "b", many...))
	require.NoError(t, err)
	require.Nil(t, c.Patch)
	require.NotNil(t, c.PatchOmitted)
	require.Equal(t, "over_budget", c.PatchOmitted.Reason)
	require.Greater(t, c.PatchOmitted.Bytes, patchBudget)
}

// Circles of parents, duplicate ids and missing parents must end in a tree of all spans.
func TestOddTraces(t *testing.T) {
	circle := encode(t, 1, "a", testSpan{1, 2, "x", 0, 1, 0, ""}, testSpan{2, 1, "y", 0, 1, 0, ""},
		testSpan{3, 3, "self", 0, 1, 0, ""},
		testSpan{4, 9, "orphan", 5, 4, 0, ""}, testSpan{4, 9, "orphan", 5, 4, 0, ""})
	tr, err := readTree(ctx, circle)
	require.NoError(t, err)
	require.Len(t, tr.all, 5)
	_, err = NewPatch(ctx, circle, nil)
	require.NoError(t, err)
	_, err = NewSummary(ctx, nil, nil)
	require.NoError(t, err)
	_, err = NewPatch(ctx, []byte{0x0a, 0x05}, nil)
	require.ErrorIs(t, err, trace.ErrMalformed)
}

func FuzzPatch(f *testing.F) {
	f.Add([]byte{}, []byte{0x0a, 0x00})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if p, err := NewPatch(ctx, a, b); (p == nil) == (err == nil) {
			t.Fatal("neither a patch nor an error, or both")
		}
	})
}
