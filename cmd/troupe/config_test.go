package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/config"
)

func parseWith(t *testing.T, yaml string, args ...string) (*command, error) {
	t.Helper()
	if yaml != "" {
		file := filepath.Join(t.TempDir(), "troupe.yaml")
		require.NoError(t, os.WriteFile(file, []byte(yaml), 0o600))
		args = append([]string{"-config.file=" + file}, args...)
	}
	return parse(args, []string{"PORT=4444", "TROUPE_CFG_SERVER__LOG_LEVEL=debug"}, &bytes.Buffer{})
}

// A node without any configuration has one that works, and prints it whole.
func TestDefaultsWork(t *testing.T) {
	c, err := parse(nil, nil, &bytes.Buffer{})
	require.NoError(t, err)
	require.Equal(t, defaultConfig(), c.cfg)
	require.Empty(t, c.warnings)
	for _, mode := range []string{"", "defaults", "diff"} {
		b, err := newNodeOf(c.cfg).printConfig(mode)
		require.NoError(t, err)
		require.Equal(t, mode == "diff", string(b) == "{}\n", "%s", b)
	}
}

func newNodeOf(cfg Config) *node { return &node{cfg: cfg} }

// Flags win over the environment, the environment over the file, the file over the defaults.
func TestLayersOfTheNode(t *testing.T) {
	c, err := parseWith(t, "server: {http_listen_port: 1, log_level: warn, grpc_listen_port: 2}\nshutdown_delay: 1d\n", "-server.http-listen-port=3", "-multitenancy.enabled",
		"-set", "storage.trace.wal.max_bytes=1GiB")
	require.NoError(t, err)
	require.Equal(t, 3, c.cfg.Server.HTTPPort)
	require.Equal(t, 2, c.cfg.Server.GRPCPort)
	require.Equal(t, "debug", c.cfg.Server.LogLevel)
	require.Equal(t, 24*time.Hour, c.cfg.ShutdownDelay)
	require.Equal(t, config.Bytes(1<<30), c.cfg.Storage.Trace.WAL.MaxBytes)
	require.True(t, c.cfg.Multitenancy)
	require.Equal(t, 9095, defaultConfig().Server.GRPCPort)
}

// What cannot work is told with its path, all of it at once.
func TestProblems(t *testing.T) {
	for yaml, want := range map[string][]string{
		"query_frontend: {serach: {}}":                                        {"unknown key query_frontend.serach (is query_frontend.search meant?)"},
		"server: {http_listen_port: 70000}\ntarget: x":                        {"server.http_listen_port: 70000 is no port", "target: unrecognised module name: x"},
		"target: ingester":                                                    {"unrecognised module name: ingester"},
		"target: querier":                                                     {"querier on its own needs the cluster, which is not built yet"},
		"storage: {trace: {backend: s3}}":                                     {"storage.trace.backend: unknown backend s3"},
		"distributor: {max_record_bytes: 5}":                                  {"distributor.max_record_bytes: 5 is outside"},
		"distributor: {receivers: {otlp: {protocols: {grpc: {a: 1}}}}}":       {"unknown key distributor.receivers.otlp.protocols.grpc.a"},
		"live_store: {segment_spans: 1}\nblock_builder: {max_block_bytes: 1}": {"live_store.segment_spans", "block_builder.max_block_bytes"},
		"server: {log_format: [a]}":                                           {"server.log_format: want a string"},
		"overides: {}":                                                        {"unknown key overides"},
	} {
		_, err := parseWith(t, yaml)
		require.Error(t, err, yaml)
		for _, w := range want {
			require.ErrorContains(t, err, w, yaml)
		}
	}
	for _, args := range [][]string{{"-nonsense"}, {"argument"}, {"-set", "x"}, {"-set", "server.x=1"}, {"-config.file=/nowhere"}} {
		_, err := parse(args, nil, &bytes.Buffer{})
		require.Error(t, err, args)
	}
}

// Files as operators of Tempo have them start a node; what means nothing here is named.
func TestTempoFiles(t *testing.T) {
	c, err := parseWith(t, `
server: {http_listen_port: 3200}
stream_over_http_enabled: true
distributor: {receivers: {otlp: {protocols: {grpc: {endpoint: "0.0.0.0:4317"}, http: {endpoint: "0.0.0.0:4318"}}}, jaeger: {protocols: {thrift_http: }}}}
backend_worker: {compaction: {block_retention: 48h}}
metrics_generator: {storage: {path: /var/tempo/generator/wal, remote_write: [{url: http://prom:9090/api/v1/write, send_exemplars: true}]}}
storage: {trace: {backend: local, wal: {path: /var/tempo/wal}, local: {path: /var/tempo/blocks}, block: {version: vParquet5}, pool: {max_workers: 1}}}
overrides: {defaults: {metrics_generator: {processors: [service-graphs, span-metrics]}}}
memberlist: {abort_if_cluster_join_fails: false, join_members: []}
usage_report: {reporting_enabled: false}
ingest: {kafka: {write_timeout: 3s}}
query_frontend: {max_outstanding_per_tenant: 1, trace_by_id: {query_shards: 3}, mcp_server: {enabled: true}}
querier: {frontend_worker: {frontend_address: "x:1"}}
compactor: {ring: {kvstore: {store: memberlist}}}
`, "-reporting.enabled=false")
	require.NoError(t, err)
	require.Equal(t, "/var/tempo/wal", c.cfg.Storage.Trace.WAL.Path)
	require.Equal(t, "0.0.0.0:4317", c.cfg.Distributor.Receivers.OTLP.Protocols.GRPC.Endpoint)
	named := map[string]bool{}
	for _, w := range c.warnings {
		require.False(t, named[w], "told twice: %s", w)
		named[w] = true
	}
	for _, w := range []string{"-reporting.enabled has no meaning here and is ignored", "storage.trace.block.version is ignored: blocks are always tcb1",
		"distributor.receivers.jaeger.protocols.thrift_http is ignored: the Jaeger receiver is not built yet: nothing listens for it",
		"usage_report.reporting_enabled is ignored: troupe reports to nobody", "storage.trace.pool.max_workers has no meaning here and is ignored"} {
		require.True(t, named[w], "%s in %v", w, c.warnings)
	}
}

