package otlp

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
)

// Config is the section distributor.receivers.otlp, in the collector's words.
type Config struct {
	Protocols Protocols `koanf:"protocols"`
	// The memory of all requests that are being received and unpacked. When it is used up, a
	// request waits for max_wait and is then refused with a time to come back.
	MaxBufferedBytes config.Bytes `koanf:"max_buffered_bytes"`
	// How long a request waits for memory before it is refused.
	MaxWait time.Duration `koanf:"max_wait"`
	// The time within which a request must arrive completely.
	ReceiveTimeout time.Duration `koanf:"receive_timeout"`
	RetryAfter     time.Duration `koanf:"-"` // the distributor's; 0: refusals name no time
}

// Protocols are the two forms of OTLP.
type Protocols struct {
	GRPC GRPC `koanf:"grpc"`
	HTTP HTTP `koanf:"http"`
}

// GRPC configures OTLP over gRPC.
type GRPC struct {
	TLS config.TLS `koanf:"tls"`
	// The address to listen on, as host:port. If it is empty, the protocol is off.
	Endpoint string `koanf:"endpoint"`
	// The largest message in MiB, after unpacking.
	MaxRecvMsgSize int `koanf:"max_recv_msg_size_mib"`
}

// HTTP configures OTLP over HTTP.
type HTTP struct {
	TLS config.TLS `koanf:"tls"`
	// The address to listen on, as host:port. If it is empty, the protocol is off.
	Endpoint string `koanf:"endpoint"`
	// The path to which clients post spans.
	TracesPath string `koanf:"traces_url_path"`
	// The largest body, both as it is sent and after unpacking.
	MaxBodySize config.Bytes `koanf:"max_request_body_size"`
	CORS        ingress.CORS `koanf:"cors"`
}

// DefaultConfig is what a node runs with when nothing is configured.
func DefaultConfig() Config {
	return Config{
		Protocols: Protocols{
			GRPC: GRPC{Endpoint: "localhost:4317", MaxRecvMsgSize: 16},
			HTTP: HTTP{Endpoint: "localhost:4318", TracesPath: "/v1/traces", MaxBodySize: 20 << 20},
		},
		MaxBufferedBytes: 128 << 20, MaxWait: time.Second, ReceiveTimeout: 30 * time.Second,
		RetryAfter: 5 * time.Second,
	}
}

// Limits are those of the door, which all receivers share.
func (c Config) Limits() ingress.Limits {
	return ingress.Limits{
		BufferedBytes:  int64(c.MaxBufferedBytes),
		LargestRequest: int64(c.largestRequest()),
		MaxWait:        c.MaxWait,
		ReceiveTimeout: c.ReceiveTimeout,
		RetryAfter:     c.RetryAfter,
	}
}

func (c Config) largestRequest() config.Bytes {
	return max(config.Bytes(c.Protocols.GRPC.MaxRecvMsgSize)<<20, c.Protocols.HTTP.MaxBodySize)
}

// LeastBufferedBytes is the least that requests of the largest size need.
func (c Config) LeastBufferedBytes() config.Bytes { return 2 * c.largestRequest() }

// Validate names every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	for name, endpoint := range map[string]string{"grpc": c.Protocols.GRPC.Endpoint,
		"http": c.Protocols.HTTP.Endpoint} {
		if _, _, err := net.SplitHostPort(endpoint); endpoint != "" && err != nil {
			errs = append(errs, fmt.Errorf("protocols.%s.endpoint: want host:port, found %q", name, endpoint))
		}
	}
	if n := c.Protocols.GRPC.MaxRecvMsgSize; n < 1 || n > 256 {
		errs = append(errs, fmt.Errorf("protocols.grpc.max_recv_msg_size_mib: %d is outside 1 to 256", n))
	}
	if n := c.Protocols.HTTP.MaxBodySize; n < 1<<10 || n > 256<<20 {
		errs = append(errs, fmt.Errorf("protocols.http.max_request_body_size: %s is outside 1KiB to 256MiB", n))
	}
	if !strings.HasPrefix(c.Protocols.HTTP.TracesPath, "/") {
		errs = append(errs, fmt.Errorf("protocols.http.traces_url_path: %q does not begin with /",
			c.Protocols.HTTP.TracesPath))
	}
	if need := c.LeastBufferedBytes(); c.MaxBufferedBytes < need {
		errs = append(errs, fmt.Errorf("max_buffered_bytes: %s is below twice the largest request, %s",
			c.MaxBufferedBytes, need))
	}
	if c.MaxWait < 0 || c.ReceiveTimeout <= 0 {
		errs = append(errs, errors.New("max_wait, receive_timeout: must be positive"))
	}
	return errors.Join(errs...)
}
