package main

import (
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/actors/backendscheduler"
	"github.com/troupe-tracing/troupe/actors/backendworker"
	"github.com/troupe-tracing/troupe/actors/blockbuilder"
	"github.com/troupe-tracing/troupe/actors/distributor"
	"github.com/troupe-tracing/troupe/actors/livestore"
	"github.com/troupe-tracing/troupe/actors/overrides"
	"github.com/troupe-tracing/troupe/actors/querier"
	"github.com/troupe-tracing/troupe/actors/queryfrontend"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/gateway/delivery"
	"github.com/troupe-tracing/troupe/runtime/gateway/jaeger"
	"github.com/troupe-tracing/troupe/runtime/gateway/otlp"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
	"github.com/troupe-tracing/troupe/runtime/gateway/ui"
	"github.com/troupe-tracing/troupe/runtime/gateway/zipkin"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore/azure"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore/gcs"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore/s3"
	"github.com/troupe-tracing/troupe/runtime/telemetry"
)

// Config is the whole configuration. Names and defaults are Tempo's wherever Tempo has the concept.
type Config struct {
	// The roles that the process runs. Only all is built, which is every role in one process.
	Target string `koanf:"target"`
	// Whether every request must name its tenant in the header X-Scope-OrgID. If not, everything
	// belongs to one tenant.
	Multitenancy bool `koanf:"multitenancy_enabled"`
	// Whether the HTTP port answers gRPC too. Grafana needs it to stream answers.
	StreamOverHTTP bool `koanf:"stream_over_http_enabled"`
	// The path that precedes /api in the URLs of the query API.
	APIPrefix string `koanf:"http_api_prefix"`
	// How long the node reports that it is not ready before it stops accepting requests, when it is
	// told to stop.
	ShutdownDelay time.Duration `koanf:"shutdown_delay"`
	// The time that the node has to finish accepted work when it stops. Spans that are not in
	// blocks by then remain in the log.
	ShutdownTimeout time.Duration `koanf:"shutdown_timeout"`
	// The size that the process stays below as long as its live data allow. auto is that of
	// GOMEMLIMIT in the environment, or three quarters of what the control group of the process
	// allows, or half of the machine's memory if no group limits it; the last two at least 64MiB
	// and at most 384MiB. 0 sets no such size. With GOMEMLIMIT or GOGC in the environment the
	// collector goes by these.
	MemoryLimit config.AutoBytes `koanf:"memory_limit"`

	Server        Server                  `koanf:"server"`
	Distributor   Distributor             `koanf:"distributor"`
	Ingest        Ingest                  `koanf:"ingest"`
	LiveStore     livestore.Config        `koanf:"live_store"`
	BlockBuilder  blockbuilder.Config     `koanf:"block_builder"`
	QueryFrontend QueryFrontend           `koanf:"query_frontend"`
	Scheduler     backendscheduler.Config `koanf:"backend_scheduler"`
	Worker        backendworker.Config    `koanf:"backend_worker"`
	Querier       querier.Config          `koanf:"querier"`
	Storage       Storage                 `koanf:"storage"`
	SelfTracing   telemetry.Tracing       `koanf:"self_tracing"`
	Overrides     overrides.Config        `koanf:"overrides"`
	UI            ui.Config               `koanf:"ui"`
}

