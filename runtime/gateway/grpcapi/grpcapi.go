// Package grpcapi is the query API over gRPC: tempopb.StreamingQuerier. Next on the way of a query: runtime/gateway/query.
package grpcapi

import (
	"google.golang.org/grpc"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
)

// Deps is what the API reaches.
type Deps = query.Deps

type server struct {
	api.UnimplementedStreamingQuerierServer
	deps Deps
}

// Register adds the service to a gRPC server.
func Register(s grpc.ServiceRegistrar, d Deps) {
	api.RegisterStreamingQuerierServer(s, &server{deps: d})
}