// Once a file lists receivers, those that it does not list are off; a flag turns one on again.
func TestReceivers(t *testing.T) {
	for yaml, want := range map[string][2]string{
		"":                {"localhost:4317", "localhost:4318"},
		"distributor: {}": {"localhost:4317", "localhost:4318"},
		"distributor: {receivers: {otlp: {protocols: {grpc: }}}}":                    {"localhost:4317", ""},
		"distributor: {receivers: {otlp: {protocols: {http: {}}}}}":                  {"", "localhost:4318"},
		"distributor: {receivers: {otlp: {}}}":                                       {"localhost:4317", "localhost:4318"},
		"distributor: {receivers: {zipkin: {}}}":                                     {"", ""},
		"distributor: {receivers: {otlp: {protocols: {http: {endpoint: \"a:1\"}}}}}": {"", "a:1"},
	} {
		c, err := parseWith(t, yaml)
		require.NoError(t, err, yaml)
		p := c.cfg.Distributor.Receivers.OTLP.Protocols
		require.Equal(t, want, [2]string{p.GRPC.Endpoint, p.HTTP.Endpoint}, yaml)
	}
	for yaml, want := range map[string]string{
		"":                                       "",
		"distributor: {receivers: {otlp: {}}}":   "",
		"distributor: {receivers: {zipkin: }}":   "localhost:9411",
		"distributor: {receivers: {zipkin: {}}}": "localhost:9411",
		"distributor: {receivers: {zipkin: {cors: {allowed_origins: [\"*\"]}}}}": "localhost:9411",
		"distributor: {receivers: {zipkin: {endpoint: \"a:1\"}}}":                "a:1",
	} {
		c, err := parseWith(t, yaml)
		require.NoError(t, err, yaml)
		require.Equal(t, want, c.cfg.Distributor.Receivers.Zipkin.Endpoint, yaml)
	}
	c, err := parseWith(t, "distributor: {receivers: {otlp: {protocols: {grpc: }}}}", "-otlp.http-endpoint=b:2")
	require.NoError(t, err)
	require.Equal(t, "b:2", c.cfg.Distributor.Receivers.OTLP.Protocols.HTTP.Endpoint)
}

// The examples that we give away load.
func TestExamplesLoad(t *testing.T) {
	files, err := filepath.Glob("../../deploy/config/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		_, err := parse([]string{"-config.file=" + f, "-config.expand-env"}, []string{"KAFKA_PASSWORD=x"}, &bytes.Buffer{})
		require.NoError(t, err, f)
	}
}

// -help lists every flag of ours once, and none that only Tempo has.
func TestHelp(t *testing.T) {
	var b bytes.Buffer
	_, err := parse([]string{"-help"}, nil, &b)
	require.ErrorIs(t, err, errHelp)
	for _, f := range keyFlags {
		require.Contains(t, b.String(), "-"+f.name)
	}
	require.NotContains(t, b.String(), foreignFlags[0])
}

// -config.verify fails where there are warnings, and never starts anything.
func TestVerify(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer null.Close()
	require.Equal(t, 0, run([]string{"-config.verify"}, nil, null, null))
	require.Equal(t, 1, run([]string{"-config.verify", "-reporting.enabled=false"}, nil, null, null))
	require.Equal(t, 1, run([]string{"-config.verify", "-target=x"}, nil, null, null))
	require.Equal(t, 0, run([]string{"-version"}, nil, null, null))
	require.Equal(t, 1, run([]string{"-health", "-health.url=http://127.0.0.1:1/ready"}, nil, null, null))
}

// The limit of memory is what is configured, and gives way to what is live.
func TestMemoryLimit(t *testing.T) {
	require.EqualValues(t, 384<<20, limitFor(384<<20, 100<<20))
	require.EqualValues(t, 384<<20, limitFor(384<<20, 256<<20))
	require.EqualValues(t, 480<<20, limitFor(384<<20, 300<<20))
	require.EqualValues(t, 1536<<20, limitFor(384<<20, 1<<30))
	require.Equal(t, 2300, percentFor(384<<20, 0))
	require.Equal(t, 380, percentFor(384<<20, 40<<20))
	require.Equal(t, 100, percentFor(384<<20, 96<<20))
	require.Equal(t, 100, percentFor(384<<20, 1<<30))
}
