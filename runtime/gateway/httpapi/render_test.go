package httpapi

import (
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	messages "github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/answer"
)

// Large answers wait for each other and come out whole; small ones wait for none.
func TestRenderSearch(t *testing.T) {
	response := func(n int) *messages.SearchResponse {
		m := &messages.SearchResponse{}
		for i := range n {
			m.Traces = append(m.Traces, &messages.TraceSearchMetadata{TraceID: strconv.Itoa(i), RootServiceName: "shop"})
		}
		return m
	}
	a := &handlers{}
	large := response(largeSearch + 1)
	want := answer.AppendSearchJSON(nil, large, true)
	a.largeAnswer.Lock()
	got := make([][]byte, 4)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { got[i] = a.renderSearch([]byte("x"), large, true)[1:] })
	}
	small := response(largeSearch)
	require.Equal(t, answer.AppendSearchJSON(nil, small, true), a.renderSearch(nil, small, true))
	a.largeAnswer.Unlock()
	wg.Wait()
	for _, b := range got {
		require.Equal(t, string(want), string(b))
	}
}
