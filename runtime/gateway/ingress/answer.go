package ingress

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// GRPCStatus returns the gRPC status of an error. Everything that may succeed another time is
// Unavailable, because clients send that again.
func (d *Door) GRPCStatus(err error) *grpcstatus.Status {
	if errors.Is(err, tenant.ErrMissing) {
		return grpcstatus.New(codes.Unauthenticated, err.Error())
	}
	e := status.Of(err)
	switch e.Class {
	case status.Invalid:
		return grpcstatus.New(codes.InvalidArgument, err.Error())
	case status.Limited:
		st := grpcstatus.New(codes.ResourceExhausted, err.Error())
		if after := e.RetryAfter; after > 0 {
			if with, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)}); err == nil {
				return with
			}
		}
		return st
	case status.Canceled:
		return grpcstatus.New(codes.Canceled, err.Error())
	case status.Timeout:
		return grpcstatus.New(codes.DeadlineExceeded, err.Error())
	case status.Internal:
		d.deps.Logger.Error("push failed", "err", err)
	}
	return grpcstatus.New(codes.Unavailable, err.Error())
}

// SetRetryAfter tells the client when to try again, if err says so.
func SetRetryAfter(w http.ResponseWriter, err error) {
	if e := status.Of(err); e.Class == status.Limited && e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
}

// HTTPCode returns the code of HTTP for a code of gRPC, by the table of OTLP over HTTP.
func HTTPCode(c codes.Code) int {
	switch c {
	case codes.OK:
		return http.StatusOK
	case codes.InvalidArgument:
		return http.StatusBadRequest
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Canceled, codes.DeadlineExceeded, codes.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
