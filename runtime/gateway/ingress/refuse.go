package ingress

import (
	"errors"

	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// refusedError is a refusal of a whole request by a receiver, with the reason under which it is
// counted. A refusal by the distributor is counted there and has no reason here.
type refusedError struct {
	reason refusals.Reason
	error
}

// Unwrap returns the cause, which has the class.
func (e *refusedError) Unwrap() error { return e.error }

// Refuse makes err a refusal that is counted under a reason.
func Refuse(reason refusals.Reason, err error) error { return &refusedError{reason, err} }

// CountRefused counts a request that a receiver has refused. tenant is empty if it is not known.
func (d *Door) CountRefused(tenant string, err error) {
	var r *refusedError
	if errors.As(err, &r) {
		d.deps.Refusals.CountRequest(tenant, r.reason, 0, err.Error())
	}
}

// isRefusedFor reports whether err is a refusal for this reason.
func isRefusedFor(reason refusals.Reason, err error) bool {
	var r *refusedError
	return errors.As(err, &r) && r.reason == reason
}