// Server says where the query API and the pages listen, and what they accept.
type Server struct {
	// The address on which the query API over HTTP listens. If it is empty, the node listens on all
	// addresses of the machine.
	HTTPAddress string `koanf:"http_listen_address"`
	// The port of the query API over HTTP, of /ready and of /metrics.
	HTTPPort int `koanf:"http_listen_port"`
	// The address on which the query API over gRPC listens. If it is empty, the node listens on all
	// addresses of the machine.
	GRPCAddress string `koanf:"grpc_listen_address"`
	// The port of the query API over gRPC.
	GRPCPort int `koanf:"grpc_listen_port"`
	// The address of the operator's pages: configuration, limits, actors, profiles, and the queries
	// of all tenants.
	AdminAddress string `koanf:"admin_listen_address"`
	// The port of the operator's pages. 0 turns them off, and the value of http_listen_port serves
	// them on that port. If the key is not set and 3201 is taken, any free port is used.
	AdminPort int `koanf:"admin_listen_port"`
	// The time within which a request over HTTP must arrive completely.
	ReadTimeout time.Duration `koanf:"http_server_read_timeout"`
	// The time within which a client must read an answer over HTTP, counted from its first byte,
	// and each event of a stream.
	WriteTimeout time.Duration `koanf:"http_server_write_timeout"`
	// How long a client over HTTP or gRPC may read nothing of its answer before the answer is given
	// up. It applies to the senders of spans too. 0 sets no bound.
	StallTimeout time.Duration `koanf:"write_stall_timeout"`
	// How long a connection may be without a request before it is closed.
	IdleTimeout time.Duration `koanf:"http_server_idle_timeout"`
	// The time that open requests have to end when the node stops.
	GracefulShutdown time.Duration `koanf:"graceful_shutdown_timeout"`
	// The largest gRPC message that the query API accepts.
	MaxRecv config.Bytes `koanf:"grpc_server_max_recv_msg_size"`
	// The largest gRPC message that the query API sends.
	MaxSend config.Bytes `koanf:"grpc_server_max_send_msg_size"`
	// The number of gRPC streams that one connection may have open.
	MaxStreams int        `koanf:"grpc_server_max_concurrent_streams"`
	HTTPTLS    config.TLS `koanf:"http_tls_config"`
	GRPCTLS    config.TLS `koanf:"grpc_tls_config"`
	AdminTLS   config.TLS `koanf:"admin_tls_config"`
	// The lowest severity that is logged: debug, info, warn or error.
	LogLevel string `koanf:"log_level"`
	// The form of log lines: logfmt or json.
	LogFormat string `koanf:"log_format"`

	adminElsewhere bool // the operator's port is not configured: if it is taken, any free one serves
}

// sharesAdmin reports whether the operator's pages are served on the port of the query API.
func (s Server) sharesAdmin() bool {
	return !s.adminElsewhere && s.AdminPort != 0 && s.AdminPort == s.HTTPPort
}

// adminAddress is the address of the operator's pages. It is empty if they have no port of their
// own.
func (s Server) adminAddress() string {
	if s.AdminPort == 0 || s.sharesAdmin() {
		return ""
	}
	return net.JoinHostPort(s.AdminAddress, strconv.Itoa(s.AdminPort))
}

// deliveryLimits is how long clients may take to read answers.
func (s Server) deliveryLimits() delivery.Limits {
	return delivery.Limits{Stall: s.StallTimeout, Whole: s.WriteTimeout}
}

// Distributor is the way in: the distributor and its receivers.
type Distributor struct {
	distributor.Config `koanf:",squash"`
	Receivers          Receivers `koanf:"receivers"`
}

// Receivers are the protocols over which spans arrive.
type Receivers struct {
	OTLP   otlp.Config   `koanf:"otlp"`
	Zipkin zipkin.Config `koanf:"zipkin"`
	Jaeger jaeger.Config `koanf:"jaeger"`
}

// Ingest says which log holds the spans until they are in blocks.
type Ingest struct {
	Kafka Kafka `koanf:"kafka"`
}

// QueryFrontend is the way out: the query-frontend and the query API.
type QueryFrontend struct {
	queryfrontend.Config `koanf:",squash"`
	API                  query.Config `koanf:",squash"`
}

// Storage says where spans are kept.
type Storage struct {
	Trace TraceStorage `koanf:"trace"`
}

// TraceStorage is the log and the bucket.
type TraceStorage struct {
	// The kind of bucket: local, which is a folder; s3, which is Amazon S3 or a store with its
	// interface; gcs, Google Cloud Storage; or azure, Azure Blob Storage.
	Backend string       `koanf:"backend"`
	Local   LocalBucket  `koanf:"local"`
	S3      s3.Config    `koanf:"s3"`
	GCS     gcs.Config   `koanf:"gcs"`
	Azure   azure.Config `koanf:"azure"`
	WAL     WAL          `koanf:"wal"`
	// The memory for indexes and other parts of blocks that are kept for later queries. A bucket on
	// the network has as much again for pieces of its objects.
	Cache config.Bytes `koanf:"cache_bytes"`
}

// LocalBucket is a bucket in a folder.
type LocalBucket struct {
	// The folder of the blocks, of the catalog, and of the settings that tenants have made
	// themselves.
	Path string `koanf:"path"`
}

