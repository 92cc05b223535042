package traceql

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A field is read as it stands in a query; anything else is an error that says where.
func TestParseField(t *testing.T) {
	for in, want := range map[string]Field{
		"span.http.method":        {Scope: ScopeSpan, Name: "http.method"},
		".region":                 {Scope: ScopeNone, Name: "region"},
		"event:name":              {Scope: ScopeIntrinsic, Name: "event:name"},
		"span:status":             {Scope: ScopeIntrinsic, Name: "status"},
		`span."key with space"`:   {Scope: ScopeSpan, Name: "key with space"},
		`span."ключ"`:             {Scope: ScopeSpan, Name: "ключ"},
		"span.a/b":                {Scope: ScopeSpan, Name: "a/b"},
		"instrumentation.scope.k": {Scope: ScopeInstrumentation, Name: "scope.k"},
		"resource.service.name":   {Scope: ScopeResource, Name: "service.name"},
		"kind":                    {Scope: ScopeIntrinsic, Name: "kind"},
	} {
		f, err := ParseField(in)
		require.NoError(t, err, in)
		require.Equal(t, want.Scope, f.Scope, in)
		require.Equal(t, want.Name, f.Name, in)
	}
	for in, want := range map[string]string{
		"service.name": "parse error at line 1, col 1: unknown identifier: service",
		"foo.bar":      "unknown identifier: foo",
		"":             "parse error at line 1, col 1",
		"5":            "is no field",
		"span.a = 1":   "behind the field",
		"span:nope":    "not an intrinsic",
	} {
		_, err := ParseField(in)
		require.ErrorContains(t, err, want, in)
	}
}

func FuzzParseField(f *testing.F) {
	for _, s := range []string{"span.a", ".x", "event:name", `span."a`, "{", "parent.span.x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		field, err := ParseField(s)
		if (field == nil) == (err == nil) {
			t.Fatal("neither a field nor an error, or both")
		}
	})
}
