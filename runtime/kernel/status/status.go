// Package status is the table of error classes and of their codes in HTTP and gRPC.
package status

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
)

// Class tells an asker what it can do about an error.
type Class uint8

// The classes. Corrupt is never retried: the block is set aside and reported.
const (
	Internal Class = iota
	Invalid
	NotFound
	Limited
	Unavailable
	Timeout
	Canceled
	Corrupt
)

var table = [...]struct {
	name string
	http int
	grpc codes.Code
}{
	Internal:    {"internal", http.StatusInternalServerError, codes.Internal},
	Invalid:     {"invalid", http.StatusBadRequest, codes.InvalidArgument},
	NotFound:    {"not found", http.StatusNotFound, codes.NotFound},
	Limited:     {"limited", http.StatusTooManyRequests, codes.ResourceExhausted},
	Unavailable: {"unavailable", http.StatusServiceUnavailable, codes.Unavailable},
	Timeout:     {"timeout", http.StatusGatewayTimeout, codes.DeadlineExceeded},
	Canceled:    {"canceled", 499, codes.Canceled},
	Corrupt:     {"corrupt", http.StatusInternalServerError, codes.DataLoss},
}

// String is the class's name in logs and metrics.
func (c Class) String() string { return table[c].name }

// HTTP is the class's HTTP status code.
func (c Class) HTTP() int { return table[c].http }

// GRPC is the class's gRPC code.
func (c Class) GRPC() codes.Code { return table[c].grpc }

// Error is an error with its class. Actors reply it to questions that they cannot answer.
type Error struct {
	Class      Class
	RetryAfter time.Duration // Limited only: when to come back
	Err        error
}

// Error is the text of the cause; the class is not part of it.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error of a class; %w works as in fmt.Errorf.
func Errorf(c Class, format string, args ...any) *Error {
	return &Error{Class: c, Err: fmt.Errorf(format, args...)}
}

// Limitedf makes a Limited error that names when to come back.
func Limitedf(after time.Duration, format string, args ...any) *Error {
	return &Error{Class: Limited, RetryAfter: after, Err: fmt.Errorf(format, args...)}
}

// Classed is implemented by errors of pure packages, which do not know this one, to name their
// class.
type Classed interface{ StatusClass() string }

// Of returns the classified form of an error: its own class, or one derived from what it wraps. An
// actor replies it, so that no answer to a failed question is without a class. It returns nil for
// nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return &Error{Class: e.Class, RetryAfter: e.RetryAfter, Err: err}
	}
	var c Classed
	switch {
	case errors.As(err, &c):
		for i, row := range table {
			if row.name == c.StatusClass() {
				return &Error{Class: Class(i), Err: err}
			}
		}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Class: Timeout, Err: err}
	case errors.Is(err, context.Canceled):
		return &Error{Class: Canceled, Err: err}
	}
	return &Error{Class: Internal, Err: err}
}