// WAL is the embedded log.
type WAL struct {
	// The folder of the log's files.
	Path string `koanf:"path"`
	// The number of partitions of the log. It may be raised from one start to the next, but never
	// lowered.
	Partitions int `koanf:"partitions"`
	// The size of the log on disk. When it is reached, pushes are refused until blocks are cut.
	MaxBytes config.Bytes `koanf:"max_bytes"`
	// The size of one file of the log.
	SegmentBytes config.Bytes `koanf:"segment_bytes"`
	// The space that the log leaves free on its disk for blocks, if they are on the same disk. When
	// less is free, pushes are refused with a time to come back. The default is enough for two
	// cuts; on a small disk less is left. 0 leaves none.
	KeepFree config.Bytes `koanf:"keep_free_bytes"`
	// Whether the node starts even if the log's blocks are in another bucket than
	// storage.trace.local.path. Answers then say what is missing.
	AcceptBucket bool `koanf:"accept_other_bucket"`
	// The memory for the newest records of the log until live-stores have read them. It should be
	// at least distributor.max_backlog_bytes.
	TailBytes config.Bytes `koanf:"tail_bytes"`
	// Whether the log is synced to disk before a push is acknowledged. Without it, acknowledged
	// spans survive the end of the process but not that of the machine.
	Sync bool `koanf:"sync"`
}

func defaultConfig() Config {
	c := Config{
		Target:          "all",
		StreamOverHTTP:  true,
		ShutdownTimeout: 30 * time.Second,
		MemoryLimit:     config.Auto,
		Server: Server{
			HTTPPort:         3200,
			GRPCPort:         9095,
			AdminAddress:     "127.0.0.1",
			AdminPort:        3201,
			ReadTimeout:      30 * time.Second,
			WriteTimeout:     2 * time.Minute,
			StallTimeout:     10 * time.Second,
			IdleTimeout:      2 * time.Minute,
			GracefulShutdown: 30 * time.Second,
			MaxRecv:          16 << 20,
			MaxSend:          16 << 20,
			MaxStreams:       100,
			LogLevel:         "info",
			LogFormat:        "logfmt",
			adminElsewhere:   true,
		},
		Distributor:   Distributor{Config: distributor.DefaultConfig()},
		Ingest:        Ingest{defaultKafka()},
		LiveStore:     livestore.DefaultConfig(),
		BlockBuilder:  blockbuilder.DefaultConfig(),
		Scheduler:     backendscheduler.DefaultConfig(),
		Worker:        backendworker.DefaultConfig(),
		QueryFrontend: QueryFrontend{Config: queryfrontend.DefaultConfig(), API: query.DefaultConfig()},
		Querier:       querier.DefaultConfig(),
		SelfTracing:   telemetry.DefaultTracing(),
		Overrides:     overrides.DefaultConfig(),
		UI:            ui.DefaultConfig(),
	}
	c.Overrides.Foreign = tenantKeys()
	c.Distributor.Receivers.OTLP = otlp.DefaultConfig()
	c.Distributor.Receivers.Zipkin = zipkin.DefaultConfig()
	c.Distributor.Receivers.Jaeger = jaeger.DefaultConfig()
	t := &c.Storage.Trace
	t.Backend, t.Local.Path, t.Cache = "local", "./data/blocks", 64<<20
	t.S3, t.GCS, t.Azure = s3.DefaultConfig(), gcs.DefaultConfig(), azure.DefaultConfig()
	t.WAL = WAL{
		Path:         "./data/log",
		Partitions:   4,
		MaxBytes:     4 << 30,
		SegmentBytes: 64 << 20,
		KeepFree:     128 << 20,
		TailBytes:    32 << 20,
		Sync:         true,
	}
	return c
}

// roles are the targets, by Tempo's names.
var roles = []string{
	kinds.Distributor,
	kinds.LiveStore,
	kinds.BlockBuilder,
	kinds.Querier,
	kinds.QueryFrontend,
	kinds.BackendScheduler,
	kinds.BackendWorker,
	"metrics-generator",
	"metrics-generator-no-local-blocks",
}

