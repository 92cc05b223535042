package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// A trace arrives in parts that together are the trace. One that breaks off is an error, after the
// parts that have come.
func TestTraceParts(t *testing.T) {
	td := ptrace.NewTraces()
	for range 5 {
		s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetName(strings.Repeat("n", partBytes/2-100))
	}
	whole, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	read := func(b []byte) (resources, parts int, err error) {
		err = eachPart(bytes.NewReader(b), func(td ptrace.Traces) error {
			resources, parts = resources+td.ResourceSpans().Len(), parts+1
			return nil
		})
		return resources, parts, err
	}
	resources, parts, err := read(whole)
	require.NoError(t, err)
	require.Equal(t, []int{5, 2}, []int{resources, parts})
	resources, _, err = read(whole[:len(whole)-1])
	require.ErrorContains(t, err, "it broke off")
	require.Equal(t, 3, resources)
	resources, parts, err = read(nil)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, []int{resources, parts})
	_, _, err = read([]byte("no trace"))
	require.ErrorContains(t, err, "no trace")
}
