package diff

import (
	"context"
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// chain is one span below the other, in the order in which ids tell, or from the leaf up.
func chain(n int, name string, leafFirst bool) []byte {
	spans := make([]*otlp.Span, n)
	for i := range spans {
		s := &otlp.Span{Trace: otlp.TraceID(1), ID: otlp.SpanID(uint64(i + 1)), Parent: otlp.SpanID(uint64(i)),
			Name: name, Start: 1e18, End: 1e18 + uint64(i)}
		if i == 0 {
			s.Parent = trace.SpanID{}
		}
		spans[i] = s
		if leafFirst {
			spans[n-1-i] = s
		}
	}
	return otlp.Encode(spans...)
}

// wide is spans of one resource with as many attributes.
func wide(n int, value string) []byte {
	r := &otlp.Resource{}
	for i := range n {
		r.Attrs = append(r.Attrs, otlp.Attr{Key: strings.Repeat("k",
			3) + string(rune('a'+i%26)) + string(rune(0x4e00+i)), Value: value})
	}
	spans := make([]*otlp.Span, n)
	for i := range spans {
		spans[i] = &otlp.Span{Trace: otlp.TraceID(1), ID: otlp.SpanID(uint64(i + 1)), Name: "x", Start: 1e18,
			End: 1e18, Resource: r}
	}
	return otlp.Encode(spans...)
}

// The memory that a comparison takes, and the length of its result, must not grow faster than the
// traces, whatever their shape.
func TestMemoryIsLinear(t *testing.T) {
	for name, made := range map[string]func(n int) (a, b []byte){
		"chain":           func(n int) (a, b []byte) { return chain(n, "x", false), chain(n, "x", false) },
		"changed chain":   func(n int) (a, b []byte) { return chain(n, "x", false), chain(n, "y", false) },
		"chain from leaf": func(n int) (a, b []byte) { return chain(n, "x", true), chain(n, "x", false) },
		"wide resource":   func(n int) (a, b []byte) { return wide(n, "x"), wide(n, "y") },
	} {
		t.Run(name, func(t *testing.T) {
			cost := func(n int) (allocated, answer uint64) {
				a, b := made(n)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				p, err := NewPatch(ctx, a, b)
				require.NoError(t, err)
				_, err = NewSummary(ctx, a, b)
				require.NoError(t, err)
				runtime.ReadMemStats(&after)
				text, err := json.Marshal(p)
				require.NoError(t, err)
				return after.TotalAlloc - before.TotalAlloc, uint64(len(text))
			}
			small, _ := cost(1500)
			large, answer := cost(6000)
			require.Less(t, large, 8*small+4*maxListedBytes, "four times the spans")
			require.Less(t, answer, uint64(3*maxListedBytes))
		})
	}
}

// A comparison must end soon after its context.
func TestCancelled(t *testing.T) {
	gone, cancel := context.WithCancel(ctx)
	cancel()
	a := chain(3000, "x", false)
	_, err := NewPatch(gone, a, a)
	require.ErrorIs(t, err, context.Canceled)
}