// Validate names every value that cannot work. Each section validates its own values.
func (c Config) Validate() error {
	var errs []error
	must := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	for _, t := range strings.Split(c.Target, ",") {
		switch t = strings.TrimSpace(t); {
		case t == "all":
		case slices.Contains(roles, t):
			must(false, "target: %s on its own needs the cluster, which is not built yet; run -target=all", t)
		default:
			must(false, "target: unrecognised module name: %s; known are all, %s", t, strings.Join(roles, ", "))
		}
	}
	must(c.APIPrefix == "" || strings.HasPrefix(c.APIPrefix, "/") && !strings.HasSuffix(c.APIPrefix, "/"),
		"http_api_prefix: %q must begin with / and not end in one", c.APIPrefix)
	must(c.ShutdownDelay >= 0 && c.ShutdownTimeout > 0, "shutdown_delay, shutdown_timeout: must be positive")
	must(c.MemoryLimit == config.Auto || c.MemoryLimit == 0 || c.MemoryLimit >= 64<<20,
		"memory_limit: %s is below 64MiB", c.MemoryLimit)
	t := c.Storage.Trace
	needed := map[string]struct{ key, value string }{
		"local": {"storage.trace.local.path", t.Local.Path},
		"s3":    {"storage.trace.s3.bucket", t.S3.Bucket},
		"gcs":   {"storage.trace.gcs.bucket_name", t.GCS.Bucket},
		"azure": {"storage.trace.azure.container_name", t.Azure.Container},
	}
	chosen, known := needed[t.Backend]
	must(known, "storage.trace.backend: unknown backend %s: it is one of local, s3, gcs and azure", t.Backend)
	must(!known || chosen.value != "", "%s: must not be empty", chosen.key)
	must(t.Cache >= 1<<20, "storage.trace.cache_bytes: %s is below 1MiB", t.Cache)
	return errors.Join(append(errs, c.findContradictions()...)...)
}

// Validate names every value that cannot work.
func (s Server) Validate() error {
	var errs []error
	ports := map[string]int{
		"http_listen_port":  s.HTTPPort,
		"grpc_listen_port":  s.GRPCPort,
		"admin_listen_port": s.AdminPort,
	}
	for key, port := range ports {
		if port < 0 || port > 65535 {
			errs = append(errs, fmt.Errorf("%s: %d is no port", key, port))
		}
	}
	if min(s.ReadTimeout, s.WriteTimeout, s.StallTimeout, s.IdleTimeout, s.GracefulShutdown) < 0 {
		errs = append(errs, errors.New("http_server_*_timeout, write_stall_timeout, graceful_shutdown_timeout: "+
			"must not be negative"))
	}
	if s.MaxRecv < 1<<10 || s.MaxSend < 1<<10 || s.MaxStreams < 1 {
		errs = append(errs, errors.New("grpc_server_max_*: must be positive, sizes at least 1024"))
	}
	if _, err := telemetry.Logger(io.Discard, s.LogFormat, s.LogLevel); err != nil {
		errs = append(errs, fmt.Errorf("log_level, log_format: %w", err))
	}
	return errors.Join(errs...)
}

// Validate names every value that cannot work.
func (w WAL) Validate() error {
	var errs []error
	if w.Path == "" {
		errs = append(errs, errors.New("path: must not be empty"))
	}
	if w.Partitions < 1 || w.Partitions > 1024 {
		errs = append(errs, fmt.Errorf("partitions: %d is outside 1 to 1024", w.Partitions))
	}
	if w.MaxBytes < 64<<20 || w.SegmentBytes < 1<<20 {
		errs = append(errs, errors.New("max_bytes, segment_bytes: must be at least 64MiB and 1MiB"))
	}
	return errors.Join(errs...)
}

//go:embed tempo-keys.txt
var tempoKeys string

// tenantKeys are Tempo's keys below a tenant in the file of tenants; at the top of that file every
// key is a tenant's name.
func tenantKeys() config.Foreign {
	var b strings.Builder
	for line := range strings.Lines(tempoKeys) {
		if strings.HasPrefix(line, "overrides.*.") || strings.HasPrefix(line, "@") {
			b.WriteString(line)
		}
	}
	return config.Foreign(b.String())
}

// envPrefix begins the names of variables that set keys. It is not TROUPE_ alone: an orchestrator
// puts the addresses of a service of that name into the environment.
const envPrefix = "TROUPE_CFG_"

// command is what the command line asks for.
type command struct {
	cfg      Config
	loaded   *config.Loaded
	warnings []config.Warning
	version  bool
	verify   bool
	strict   bool   // warnings are errors
	health   string // the URL to ask whether the node is ready
	mutex    int    // one in this many contended locks is profiled
	block    int    // one blocking event is profiled for this many nanoseconds of blocking
}

// errHelp: the help was printed.
var errHelp = flag.ErrHelp

