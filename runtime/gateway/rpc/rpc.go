// Package rpc makes gRPC servers with what every one of ours has: bounds for what one client may
// take, unpacking that is bounded, and handlers whose panic is an answer and a line of the log
// instead of the end of the process. Guard does the last for HTTP.
package rpc

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/troupe-tracing/troupe/runtime/gateway/packed"
)

// MaxHeaderBytes is how large the headers of one request may be. What gRPC allows without it, 16
// MiB, is outside every bound of memory.
const MaxHeaderBytes = 64 << 10

// NewServer makes a server that takes messages of up to maxRecv bytes, unpacked. Options in more
// win.
func NewServer(log *slog.Logger, maxRecv int, more ...grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append([]grpc.ServerOption{
		grpc.ForceServerCodecV2(packed.Codec(int64(maxRecv))),
		grpc.MaxRecvMsgSize(maxRecv + packed.MarkBytes),
		grpc.MaxHeaderListSize(MaxHeaderBytes),
		grpc.MaxConcurrentStreams(100),
		grpc.ConnectionTimeout(10 * time.Second),
		// as clients of Tempo ping
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second,
			PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(func(
			ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler,
		) (_ any, err error) {
			defer Recover(log, info.FullMethod, &err)
			return handle(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(
			srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler,
		) (err error) {
			defer Recover(log, info.FullMethod, &err)
			return handle(srv, s)
		}),
	}, more...)...)
}

// Recover is deferred: it logs a panic and makes it the error that err points to.
func Recover(log *slog.Logger, where string, err *error) {
	if p := recover(); p != nil {
		log.Error("panic while answering", "where", where, "panic", p, "stack", string(debug.Stack()))
		*err = grpcstatus.Error(codes.Internal, "internal error: the node's log has more")
	}
}

// Guard does for a handler of HTTP what Recover does for one of gRPC. The library's own recovery is
// for those who read its log.
func Guard(log *slog.Logger, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler: // how a handler ends a connection
				panic(p)
			default:
				log.Error("panic while answering", "where", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				http.Error(w, "internal error: the node's log has more", http.StatusInternalServerError)
			}
		}()
		h.ServeHTTP(w, r)
	})
}
