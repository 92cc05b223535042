package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/actors/overrides"

	"github.com/troupe-tracing/troupe/runtime/config"
)

func parseWith(t *testing.T, yaml string, args ...string) (*command, error) {
	t.Helper()
	if yaml != "" {
		file := filepath.Join(t.TempDir(), "troupe.yaml")
		require.NoError(t, os.WriteFile(file, []byte(yaml), 0o600))
		args = append([]string{"-config.file=" + file}, args...)
	}
	return parseCommand(args, []string{"PORT=4444", "TROUPE_CFG_SERVER__LOG_LEVEL=debug"}, &bytes.Buffer{})
}

// A node without any configuration has one that works, and prints it whole.
func TestDefaultsWork(t *testing.T) {
	c, err := parseCommand(nil, nil, &bytes.Buffer{})
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
		"storage: {trace: {backend: swift}}":                                  {"storage.trace.backend: unknown backend swift"},
		"storage: {trace: {backend: s3}}":                                     {"storage.trace.s3.bucket: must not be empty"},
		"storage: {trace: {backend: s3, s3: {bucket: b}}}":                    {"storage.trace.s3.endpoint: must name the store"},
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
		_, err := parseCommand(args, nil, &bytes.Buffer{})
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
`, "-reporting.enabled")
	require.NoError(t, err)
	require.Equal(t, "/var/tempo/wal", c.cfg.Storage.Trace.WAL.Path)
	require.Equal(t, "0.0.0.0:4317", c.cfg.Distributor.Receivers.OTLP.Protocols.GRPC.Endpoint)
	named := map[string]string{}
	for _, w := range c.warnings {
		require.Empty(t, named[w.Key], "told twice: %s", w.Key)
		named[w.Key] = w.Cause
	}
	require.Equal(t, "localhost:14268", c.cfg.Distributor.Receivers.Jaeger.Protocols.ThriftHTTP.Endpoint)
	require.NotContains(t, named, "usage_report.reporting_enabled", "what turns something off that is not there is no reason to warn")
	for key, cause := range map[string]string{"-reporting.enabled": "Troupe reports to nobody", "storage.trace.block.version": "always of the format tcb1",
		"compactor.ring.kvstore.store":         "no effect: which blocks are merged follows from their sizes",
		"query_frontend.mcp_server.enabled":    "not built yet: the MCP server",
		"metrics_generator.storage.path":       "not built yet: the metrics-generator",
		"overrides.defaults.metrics_generator": "not built yet: the metrics-generator",
		"memberlist.join_members":              "not built yet: several nodes",
		"storage.trace.pool.max_workers":       "no effect: "} {
		require.Contains(t, named[key], cause, key)
	}
}

// No key is accepted without a word on what that means, and none that Troupe declares is listed.
func TestEveryForeignKeyHasACause(t *testing.T) {
	own := map[string]bool{}
	for _, k := range config.Keys(defaultConfig()) {
		own[k.Path] = k.Leaf
	}
	shared := map[string]bool{}
	for line := range strings.Lines(tempoKeys) {
		key, cause, _ := strings.Cut(strings.TrimSpace(line), " ")
		if key == "" || key == "#" {
			continue
		}
		cause = strings.TrimSpace(cause)
		require.NotEmpty(t, cause, key)
		require.NotContains(t, cause, "no meaning", key)
		require.False(t, own[key], "%s is a key of ours", key)
		switch {
		case key[0] == '@':
			shared[key] = true
		case cause[0] == '@':
			require.True(t, shared[cause], "%s: nobody says what %s is", key, cause)
		}
	}
	for _, f := range foreignFlags {
		require.NotEmpty(t, f.cause, f.name)
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
	for yaml, want := range map[string][4]string{
		"":                                     {},
		"distributor: {receivers: {jaeger: }}": {},
		"distributor: {receivers: {jaeger: {protocols: {grpc: , thrift_binary: {}}}}}": {"localhost:14250", "", "", "localhost:6832"},
		"distributor: {receivers: {jaeger: {protocols: {thrift_http: {endpoint: \"a:1\"}, thrift_compact: {queue_size: 5}}}}}": {
			"", "a:1", "localhost:6831", ""},
	} {
		c, err := parseWith(t, yaml)
		require.NoError(t, err, yaml)
		p := c.cfg.Distributor.Receivers.Jaeger.Protocols
		got := [4]string{p.GRPC.Endpoint, p.ThriftHTTP.Endpoint, p.ThriftCompact.Endpoint, p.ThriftBinary.Endpoint}
		require.Equal(t, want, got, yaml)
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
		_, err := parseCommand([]string{"-config.file=" + f, "-config.expand-env"}, []string{"KAFKA_PASSWORD=x"}, &bytes.Buffer{})
		require.NoError(t, err, f)
	}
}

// -help lists every flag of ours once, and none that only Tempo has.
func TestHelp(t *testing.T) {
	var b bytes.Buffer
	_, err := parseCommand([]string{"-help"}, nil, &b)
	require.ErrorIs(t, err, errHelp)
	for _, f := range keyFlags {
		require.Contains(t, b.String(), "-"+f.name)
	}
	require.NotContains(t, b.String(), foreignFlags[0].name)
}

// verify runs -config.verify, with a file unless it is empty, and returns what it prints and its
// exit code.
func verify(t *testing.T, yaml string, environ []string, args ...string) (string, int) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer out.Close()
	if yaml != "" {
		file := filepath.Join(t.TempDir(), "troupe.yaml")
		require.NoError(t, os.WriteFile(file, []byte(yaml), 0o600))
		args = append(args, "-config.file="+file)
	}
	code := run(append(args, "-config.verify"), environ, out, out)
	b, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	return string(b), code
}

// -config.verify says all that is wrong at once, groups its warnings by cause, ends with a verdict,
// and starts nothing. Warnings alone are no failure unless -config.strict is given, which holds at
// the start too.
func TestVerify(t *testing.T) {
	const warns = "backend_worker: {compaction: {block_retention: 48h, compaction_window: 1h}}\nquery_frontend: {mcp_server: {enabled: true}}\n"
	for _, c := range []struct {
		yaml    string
		args    []string
		code    int
		verdict string
		says    []string
	}{
		{"", nil, 0, "verdict: the node can start with this configuration: no errors, no warnings", nil},
		{warns, nil, 0, "verdict: the node can start with this configuration: no errors, 2 warnings",
			[]string{"warning: no effect: which blocks are merged", "arrived\n         backend_worker.compaction.compaction_window\n",
				"warning: not built yet: the MCP server"}},
		{warns, []string{"-config.strict"}, 1, "verdict: refused by -config.strict: no errors, 2 warnings", nil},
		{"", []string{"-config.strict"}, 0, "verdict: the node can start with this configuration: no errors, no warnings", nil},
		{"", []string{"-reporting.enabled"}, 0, "verdict: the node can start with this configuration: no errors, 1 warning", nil},
		{"target: x", nil, 1, "verdict: the node cannot start with this configuration: 1 error, no warnings", nil},
		{warns + "target: querier\ntarget: x\nstorage: {trace: {backend: swift, cache_bytes: 1, wal: {segment_bytes: 4GiB}}}\nnonsense: 1\nshutdown_delay: 5\n" +
			"server: {grpc_listen_port: 4317, http_tls_config: {cert_file: /x}}\n", nil, 1,
			"verdict: the node cannot start with this configuration: 9 errors, 2 warnings",
			[]string{":4: target is already defined on line 3", "querier on its own needs the cluster", "unknown backend swift", "storage.trace.cache_bytes: 1",
				":6: unknown key nonsense", ":7: shutdown_delay: want a duration", "both or none", "both listen on tcp port 4317", "segment_bytes: 4GiB is more than half"}},
		{"backend_scheduler: {retired_grace: 10m}", nil, 1, "verdict: the node cannot start with this configuration: 1 error, no warnings",
			[]string{"retired_grace: 10m0s is too short", "max_query_duration, 5m0s", "build_timeout, 10m0s"}},
		{"server: [", nil, 1, "verdict: the node cannot start with this configuration: 1 error, no warnings", nil},
		{"overrides: {per_tenant_override_config: /nowhere}\nserver: {grpc_tls_config: {cert_file: /x, key_file: /y}}", nil, 1,
			"verdict: the node cannot start with this configuration: 2 errors, no warnings", []string{"/nowhere", "server.grpc_tls_config.cert_file"}},
	} {
		out, code := verify(t, c.yaml, nil, c.args...)
		require.Equal(t, c.code, code, "%s\n%s", c.yaml, out)
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		require.Equal(t, c.verdict, lines[len(lines)-1], out)
		for _, w := range c.says {
			require.Contains(t, out, w, c.yaml)
		}
	}
	tenants := filepath.Join(t.TempDir(), "tenants.yaml")
	require.NoError(t, os.WriteFile(tenants, []byte("overrides: {a: {compaction: {block_retention: 1h, compaction_window: 1h}}}"), 0o600))
	out, code := verify(t, "overrides: {per_tenant_override_config: "+tenants+"}", nil)
	require.Equal(t, 0, code)
	require.Contains(t, out, "no effect: blocks of one day are merged")
	require.Contains(t, out, tenants+": overrides.a.compaction.compaction_window\n")
	_, err := parseWith(t, "overrides: {per_tenant_override_config: "+tenants+"}", "-config.strict")
	require.ErrorContains(t, err, "no effect: blocks of one day are merged")
	require.NoError(t, os.WriteFile(tenants, []byte("overrides: {a: {ingestion: {rate_limit_bytes: -1}, nonsense: 1}, b: {compaktion: {}}}"), 0o600))
	out, code = verify(t, "overrides: {per_tenant_override_config: "+tenants+"}\ntarget: x", nil)
	require.Equal(t, 1, code)
	for _, w := range []string{"target: unrecognised module name: x", "overrides[a].nonsense", "overrides[b].compaktion", "verdict: the node cannot start"} {
		require.Contains(t, out, w)
	}
	_, err = parseWith(t, warns, "-config.strict")
	require.ErrorContains(t, err, "no effect: which blocks are merged")
	_, err = parseWith(t, "", "-config.strict")
	require.NoError(t, err)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer null.Close()
	require.Equal(t, 0, run([]string{"-version"}, nil, null, null))
	require.Equal(t, 1, run([]string{"-health", "-health.url=http://127.0.0.1:1/ready"}, nil, null, null))
}

// Two listeners of the node on one port are found before anything is bound; different addresses,
// UDP beside TCP, and a port of 0 are none.
func TestPortsThatClash(t *testing.T) {
	for yaml, want := range map[string]string{
		"server: {grpc_listen_port: 4317}":                                 "server.grpc_listen_port, distributor.receivers.otlp.protocols.grpc.endpoint: both listen on tcp port 4317",
		"server: {grpc_listen_port: 3200}":                                 "server.http_listen_port, server.grpc_listen_port",
		"server: {grpc_listen_port: 4317, grpc_listen_address: 127.0.0.1}": "4317",
		"server: {grpc_listen_port: 4317, grpc_listen_address: 127.0.0.2}": "",
		"server: {http_listen_port: 0, grpc_listen_port: 0}":               "",
		// the operator's port gives way
		"server: {http_listen_port: 3201}": "",
		// and is shared where that is asked for
		"server: {http_listen_port: 3201, admin_listen_port: 3201}":                            "",
		"server: {grpc_listen_port: 3201, admin_listen_port: 3201}":                            "server.admin_listen_port",
		"distributor: {receivers: {zipkin: {endpoint: \":3200\"}}}":                            "server.http_listen_port, distributor.receivers.zipkin.endpoint",
		"distributor: {receivers: {otlp: {protocols: {grpc: {endpoint: \"4317\"}}}}}":          "want host:port such as 0.0.0.0:4317, found \"4317\"",
		"distributor: {receivers: {otlp: {protocols: {http: {endpoint: \"0.0.0.0:99999\"}}}}}": "want host:port",
	} {
		c, err := parseWith(t, yaml)
		if want == "" {
			require.NoError(t, err, yaml)
			require.Equal(t, strings.Contains(yaml, "admin"), c.cfg.Server.sharesAdmin(), yaml)
			continue
		}
		require.ErrorContains(t, err, want, yaml)
	}
	require.Empty(t, findClashes([]listenAddress{{"a", "tcp", "", 1}, {"b", "udp", "", 1}}))
	require.Len(t, findClashes([]listenAddress{{"a", "tcp", "::", 1}, {"b", "tcp", "10.0.0.1", 1}}), 1)
}

// With -config.expand-env a variable may hold a whole section, of the file and of the tenants'
// file.
func TestExpandEnv(t *testing.T) {
	tenantsFile := filepath.Join(t.TempDir(), "tenants.yaml")
	require.NoError(t, os.WriteFile(tenantsFile, []byte("overrides: ${TENANTS}\n"), 0o600))
	environ := []string{"O={defaults: {ingestion: {rate_limit_bytes: 5}}, per_tenant_override_config: " + tenantsFile + "}",
		"TENANTS={a: {global: {max_bytes_per_trace: 7}}}", "DATA=/var/tempo"}
	file := filepath.Join(t.TempDir(), "troupe.yaml")
	require.NoError(t, os.WriteFile(file, []byte("overrides: ${O}\nstorage: {trace: {backend: \"${BACKEND:-local}\", wal: {path: \"${DATA}/wal\"}}}\n"), 0o600))
	c, err := parseCommand([]string{"-config.file=" + file, "-config.expand-env=true"}, environ, &bytes.Buffer{})
	require.NoError(t, err)
	require.EqualValues(t, 5, *c.cfg.Overrides.Defaults.Ingestion.RateLimit)
	require.Equal(t, "/var/tempo/wal", c.cfg.Storage.Trace.WAL.Path)
	limits, err := overrides.ReadFile(c.cfg.Overrides)
	require.NoError(t, err)
	require.EqualValues(t, 7, limits.Of("a").Traces.MaxBytes)
	_, err = parseCommand([]string{"-config.file=" + file}, environ, &bytes.Buffer{})
	require.Error(t, err)
}

// A secret that came through a variable is hidden where the configuration is shown.
func TestSecretsOfVariablesAreHidden(t *testing.T) {
	file := filepath.Join(t.TempDir(), "troupe.yaml")
	require.NoError(t, os.WriteFile(file, []byte("ingest: {kafka: ${K}}\n"), 0o600))
	c, err := parseCommand([]string{"-config.file=" + file, "-config.expand-env"}, []string{"K={address: \"k:9092\", sasl_username: u, sasl_password: hunter2}"}, &bytes.Buffer{})
	require.NoError(t, err)
	require.Equal(t, "hunter2", c.cfg.Ingest.Kafka.Password.Value())
	for _, mode := range []string{"", "diff"} {
		b, err := newNodeOf(c.cfg).printConfig(mode)
		require.NoError(t, err)
		require.NotContains(t, string(b), "hunter2")
		require.Contains(t, string(b), "k:9092")
	}
}
