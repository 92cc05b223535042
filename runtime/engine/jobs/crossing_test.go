package jobs_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// crossing are the messages that travel between nodes. ViewJob and CoverageChanged are between an
// actor and the catalog of its own node, CutJob between a block-builder and the live-store beside
// it, and Query between a gateway and the query-frontend beside it.
var crossing = []any{
	jobs.CoveredJob{}, jobs.CoveredResult{},
	jobs.HomesJob{}, jobs.HomesResult{},
	jobs.LiveScanJob{}, jobs.LiveTracesJob{},
	jobs.BlockScanJob{}, jobs.BlockTracesJob{},
	jobs.LiveTraceJob{}, jobs.BlockTraceJob{},
	jobs.LiveKeysJob{}, jobs.BlockKeysJob{}, jobs.KeysResult{},
	jobs.LiveSpansJob{}, jobs.BlockSpansJob{}, jobs.SpansResult{},
	jobs.TakeChunk{}, jobs.TraceChunk{},
	jobs.ScanResult{}, jobs.TracesResult{}, jobs.TraceResult{},
	jobs.ListQueries{}, jobs.Queries{},
	jobs.CancelQuery{}, jobs.QueryCanceled{},
	jobs.Appended{},
}

var (
	protoMessage = reflect.TypeFor[proto.Message]()
	aTable       = reflect.TypeFor[column.Table]()
	// A query travels as its text, which parses to the same tree.
	queryTree = reflect.TypeFor[*traceql.Query]()
	// So does a field.
	fieldTree = reflect.TypeFor[*traceql.Field]()
)

// A message between nodes is data alone: it holds no function, channel, error or table, and no
// interface, of which only the sender knows what is behind it.
func TestCrossingMessagesAreData(t *testing.T) {
	for _, m := range crossing {
		typ := reflect.TypeOf(m)
		require.Empty(t, foreignFields(typ, typ.Name(), map[reflect.Type]bool{}))
	}
}

// The test above finds what it looks for, however deep it lies.
func TestForeignFieldsAreFound(t *testing.T) {
	type inner struct {
		Told func()
		Err  error
	}
	type outer struct {
		Query *traceql.Query
		List  map[string][]*inner
		Any   any
	}
	found := foreignFields(reflect.TypeFor[outer](), "outer", map[reflect.Type]bool{})
	require.Equal(t, []string{"outer.List.Told: func()", "outer.List.Err: error", "outer.Any: interface {}"}, found)
	require.NotEmpty(t, foreignFields(reflect.TypeFor[jobs.CutResult](), "CutResult", map[reflect.Type]bool{}))
	require.Empty(t, foreignFields(reflect.TypeFor[jobs.Query](), "Query", map[reflect.Type]bool{}))
}

// foreignFields lists the paths below a type at which a value would be no data.
func foreignFields(t reflect.Type, path string, seen map[reflect.Type]bool) (out []string) {
	if t == queryTree || t == fieldTree || t.Implements(protoMessage) || reflect.PointerTo(t).Implements(protoMessage) {
		return nil
	}
	switch t.Kind() {
	case reflect.Func, reflect.Chan, reflect.Interface, reflect.UnsafePointer, reflect.Uintptr:
		return []string{fmt.Sprintf("%s: %s", path, t)}
	case reflect.Map:
		return append(foreignFields(t.Key(), path, seen), foreignFields(t.Elem(), path, seen)...)
	case reflect.Slice, reflect.Array, reflect.Pointer:
		if t.Implements(aTable) {
			return []string{fmt.Sprintf("%s: %s", path, t)}
		}
		return foreignFields(t.Elem(), path, seen)
	case reflect.Struct:
		if seen[t] {
			return nil
		}
		seen[t] = true
		for i := range t.NumField() {
			f := t.Field(i)
			out = append(out, foreignFields(f.Type, path+"."+f.Name, seen)...)
		}
	}
	return out
}
