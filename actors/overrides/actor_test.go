package overrides

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/limits"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/sim"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/storage/documents"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// node is the actor of a node with a file and a bucket.
type node struct {
	t    *testing.T
	w    *sim.World
	sys  *system.System
	ref  ask.Ref
	file string
	live atomic.Pointer[Limits]
}

func startNode(t *testing.T, text string) *node {
	n := &node{t: t, w: sim.New(1), file: filepath.Join(t.TempDir(), "tenants.yaml")}
	n.sys = n.w.System()
	n.writeFile(text)
	cfg := DefaultConfig()
	cfg.File, cfg.Own.Enabled = n.file, true
	first, err := ReadFile(cfg)
	require.NoError(t, err)
	n.live.Store(first)
	store, err := documents.Open(t.Context(), journal.New(objstore.NewMemory(), "overrides/"))
	require.NoError(t, err)
	kind := Kind(Deps{
		Live:      &n.live,
		Documents: store,
		IO:        n.w.Pool("io"),
		Clock:     n.w.Clock(),
		Logger:    slog.New(slog.DiscardHandler),
	}, cfg)
	require.NoError(t, n.sys.Start([]supervise.Kind{kind}, func(supervise.Kind) []string { return []string{""} }))
	n.ref, err = n.sys.Find(kinds.Overrides, "")
	require.NoError(t, err)
	return n
}

func (n *node) writeFile(text string) {
	require.NoError(n.t, os.WriteFile(n.file, []byte(text), 0o600))
}

func (n *node) bytesOfTrace(tenant string) int64 { return n.live.Load().Of(tenant).Traces.MaxBytes }

// A changed file holds after one period; a wrong one changes nothing, and neither does a restart.
func TestFileIsReadAgain(t *testing.T) {
	n := startNode(t, "overrides: {a: {global: {max_bytes_per_trace: 1}}}")
	n.writeFile("overrides: {a: {global: {max_bytes_per_trace: 2}}}")
	n.w.Advance(9 * time.Second)
	require.EqualValues(t, 1, n.bytesOfTrace("a"))
	n.w.Advance(2 * time.Second)
	require.EqualValues(t, 2, n.bytesOfTrace("a"))
	n.writeFile("overrides: {a: {global: {max_bytes_per_trace: -1}}}")
	n.w.Advance(time.Minute)
	require.EqualValues(t, 2, n.bytesOfTrace("a"))
	n.w.Kill(n.ref)
	n.w.Settle()
	require.EqualValues(t, 2, n.bytesOfTrace("a"), "what is in force survives a restart")
	n.writeFile("overrides: {a: {global: {max_bytes_per_trace: 3}}}")
	n.w.Advance(time.Minute)
	require.EqualValues(t, 3, n.bytesOfTrace("a"))
}

// What is written is read back with its version, and a write that names another version is a
// conflict; a restart keeps what was answered.
func TestDocuments(t *testing.T) {
	n := startNode(t, "overrides: {}")
	wrote, err := ask.Ask[limits.OwnWritten](t.Context(), n.sys, n.ref, limits.WriteOwn{Tenant: "a", Body: []byte(`{}`)})
	require.NoError(t, err)
	require.Equal(t, limits.OwnWritten{Version: 1}, wrote)
	wrote, err = ask.Ask[limits.OwnWritten](t.Context(), n.sys, n.ref, limits.WriteOwn{Tenant: "a", Body: []byte(`{}`)})
	require.NoError(t, err)
	require.True(t, wrote.Conflict)
	n.w.Kill(n.ref)
	doc, err := ask.Ask[limits.OwnDocument](t.Context(), n.sys, n.ref, limits.ReadOwn{Tenant: "a"})
	require.NoError(t, err)
	require.Equal(t, limits.OwnDocument{Body: []byte(`{}`), Version: 1}, doc)
	_, err = ask.Ask[limits.OwnWritten](t.Context(), n.sys, n.ref, limits.RemoveOwn{Tenant: "a", Version: 1})
	require.NoError(t, err)
	list, err := ask.Ask[limits.OwnTenants](t.Context(), n.sys, n.ref, limits.ListOwn{})
	require.NoError(t, err)
	require.Empty(t, list.Tenants)
	require.NoError(t, n.sys.Drain(context.Background()))
}
