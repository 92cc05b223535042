package eval

import "errors"

// ErrUnsupported is wrapped by the errors of queries that are valid but cannot be evaluated yet.
// These are *UnsupportedError.
var ErrUnsupported = errors.New("not supported yet")

// UnsupportedError names the construct of a valid query that cannot be evaluated yet.
type UnsupportedError struct{ Construct string } // plural: "structural operators"

func (e *UnsupportedError) Error() string { return e.Construct + " are not supported yet" }

// Unwrap returns ErrUnsupported.
func (e *UnsupportedError) Unwrap() error { return ErrUnsupported }

func newUnsupported(construct string) error { return &UnsupportedError{Construct: construct} }