// parseCommand reads the command line, the file and the environment. If the command line can be
// read, the command is returned beside an error, with the warnings and the values that could be
// read. Help is printed to out.
func parseCommand(args, environ []string, out io.Writer) (*command, error) {
	c := &command{cfg: defaultConfig()}
	set := map[string]string{}
	fs := flag.NewFlagSet("troupe", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	file := fs.String("config.file", "", "configuration `file`, in the shape of Tempo's")
	expand := fs.Bool("config.expand-env", false, "replace ${NAME} and ${NAME:-default} in the text of the file")
	fs.BoolVar(&c.verify, "config.verify", false,
		"check the configuration, say all that is wrong with it, and end: with exit code 1 if the node could not start")
	fs.BoolVar(&c.strict, "config.strict", false,
		"warnings about the configuration are errors, in -config.verify and at the start")
	fs.BoolVar(&c.version, "version", false, "print the version")
	health := fs.Bool("health", false, "ask a running node whether it is ready")
	url := fs.String("health.url", "http://localhost:3200/ready", "`address` for -health")
	fs.IntVar(&c.mutex, "mutex-profile-fraction", 0, "profile one in `n` contended locks")
	fs.IntVar(&c.block, "block-profile-threshold", 0, "profile one blocking event per `nanoseconds` blocked")
	fs.Func("set", "set any key of the configuration: `path=value`, repeatable", func(s string) error {
		path, value, ok := strings.Cut(s, "=")
		if !ok {
			return errors.New("want path=value")
		}
		set[path] = value
		return nil
	})
	for _, f := range keyFlags {
		fs.Var(keyFlag{f, set}, f.name, f.usage)
	}
	for _, name := range foreignFlags {
		fs.Var(foreignFlag{name.name, name.cause, &c.warnings}, name.name, "accepted for Tempo's sake and not acted on")
	}
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		printHelp(fs, out)
		return nil, errHelp
	case err != nil:
		return nil, fmt.Errorf("%w; troupe -help lists the flags", err)
	case fs.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q; troupe -help lists the flags", fs.Arg(0))
	}
	if *health {
		c.health = *url
	}
	if c.version || *health {
		return c, nil
	}
	src := config.Sources{
		File:      *file,
		ExpandEnv: *expand,
		Env:       environ,
		EnvPrefix: envPrefix,
		Flags:     set,
		Foreign:   config.Foreign(tempoKeys),
	}
	if *file != "" {
		if src.YAML, err = os.ReadFile(*file); err != nil {
			return c, fmt.Errorf("read configuration: %w", err)
		}
	}
	loaded, err := config.Load(&c.cfg, src)
	c.loaded = loaded
	c.warnings = append(c.warnings, loaded.Warnings...)
	if len(c.cfg.Overrides.Defaults.Generator) > 0 {
		w := config.Warning{Key: "overrides.defaults.metrics_generator", Cause: overrides.NoGenerator}
		c.warnings = append(c.warnings, w)
	}
	if loaded.Given("server.admin_listen_port") {
		c.cfg.Server.adminElsewhere = false
	}
	if *expand {
		c.cfg.Overrides.Environ = environ
	}
	c.applyReceivers(loaded)
	return c, c.checkFilesToo(errors.Join(err, config.Validate(&c.cfg)))
}

// applyReceivers turns receivers on and off by what the file lists. If the file lists any receiver,
// the protocols of OTLP that it does not list are off. Zipkin and the protocols of Jaeger are on if
// they are listed, also without an endpoint.
func (c *command) applyReceivers(l *config.Loaded) {
	const otlp = "distributor.receivers.otlp.protocols"
	p := &c.cfg.Distributor.Receivers.OTLP.Protocols
	for name, endpoint := range map[string]*string{"grpc": &p.GRPC.Endpoint, "http": &p.HTTP.Endpoint} {
		listed := l.InFile(otlp) || l.InFile("distributor.receivers") && !l.InFile("distributor.receivers.otlp")
		if listed && !l.Given(otlp+"."+name) {
			*endpoint = ""
		}
	}
	if l.Given("distributor.receivers.zipkin") && !l.Given("distributor.receivers.zipkin.endpoint") {
		c.cfg.Distributor.Receivers.Zipkin.Endpoint = zipkin.DefaultEndpoint
	}
	j := &c.cfg.Distributor.Receivers.Jaeger.Protocols
	for _, p := range []struct {
		name, usual string
		endpoint    *string
	}{
		{"grpc", jaeger.DefaultGRPC, &j.GRPC.Endpoint},
		{"thrift_http", jaeger.DefaultThriftHTTP, &j.ThriftHTTP.Endpoint},
		{"thrift_compact", jaeger.DefaultThriftCompact, &j.ThriftCompact.Endpoint},
		{"thrift_binary", jaeger.DefaultThriftBinary, &j.ThriftBinary.Endpoint},
	} {
		key := "distributor.receivers.jaeger.protocols." + p.name
		if l.Given(key) && !l.Given(key+".endpoint") {
			*p.endpoint = p.usual
		}
	}
	c.cfg.Distributor.Receivers.OTLP.RetryAfter = c.cfg.Distributor.RetryAfter
}
