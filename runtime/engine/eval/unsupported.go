package eval

import "errors"

// ErrUnsupported: the query is valid but cannot be evaluated yet. Errors that wrap it are
// *UnsupportedError.
var ErrUnsupported = errors.New("not supported yet")

// UnsupportedError names the construct of a valid query that cannot be evaluated yet.
type UnsupportedError struct{ Construct string } // plural: "structural operators"

func (e *UnsupportedError) Error() string { return e.Construct + " are not supported yet" }

// Unwrap returns ErrUnsupported.
func (e *UnsupportedError) Unwrap() error { return ErrUnsupported }

func newUnsupported(construct string) error { return &UnsupportedError{Construct: construct} }
