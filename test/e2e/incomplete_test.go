package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/test/kit"
)

// found is what of a search's answer this test looks at.
type found struct {
	Traces []struct {
		TraceID string `json:"traceID"`
	} `json:"traces"`
	Complete bool     `json:"complete"`
	Warnings []string `json:"warnings"`
}

// A damaged block degrades the answers, visibly, and never falsifies one: what the other blocks
// hold is found whole, the block is named, and a client that asks for complete answers only gets
// none.
func TestDamagedBlock(t *testing.T) {
	n := kit.NewNode(t)
	n.Start()
	now := time.Now()
	shop := map[string]bool{}
	for i := range 40 {
		td := ptrace.NewTraces()
		for j := range 5 {
			s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
			id := [16]byte{0x11, byte(i), 15: 7}
			s.SetTraceID(id)
			s.SetSpanID([8]byte{byte(j + 1)})
			s.SetName("work")
			start := now.Add(time.Duration(i) * time.Millisecond)
			s.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
			s.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Millisecond)))
			shop[s.TraceID().String()] = true
		}
		body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		require.NoError(t, err)
		code, _, err := n.Push(context.Background(), "application/x-protobuf", body)
		require.NoError(t, err)
		require.Equal(t, 200, code)
	}
	require.Zero(t, n.Stop(30*time.Second)) // what was live is in blocks then
	files, err := filepath.Glob(filepath.Join(n.Dir, "blocks", "single-tenant", "*", "spans.parquet"))
	require.NoError(t, err)
	require.Greater(t, len(files), 1)
	n.Start()
	search := func(params ...string) (out found) {
		n.GetJSON(&out, "/api/search", append([]string{"q", `{ name = "work" }`, "limit", "1000", "require_complete", "false"}, params...)...)
		return out
	}
	whole := search()
	require.True(t, whole.Complete, whole.Warnings)
	require.Len(t, whole.Traces, len(shop))
	n.Kill()

	b, err := os.ReadFile(files[0])
	require.NoError(t, err)
	for i := 4; i < len(b)-4; i++ {
		b[i] ^= 0x5a
	}
	require.NoError(t, os.Chmod(files[0], 0o600))
	require.NoError(t, os.WriteFile(files[0], b, 0o600))
	block := filepath.Base(filepath.Dir(files[0]))
	n.Start()
	part := search()
	require.False(t, part.Complete)
	require.NotEmpty(t, part.Traces)
	require.Less(t, len(part.Traces), len(shop))
	require.Contains(t, strings.Join(part.Warnings, "\n"), "block "+block+": ")
	lost := map[string]bool{}
	for id := range shop {
		lost[id] = true
	}
	for _, m := range part.Traces {
		require.True(t, shop[m.TraceID])
		delete(lost, m.TraceID)
		code, body := n.Get("/api/traces/" + m.TraceID)
		require.Equal(t, 200, code)
		require.Equal(t, 5, strings.Count(string(body), `"spanId"`), "a trace of an undamaged block is whole")
	}
	for id := range lost {
		code, _ := n.Get("/api/traces/" + id)
		require.NotEqual(t, 200, code, "no trace is made of a damaged block")
	}
	code, body := n.Get("/api/search", "q", "{}", "require_complete", "true")
	require.GreaterOrEqual(t, code, 500)
	require.Contains(t, string(body), block)
	require.Contains(t, n.Log(), block, "somebody must look at it")
}
