// Package jaeger takes spans in as Jaeger's clients and agents send them: protobuf over gRPC,
// thrift over HTTP, and thrift in packets of UDP. It translates them to OTLP and hands them to the
// gateway of OTLP, whose limits and answers hold.
//
// A tag is found under the name that it was sent with. Tags that stand for a field of OTLP
// (span.kind, otel.status_code, otel.scope.name, w3c.tracestate) become that field where their
// value fits it.
package jaeger

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
)

// Config is the section distributor.receivers.jaeger, in the collector's words.
type Config struct {
	Protocols Protocols `koanf:"protocols"`
}

// Protocols are the four ways in which spans of Jaeger come. A protocol without an endpoint is off.
type Protocols struct {
	GRPC          GRPC `koanf:"grpc"`
	ThriftHTTP    HTTP `koanf:"thrift_http"`
	ThriftCompact UDP  `koanf:"thrift_compact"`
	ThriftBinary  UDP  `koanf:"thrift_binary"`
}

// GRPC configures protobuf over gRPC.
type GRPC struct {
	TLS config.TLS `koanf:"tls"`
	// The address to listen on, as host:port. If it is not set, it is localhost:14250 if the file
	// lists the protocol; otherwise the protocol is off.
	Endpoint string `koanf:"endpoint"`
	// The largest message in MiB, after unpacking.
	MaxRecvMsgSize int `koanf:"max_recv_msg_size_mib"`
}

// HTTP configures thrift over HTTP.
type HTTP struct {
	TLS config.TLS `koanf:"tls"`
	// The address to listen on, as host:port. If it is not set, it is localhost:14268 if the file
	// lists the protocol; otherwise the protocol is off.
	Endpoint string `koanf:"endpoint"`
	// The largest body, both as it is sent and after unpacking.
	MaxBodySize config.Bytes `koanf:"max_request_body_size"`
}

// UDP configures thrift in packets.
type UDP struct {
	// The address to listen on, as host:port. If it is not set, it is localhost:6831 (compact) or
	// localhost:6832 (binary) if the file lists the protocol; otherwise the protocol is off.
	Endpoint string `koanf:"endpoint"`
	// The number of packets that may wait to be read. Further packets are dropped and counted.
	QueueSize int `koanf:"queue_size"`
	// The largest packet. Larger ones are dropped and counted.
	MaxPacket config.Bytes `koanf:"max_packet_size"`
	// The number of packets that are written to the log at the same time.
	Workers int `koanf:"workers"`
	// The kernel's memory for packets that the node has not received yet. With 0 the kernel
	// decides.
	SocketBuffer config.Bytes `koanf:"socket_buffer_size"`
}

// Where the protocols listen when they are listed without an endpoint.
const (
	DefaultGRPC          = "localhost:14250"
	DefaultThriftHTTP    = "localhost:14268"
	DefaultThriftCompact = "localhost:6831"
	DefaultThriftBinary  = "localhost:6832"
)

// DefaultConfig is a receiver that is off.
func DefaultConfig() Config {
	udp := UDP{QueueSize: 1000, MaxPacket: 65_000, Workers: 10}
	return Config{Protocols{GRPC: GRPC{MaxRecvMsgSize: 4}, ThriftHTTP: HTTP{MaxBodySize: 4 << 20}, ThriftCompact: udp,
		ThriftBinary: udp}}
}

// Validate names every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	p := c.Protocols
	for _, e := range []struct{ name, endpoint string }{{"grpc", p.GRPC.Endpoint},
		{"thrift_http", p.ThriftHTTP.Endpoint},
		{"thrift_compact", p.ThriftCompact.Endpoint}, {"thrift_binary", p.ThriftBinary.Endpoint}} {
		if _, _, err := net.SplitHostPort(e.endpoint); e.endpoint != "" && err != nil {
			errs = append(errs, fmt.Errorf("protocols.%s.endpoint: want host:port, found %q", e.name, e.endpoint))
		}
	}
	if n := p.GRPC.MaxRecvMsgSize; n < 1 || n > 20 {
		errs = append(errs, fmt.Errorf("protocols.grpc.max_recv_msg_size_mib: %d is outside 1 to 20", n))
	}
	if n := p.ThriftHTTP.MaxBodySize; n < 1<<10 || n > 20<<20 {
		errs = append(errs, fmt.Errorf("protocols.thrift_http.max_request_body_size: %s is outside 1KiB to 20MiB", n))
	}
	return errors.Join(append(errs, p.ThriftCompact.validateAt("protocols.thrift_compact"),
		p.ThriftBinary.validateAt("protocols.thrift_binary"))...)
}

func (u UDP) validateAt(path string) error {
	var errs []error
	if u.QueueSize < 1 || u.QueueSize > 100_000 {
		errs = append(errs, fmt.Errorf("%s.queue_size: %d is outside 1 to 100000", path, u.QueueSize))
	}
	if u.MaxPacket < 512 || u.MaxPacket > 65_535 {
		errs = append(errs, fmt.Errorf("%s.max_packet_size: %d is outside 512 to 65535", path, u.MaxPacket))
	}
	if u.Workers < 1 || u.Workers > 1000 {
		errs = append(errs, fmt.Errorf("%s.workers: %d is outside 1 to 1000", path, u.Workers))
	}
	if u.SocketBuffer < 0 || u.SocketBuffer > 256<<20 {
		errs = append(errs, fmt.Errorf("%s.socket_buffer_size: %s is outside 0 to 256MiB", path, u.SocketBuffer))
	}
	return errors.Join(errs...)
}

// Names of the protocols in metrics.
const (
	nameGRPC    = "jaeger_grpc"
	nameHTTP    = "jaeger_thrift_http"
	nameCompact = "jaeger_thrift_compact"
	nameBinary  = "jaeger_thrift_binary"
)

// GRPCServer makes the server of the collector's service. The caller gives it a listener.
func GRPCServer(d *ingress.Door, cfg GRPC) *ingress.ForeignServer {
	return d.ForeignGRPC(nameGRPC, "jaeger.api_v2.CollectorService", "PostSpans", config.Bytes(cfg.MaxRecvMsgSize)<<20,
		"distributor.receivers.jaeger.protocols.grpc.max_recv_msg_size_mib", postSpans{})
}

// HTTPServer makes the server of thrift over HTTP. The caller gives it a listener.
func HTTPServer(d *ingress.Door, cfg HTTP) *http.Server { return d.Server(newHandler(d, cfg)) }

func newHandler(d *ingress.Door, cfg HTTP) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/traces", d.Foreign(nameHTTP, cfg.MaxBodySize, batch{}))
	return mux
}
