package ingress

import (
	"net/http"
	"time"

	"github.com/troupe-tracing/troupe/runtime/gateway/rpc"
)

// Server makes a server whose connections have a share of the door's memory, and whose requests
// have to arrive in time.
func (d *Door) Server(h http.Handler) *http.Server {
	s := &http.Server{
		Handler:           rpc.Guard(d.deps.Logger, h),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       d.limits.ReceiveTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    rpc.MaxHeaderBytes,
		Protocols:         new(http.Protocols),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 100},
		ConnContext:       d.ConnContext,
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	return s
}
