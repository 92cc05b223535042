package main

import (
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/config"
)

// flagOf is a flag that sets a key of the configuration.
type flagOf struct {
	name, path, usage string
	boolean           bool
}

// keyFlags are the flags of keys, with Tempo's names if it has the flag. -set sets any other key.
var keyFlags = []flagOf{
	{"target", "target", "`roles` to run; only all is built", false},
	{"multitenancy.enabled", "multitenancy_enabled", "requests name their tenant in X-Scope-OrgID", true},
	{"auth.enabled", "multitenancy_enabled", "the old name of -multitenancy.enabled", true},
	{"http-api-prefix", "http_api_prefix", "`path` before /api", false},
	{"shutdown-delay", "shutdown_delay", "`time` to be not ready before the node stops", false},
	{"shutdown-timeout", "shutdown_timeout", "`time` to finish what was taken when the node stops", false},
	{"memory-limit", "memory_limit", "`size` of the process while its live data allow", false},
	{"server.http-listen-address", "server.http_listen_address", "`address` of the query API; all when empty", false},
	{"server.http-listen-port", "server.http_listen_port", "`port` of the query API, /ready and /metrics", false},
	{"server.grpc-listen-address", "server.grpc_listen_address",
		"`address` of the query API over gRPC; all when empty", false},
	{"server.grpc-listen-port", "server.grpc_listen_port", "`port` of the query API over gRPC", false},
	{"server.admin-listen-address", "server.admin_listen_address",
		"`address` of the operator's pages; all when empty", false},
	{"server.admin-listen-port", "server.admin_listen_port", "`port` of the operator's pages; 0: none", false},
	{"log.level", "server.log_level", "debug, info, warn or error", false},
	{"log.format", "server.log_format", "logfmt or json", false},
	{"otlp.grpc-endpoint", "distributor.receivers.otlp.protocols.grpc.endpoint",
		"`host:port` for OTLP over gRPC", false},
	{"otlp.http-endpoint", "distributor.receivers.otlp.protocols.http.endpoint",
		"`host:port` for OTLP over HTTP", false},
	{"storage.trace.backend", "storage.trace.backend", "`kind` of bucket: local, s3, gcs or azure", false},
	{"storage.trace.local.path", "storage.trace.local.path", "`folder` of the blocks", false},
	{"storage.trace.wal.path", "storage.trace.wal.path", "`folder` of the log", false},
	{"config.per-user-override-config", "overrides.per_tenant_override_config", "`file` of limits by tenant", false},
	{"config.per-user-override-period", "overrides.per_tenant_override_period",
		"`time` between looks at that file", false},
	{"distributor.rate-limit-strategy", "overrides.defaults.ingestion.rate_strategy", "local or global", false},
	{"distributor.ingestion-rate-limit-bytes", "overrides.defaults.ingestion.rate_limit_bytes",
		"`bytes` a second that a tenant may send", false},
	{"distributor.ingestion-burst-size-bytes", "overrides.defaults.ingestion.burst_size_bytes",
		"`bytes` that a tenant may send at once", false},
	{"ingester.max-bytes-per-trace", "overrides.defaults.global.max_bytes_per_trace",
		"`bytes` that a trace may have", false},
	{"querier.max-bytes-per-tag-values-query", "overrides.defaults.read.max_bytes_per_tag_values_query",
		"`bytes` of names or values in one answer", false},
	{"ingest.address", "ingest.kafka.address", "`host:port` of Kafka brokers, instead of the embedded log", false},
	{"ingest.topic", "ingest.kafka.topic", "Kafka `topic`", false},
}

// keyFlag is a flag on the command line. It stores its value under the path of the key.
type keyFlag struct {
	flagOf
	set map[string]string
}

// String is the default value, which flags leave to the configuration.
func (keyFlag) String() string { return "" }

// Set stores the value.
func (f keyFlag) Set(v string) error { f.set[f.path] = v; return nil }

// IsBoolFlag allows the flag without a value.
func (f keyFlag) IsBoolFlag() bool { return f.boolean }

// foreignFlags are flags of Tempo that are accepted and not acted on. cause says what that means
// for the operator.
var foreignFlags = []struct{ name, cause string }{
	{"enable-go-runtime-metrics", "no effect: the metrics of the Go runtime are always on"},
	{"span-profiling", "not built yet: profiles by span. /debug/pprof on the operator's port has those of the process"},
	{"reporting.enabled", "no effect: Troupe reports to nobody"},
	{"memberlist.host-port", clusterCause},
	{"memberlist.bind-port", clusterCause},
	{"querier.frontend-address", clusterCause},
	{"query-frontend.mcp-server.enabled", "not built yet: the MCP server. /api/mcp answers 404"},
	{"storage.trace.blocklist_poll", "no effect: blocks are found through the catalog, nothing polls the bucket"},
	{"storage.trace.pool.max-workers", poolCause},
	{"storage.trace.pool.queue-depth", poolCause},
	{"distributor.log-received-spans.enabled", spanLogCause},
	{"distributor.log-discarded-spans.enabled", spanLogCause},
	{"ingester.max-traces-per-user", "no effect: all traces are kept, however many"},
	{"config.enable-legacy-overrides", "no effect: flat and scoped names of limits are both read"},
	{"mem-ballast-size-mbs", "use -memory-limit"},
}

const (
	clusterCause = "not built yet: several nodes. One process runs everything"
	poolCause    = "no effect: the query-frontend splits queries by the size of blocks and shares its slots by time"
	spanLogCause = "not built yet: a log line or a metric for each span. " +
		"What is refused is logged once a minute and counted"
)

// foreignFlag adds a warning when it is given, unless it turns off something that is not there.
type foreignFlag struct {
	name, cause string
	warnings    *[]config.Warning
}

// String is the default value, of which there is none.
func (foreignFlag) String() string { return "" }

// Set adds the warning.
func (f foreignFlag) Set(value string) error {
	if value != "false" || !f.IsBoolFlag() {
		*f.warnings = append(*f.warnings, config.Warning{Key: "-" + f.name, Cause: f.cause})
	}
	return nil
}

// IsBoolFlag allows the flag without a value; with one it is written -flag=value.
func (f foreignFlag) IsBoolFlag() bool {
	switch f.name {
	case "enable-go-runtime-metrics", "span-profiling", "config.enable-legacy-overrides":
		return true
	}
	return strings.HasSuffix(f.name, "enabled")
}

// helpColumn is the width of names in -help. The text of a longer name begins on the next line.
const helpColumn = 36

func printHelp(fs *flag.FlagSet, out io.Writer) {
	fmt.Fprint(out, "troupe keeps traces and answers questions about them. "+
		"Without any flag it takes OTLP on 4317 and 4318,\n"+
		"answers on 3200 and keeps its data in ./data.\n\n")
	foreign := map[string]bool{}
	for _, f := range foreignFlags {
		foreign[f.name] = true
	}
	fs.VisitAll(func(f *flag.Flag) {
		if foreign[f.Name] {
			return
		}
		value, usage := flag.UnquoteUsage(f)
		if value == "value" {
			value = ""
		}
		name := strings.TrimSpace("-" + f.Name + " " + value)
		if len(name) > helpColumn {
			name += "\n  " + strings.Repeat(" ", helpColumn)
		}
		fmt.Fprintf(out, "  %-*s %s\n", helpColumn, name, usage)
	})
	fmt.Fprintf(out, "\nEvery key of the configuration can be set in the environment: "+
		"%sSERVER__LOG_LEVEL=debug sets server.log_level. Flags win over the\n"+
		"environment, the environment over the file. docs/config.md lists the keys.\n", envPrefix)
}
