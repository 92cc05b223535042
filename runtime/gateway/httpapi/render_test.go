package httpapi

import (
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	messages "github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/combine"
)

// Large answers wait for each other and come out whole; small ones wait for none.
func TestRenderSearch(t *testing.T) {
	answer := func(n int) *messages.SearchResponse {
		m := &messages.SearchResponse{}
		for i := range n {
			m.Traces = append(m.Traces, &messages.TraceSearchMetadata{TraceID: strconv.Itoa(i), RootServiceName: "shop"})
		}
		return m
	}
	a := &api{}
	large := answer(largeSearch + 1)
	want := combine.AppendSearch(nil, large, true)
	a.large.Lock()
	got := make([][]byte, 4)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { got[i] = a.renderSearch([]byte("x"), large, true)[1:] })
	}
	small := answer(largeSearch)
	require.Equal(t, combine.AppendSearch(nil, small, true), a.renderSearch(nil, small, true))
	a.large.Unlock()
	wg.Wait()
	for _, b := range got {
		require.Equal(t, string(want), string(b))
	}
}
