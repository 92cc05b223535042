package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
)

// profiles are the nodes that the cases run on, with their data.
type profiles struct {
	base  base
	nodes map[string]*kit.Node
}

const perTenant = `overrides:
  limited: {ingestion: {rate_limit_bytes: 1000, burst_size_bytes: 1000}}
  padded:  {ingestion: {rate_limit_bytes: 10000000, burst_size_bytes: 10000000}, read: {left_pad_trace_ids: true}}
  narrow:  {ingestion: {rate_limit_bytes: 10000000, burst_size_bytes: 10000000}, read: {max_search_duration: 1h, max_metrics_duration: 1h}}
`

// start starts the nodes and sends them the data: all of it to the one without tenants, parts of it
// to three tenants of the other.
func start(t *testing.T) profiles {
	t.Helper()
	input, err := os.ReadFile("testdata/input.otlp.json")
	if os.IsNotExist(err) {
		t.Skipf("the recorded cases are not here: %s", err)
	}
	require.NoError(t, err)
	p := profiles{base: base((time.Now().Unix() - 240) / 60 * 60), nodes: map[string]*kit.Node{}}
	one := kit.NewNode(t)
	one.Config = "stream_over_http_enabled: true\n"
	one.WithZipkin()
	one.Start()
	p.nodes["default"] = one
	many := kit.NewNode(t)
	file := filepath.Join(many.Dir, "overrides.yaml")
	require.NoError(t, os.WriteFile(file, []byte(perTenant), 0o600))
	many.Config = "stream_over_http_enabled: true\nmultitenancy_enabled: true\noverrides:\n  per_tenant_override_config: " + file +
		"\n  user_configurable_overrides: {enabled: true}\n"
	many.Start()
	p.nodes["tenants"] = many

	var message struct {
		ResourceSpans []json.RawMessage `json:"resourceSpans"`
	}
	require.NoError(t, json.Unmarshal([]byte(p.base.fill(string(input))), &message))
	p.push(t, one, "", message.ResourceSpans)
	groups := byTrace(t, message.ResourceSpans)
	for tenant, numbers := range map[string][]int{"acme": {1, 3, 7, 8}, "globex": {2, 4, 5, 6, 7}, "padded": {8}} {
		var part []json.RawMessage
		for _, n := range numbers {
			part = append(part, groups[n-1]...)
		}
		p.push(t, many, tenant, part)
	}
	return p
}

// byTrace sorts resource groups by their trace, traces in the order of their appearance.
func byTrace(t *testing.T, all []json.RawMessage) (groups [][]json.RawMessage) {
	t.Helper()
	at := map[string]int{}
	for _, raw := range all {
		var g struct {
			ScopeSpans []struct{ Spans []struct{ TraceID string } }
		}
		require.NoError(t, json.Unmarshal(raw, &g))
		id := g.ScopeSpans[0].Spans[0].TraceID
		i, ok := at[id]
		if !ok {
			i = len(groups)
			at[id] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], raw)
	}
	require.Len(t, groups, 8)
	return groups
}

// push sends resource groups and waits until each of their traces is found.
func (p profiles) push(t *testing.T, n *kit.Node, tenant string, groups []json.RawMessage) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"resourceSpans": groups})
	require.NoError(t, err)
	var headers []string
	if tenant != "" {
		headers = []string{"X-Scope-OrgID", tenant}
	}
	code, answer, err := n.Push(t.Context(), "application/json", body, headers...)
	require.NoError(t, err)
	require.Equal(t, 200, code, "%s", answer)
	require.Eventually(t, func() bool {
		code, err := p.head(n, tenant, fmt.Sprintf("/api/traces/%s", traceOf(groups[len(groups)-1])))
		return err == nil && code == 200
	}, 20*time.Second, 20*time.Millisecond, "what was sent is found")
}

func traceOf(group json.RawMessage) string {
	var g struct {
		ScopeSpans []struct{ Spans []struct{ TraceID string } }
	}
	_ = json.Unmarshal(group, &g)
	return g.ScopeSpans[0].Spans[0].TraceID
}

// stages runs the cases over live data, and again when all of it lies in blocks: the answers must
// be the same.
func (p profiles) stages(t *testing.T, run func(stage string)) {
	t.Helper()
	run("live")
	for _, n := range p.nodes {
		require.Zero(t, n.Stop(30*time.Second), n.Log())
		n.Start()
	}
	run("blocks")
}
