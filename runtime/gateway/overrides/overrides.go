// Package overrides is /api/overrides, where tenants set limits and settings of their own, and
// /status/overrides, where operators see whose are in force.
package overrides

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/limits"
	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// ErrVersion: the document is of another version than the request names.
var ErrVersion = errors.New("the version in If-Match is not the current one: " +
	"get it again and look whether the change still fits")

// Deps is what the API and the pages reach.
type Deps struct {
	Documents    Documents // nil: tenants set nothing themselves
	Multitenancy bool
	Limits       func() *limits.Set // the operator's, that hold now
	Check        bool               // refuse what would hide the operator's entry of a tenant
	Logger       *slog.Logger
}

// API serves /api/overrides.
func API(d Deps) http.Handler { return &api{d} }

type api struct{ Deps }

// refusal is an answer with another code than 200. If its text is empty, it has no body.
type refusal struct {
	code int
	text string
}

func (r *refusal) Error() string { return r.text }

func refusalf(code int, format string, args ...any) error {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// ServeHTTP answers errors with plain text and a line feed.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := a.serveRequest(w, r)
	if err == nil {
		return
	}
	var as *refusal
	code := status.Of(err).Class.HTTP()
	switch {
	case errors.As(err, &as):
		code = as.code
	case errors.Is(err, tenant.ErrMissing):
		code = http.StatusUnauthorized
	case errors.Is(err, ErrVersion):
		code = http.StatusPreconditionFailed
	case code == http.StatusInternalServerError:
		a.Logger.Error("limits of a tenant could not be read or written", "err", err)
	}
	if err.Error() == "" {
		w.WriteHeader(code)
		return
	}
	http.Error(w, err.Error(), code)
}

func (a *api) serveRequest(w http.ResponseWriter, r *http.Request) error {
	id := tenant.Single
	if a.Multitenancy {
		var err error
		if id, err = tenant.ForPush(r.Header.Values(tenant.Header)); err != nil {
			return err
		}
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return a.serveGet(w, r, id)
	case http.MethodPost:
		return a.servePost(w, r, id)
	case http.MethodPatch:
		return a.servePatch(w, r, id)
	case http.MethodDelete:
		version, err := ifMatch(r)
		if err != nil {
			return err
		}
		_, have, err := a.Documents.Get(r.Context(), id)
		switch {
		case err != nil:
			return err
		case have == 0:
			return refusalf(http.StatusNotFound, "")
		}
		return a.Documents.Delete(r.Context(), id, version)
	}
	return refusalf(http.StatusMethodNotAllowed, "")
}

func (a *api) serveGet(w http.ResponseWriter, r *http.Request, id string) error {
	scope := r.URL.Query().Get("scope")
	if scope != "" && scope != "api" && scope != "merged" {
		return refusalf(http.StatusBadRequest, "unknown scope %q, valid options are api and merged", scope)
	}
	body, version, err := a.Documents.Get(r.Context(), id)
	if err != nil {
		return err
	}
	if version == 0 {
		return refusalf(http.StatusNotFound, "")
	}
	if scope == "merged" {
		own, err := limits.ParseOwn(body)
		if err != nil {
			return fmt.Errorf("read limits of %s: %w", id, err)
		}
		if body, err = limits.Effective(own, a.Limits().Of(id)); err != nil {
			return fmt.Errorf("merge limits of %s: %w", id, err)
		}
	}
	writeDocument(w, version, body)
	return nil
}

// servePost replaces everything that a tenant has set. An error of the document is reported before
// an error of the version.
func (a *api) servePost(w http.ResponseWriter, r *http.Request, id string) error {
	version, err := ifMatch(r)
	if err != nil {
		return err
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	own, err := limits.ParseOwn(body)
	if err == nil {
		err = a.validateOwn(r, id, own)
	}
	if err != nil {
		return refuseInvalid(err)
	}
	if version, err = a.Documents.Put(r.Context(), id, version, own.JSON()); err != nil {
		return err
	}
	w.Header().Set("Etag", strconv.FormatUint(version, 10))
	return nil
}

// servePatch changes a part of what a tenant has set. If another write comes between, the change
// is applied to the new version.
func (a *api) servePatch(w http.ResponseWriter, r *http.Request, id string) error {
	change, err := readBody(r)
	if err != nil {
		return err
	}
	for {
		body, version, err := a.Documents.Get(r.Context(), id)
		if err != nil {
			return err
		}
		own, err := limits.Patch(body, change)
		if err == nil {
			err = a.validateOwn(r, id, own)
		}
		if err != nil {
			return refuseInvalid(err)
		}
		body = own.JSON()
		version, err = a.Documents.Put(r.Context(), id, version, body)
		switch {
		case errors.Is(err, ErrVersion):
			continue
		case err != nil:
			return err
		}
		writeDocument(w, version, body)
		return nil
	}
}

func (a *api) validateOwn(r *http.Request, id string, own limits.Own) error {
	if err := own.Validate(nil); err != nil { // there are no forwarders here
		return err
	}
	skip := false
	if s := r.URL.Query().Get("skip-conflicting-overrides-check"); s != "" {
		var err error
		if skip, err = strconv.ParseBool(s); err != nil {
			return fmt.Errorf("invalid value for skip-conflicting-overrides-check: %w", err)
		}
	}
	if _, has := a.Limits().Entries[id]; has && a.Check && !skip {
		return fmt.Errorf("the operator has set limits of tenant %s, some of which these would hide; "+
			"ask the operator, or set them all the same with skip-conflicting-overrides-check=true", id)
	}
	return nil
}

func refuseInvalid(err error) error {
	if errors.Is(err, limits.ErrTooLarge) {
		return refusalf(http.StatusRequestEntityTooLarge, "%s", err)
	}
	return refusalf(http.StatusBadRequest, "%s", err)
}

func readBody(r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r.Body, limits.MaxBytes+1))
	if err != nil {
		return nil, refusalf(http.StatusBadRequest, "read body: %s", err)
	}
	return b, nil
}

// ifMatch returns the version that a request is meant for.
func ifMatch(r *http.Request) (uint64, error) {
	v := r.Header.Get("If-Match")
	if v == "" {
		return 0, refusalf(http.StatusPreconditionRequired, "must specify If-Match header")
	}
	version, err := strconv.ParseUint(strings.Trim(v, `"`), 10, 64)
	if err != nil { // no version of ours
		return 0, refusalf(http.StatusPreconditionFailed, "%s", ErrVersion)
	}
	return version, nil
}

func writeDocument(w http.ResponseWriter, version uint64, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Etag", strconv.FormatUint(version, 10))
	_, _ = w.Write(body) // the client has gone otherwise
}
