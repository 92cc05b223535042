package traceql

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Every construct of the language is spanwise or is not. test/oracle proves it for the first list;
// a query that is wrongly in the second only costs more.
func TestIsSpanwise(t *testing.T) {
	for _, text := range []string{
		`{ }`, `{ true }`, `{ !(name = "a" || -duration < 5ms) && .a ^ 2 > 1 }`,
		`{ name = "a" } | { status = error } | coalesce() | select(.a, duration)`,
		`{ name =~ "a" && statusMessage != nil && status = ok && kind = server && duration > 1s }`,
		`{ .a = 1 || span.a = 1 || resource.a = 1 || instrumentation.a = 1 || event.a = 1 || link.a = 1 }`,
		`{ span:id = "a" && span:parentID = "a" && trace:id = "a" && resource:id = "a" }`,
		`{ event:name = "a" && event:timeSinceStart > 1s && link:traceID = "a" && link:spanID = "a" }`,
		`{ instrumentation:name = "a" && instrumentation:version = "a" }`,
		`{ span:name = "a" && span:duration > 1s && span:status = ok && span:kind = server && span:statusMessage = "a" }`,
		`{ nestedSetParent < 0 }`, `{ nestedSetParent < 0 && name = "a" } | rate() by (.a)`,
		`{ } | rate()`, `{ } | count_over_time() by (name, .a)`, `{ } | avg_over_time(duration)`,
		`{ } | quantile_over_time(.a, .5) by (resource.b)`, `{ } | histogram_over_time(duration)`,
		`{ } | rate() by (name) | topk(3)`, `{ } | rate() > 5`, `({ } | rate()) / ({ name = "a" } | rate())`,
		`{ } | rate() with (exemplars = 5, extrapolate = true)`,
	} {
		q, err := Parse(text)
		require.NoError(t, err, text)
		require.True(t, IsSpanwise(q.Root), text)
	}
	for _, text := range []string{
		`{ traceDuration > 1s }`, `{ trace:duration > 1s }`, `{ rootName = "a" }`, `{ trace:rootName = "a" }`,
		`{ rootServiceName = "a" }`, `{ trace:rootService = "a" }`, `{ span:childCount > 1 }`,
		`{ nestedSetLeft > 1 }`, `{ nestedSetRight > 1 }`, `{ nestedSetParent > 1 }`, `{ nestedSetParent < 1 }`,
		`{ nestedSetParent < 0 || name = "a" }`, `{ !(nestedSetParent < 0) }`, `{ name = rootName }`,
		`{ } && { }`, `{ } || { }`, `{ } > { }`, `{ } >> { }`, `{ } < { }`, `{ } << { }`, `{ } ~ { }`,
		`{ } !> { }`, `{ } !>> { }`, `{ } !< { }`, `{ } !<< { }`, `{ } !~ { }`,
		`{ } &> { }`, `{ } &>> { }`, `{ } &< { }`, `{ } &<< { }`, `{ } &~ { }`,
		`({ } | count() > 1) >> ({ })`, `{ } | by(name)`, `{ } | count() > 1`, `{ } | avg(duration) > 1s`,
		`{ } | min(.a) > 1`, `{ } | max(.a) > 1`, `{ } | sum(.a) > 1`,
		`{ } | select(rootName)`, `{ } | rate() by (rootName)`, `{ } | avg_over_time(span:childCount)`,
		`{ } | avg_over_time(traceDuration)`, `{ } >> { } | rate()`, `{ } | compare({ status = error })`,
		`({ } | rate()) / ({ rootName = "a" } | rate())`, `{ } >> { } | rate() | topk(3)`,
		`{ nestedSetParent < 0 } | rate() by (nestedSetParent)`,
	} {
		q, err := Parse(text)
		require.NoError(t, err, text)
		require.False(t, IsSpanwise(q.Root), text)
	}
	for _, scope := range []FieldScope{ScopeParent, ScopeParentSpan, ScopeParentResource} { // the parser refuses them
		require.False(t, IsSpanwise(&Field{Scope: scope, Name: "a"}))
	}
}
