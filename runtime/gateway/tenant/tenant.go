// Package tenant reads and checks the tenant of a request.
package tenant

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// Header names the tenant in HTTP; gRPC metadata uses it in lower case.
const Header = "X-Scope-OrgID"

// Single is the tenant of everything when multitenancy is off.
const Single = "single-tenant"

const maxBytes = 150

// ErrMissing is the answer to a request without the header: 401 in the HTTP API, Unknown in gRPC
// queries, 401 and Unauthenticated at ingest.
var ErrMissing = errors.New("no org id")

// Check reports whether one tenant id is valid; its errors are of class Invalid.
func Check(id string) error {
	switch {
	case id == "":
		return status.Errorf(status.Invalid, "no org id")
	case len(id) > maxBytes:
		return status.Errorf(status.Invalid, "tenant ID is too long: max %d characters", maxBytes)
	case id == "." || id == "..":
		return status.Errorf(status.Invalid, "tenant ID is '.' or '..'")
	}
	for i := range len(id) {
		if c := id[i]; !isIDByte(c) {
			return status.Errorf(status.Invalid, "%s",
				fmt.Sprintf("tenant ID '%s' contains unsupported character '%s'", id, id[i:i+1]))
		}
	}
	return nil
}

func isIDByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("!-_.*'()", c) >= 0
}

// ForPush returns the one tenant of an ingest request from the values of its header. More than one
// value counts as none.
func ForPush(values []string) (string, error) {
	if len(values) != 1 {
		return "", ErrMissing
	}
	if strings.Contains(values[0], "|") {
		return "", status.Errorf(status.Invalid, "multiple org IDs present")
	}
	return values[0], Check(values[0])
}

// ForQuery returns the tenants a query's header names ("a|b"), sorted, each once.
func ForQuery(header string) ([]string, error) {
	if header == "" {
		return nil, ErrMissing
	}
	ids := strings.Split(header, "|")
	for _, id := range ids {
		if err := Check(id); err != nil {
			return nil, err
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}
