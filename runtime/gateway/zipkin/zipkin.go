// Package zipkin takes spans in as Zipkin's clients send them: version 2 as JSON and protobuf,
// version 1 as JSON and thrift. It translates them to OTLP and hands them to the gateway of OTLP,
// whose limits and answers hold.
//
// A tag is found under the name that it was sent with. Tags that stand for a scope, a resource or a
// field of OTLP become that where their value fits it. A span that cannot be read is refused alone.
package zipkin

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
)

// Config is the section distributor.receivers.zipkin, in the collector's words.
type Config struct {
	TLS config.TLS `koanf:"tls"`
	// The address to listen on, as host:port. If it is not set, it is localhost:9411 if the file
	// lists the receiver; otherwise the receiver is off.
	Endpoint string `koanf:"endpoint"`
	// The largest body, both as it is sent and after unpacking.
	MaxBodySize config.Bytes `koanf:"max_request_body_size"`
	// Whether tags whose text reads as a number or a boolean are stored as such.
	ParseTags bool         `koanf:"parse_string_tags"`
	CORS      ingress.CORS `koanf:"cors"`
}

// DefaultEndpoint is where the receiver listens when it is listed without an endpoint.
const DefaultEndpoint = "localhost:9411"

// DefaultConfig is a receiver that is off.
func DefaultConfig() Config { return Config{MaxBodySize: 4 << 20} }

// Validate names every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	if _, _, err := net.SplitHostPort(c.Endpoint); c.Endpoint != "" && err != nil {
		errs = append(errs, fmt.Errorf("endpoint: want host:port, found %q", c.Endpoint))
	}
	if n := c.MaxBodySize; n < 1<<10 || n > 20<<20 {
		errs = append(errs, fmt.Errorf("max_request_body_size: %s is outside 1KiB to 20MiB", n))
	}
	return errors.Join(errs...)
}

// Server makes the server. The caller gives it a listener.
func Server(d *ingress.Door, cfg Config) *http.Server {
	return d.Server(cfg.CORS.Wrap(newHandler(d, cfg)))
}

func newHandler(d *ingress.Door, cfg Config) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/v1/spans", d.Foreign("zipkin", cfg.MaxBodySize, v1{cfg.ParseTags}))
	mux.Handle("/api/v2/spans", d.Foreign("zipkin", cfg.MaxBodySize, v2{cfg.ParseTags}))
	return mux
}
