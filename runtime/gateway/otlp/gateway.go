// Package otlp takes spans in over OTLP: gRPC and HTTP, protobuf and JSON, each on either port. It
// passes the bytes on as they are; the distributor reads them. What requests may take of memory and
// time, and how they are answered when something is wrong, is the door's (runtime/gateway/ingress).
package otlp

import (
	"errors"
	"net/http"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
)

// Gateway takes OTLP requests.
type Gateway struct {
	door *ingress.Door
	cfg  Config
}

// New makes a gateway at a door that was made with the limits of cfg; GRPC and HTTP serve it.
func New(d *ingress.Door, cfg Config) *Gateway { return &Gateway{door: d, cfg: cfg} }

// isUnreadable reports whether the distributor could not read the bytes as OTLP.
func isUnreadable(err error) bool { return errors.Is(err, trace.ErrMalformed) }

// isRPC reports whether a request is one of gRPC.
func isRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}
