package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Files that people have used with Tempo, rewritten: what -config.verify says of each, and whether
// the node could start. case.md of each says why.
func TestFilesOfReports(t *testing.T) {
	const cannot, can = "verdict: the node cannot start", "verdict: the node can start"
	want := map[string][]string{
		"config-01-jaeger-and-log-spans":      {can, "not built yet: a log line or a metric for each span"},
		"config-03-s3-slos-native-histograms": {can, "not built yet: metrics of service level objectives"},
		"config-04-generator-flat-overrides":  {can, "not built yet: the metrics-generator. No metrics are made of spans"},
		"config-05-all-receivers-of-1x":       {can, "OpenCensus"},
		"config-07-mcp-tenants":               {can, "not built yet: the MCP server"},
		"config-08-scaled-memberlist-s3":      {can, "not built yet: several nodes"},
		"config-09-zipkin-only":               {can + " with this configuration: no errors, no warnings"},
		"config-10-env":                       {can},
		"config-11-port-clash":                {cannot, "server.grpc_listen_port, distributor.receivers.otlp.protocols.grpc.endpoint: both listen on tcp port 4317"},
		"config-13-cors":                      {can},
		"config-14-v3-microservice":           {cannot, "target: distributor on its own needs the cluster"},
		"config-15-retention-v3":              {can},
		"config-env-map":                      {can + " with this configuration: no errors, no warnings"},
	}
	folders, err := filepath.Glob("../../test/reports/config-*")
	require.NoError(t, err)
	require.Len(t, folders, len(want))
	for _, folder := range folders {
		name := filepath.Base(folder)
		yaml, err := os.ReadFile(filepath.Join(folder, "config.yaml"))
		require.NoError(t, err)
		tenantsFile, err := filepath.Abs(filepath.Join(folder, "overrides.yaml"))
		require.NoError(t, err)
		text := strings.ReplaceAll(string(yaml), "/etc/tempo/overrides.yaml", tenantsFile)
		out, code := verify(t, text, []string{"DATA=/var/tempo", "O={defaults: {ingestion: {rate_limit_bytes: 5}}}"}, "-config.expand-env=true")
		require.Equal(t, strings.HasPrefix(want[name][0], cannot), code == 1, "%s:\n%s", name, out)
		for _, w := range want[name] {
			require.Contains(t, out, w, name)
		}
		require.NotContains(t, out, "no meaning")
	}
}
