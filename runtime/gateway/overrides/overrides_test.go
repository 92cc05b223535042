package overrides

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/limits"
	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// memory is a store; broken makes it fail, between runs before each write.
type memory struct {
	bodies   map[string][]byte
	versions map[string]uint64
	last     uint64
	broken   error
	between  func()
}

func newMemory() *memory { return &memory{bodies: map[string][]byte{}, versions: map[string]uint64{}} }

func (m *memory) Get(_ context.Context, id string) ([]byte, uint64, error) {
	return m.bodies[id], m.versions[id], m.broken
}

func (m *memory) Put(_ context.Context, id string, version uint64, body []byte) (uint64, error) {
	if f := m.between; f != nil {
		m.between = nil
		f()
	}
	if m.broken != nil {
		return 0, m.broken
	}
	if m.versions[id] != version {
		return 0, ErrVersion
	}
	m.last++
	m.bodies[id], m.versions[id] = body, m.last
	return m.last, nil
}

func (m *memory) Delete(_ context.Context, id string, version uint64) error {
	if m.versions[id] != version {
		return ErrVersion
	}
	delete(m.bodies, id)
	delete(m.versions, id)
	return nil
}

func (m *memory) Tenants(context.Context) (out []string) {
	for id := range m.bodies {
		out = append(out, id)
	}
	return out
}

func call(h http.Handler, method, path, body string, headers ...string) (code int, text string, w *httptest.ResponseRecorder) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String(), w
}

func deps(s Documents, entries map[string]limits.Tenant) Deps {
	set := &limits.Set{Entries: entries}
	return Deps{Documents: s, Multitenancy: true, Limits: func() *limits.Set { return set }, Logger: slog.New(slog.DiscardHandler)}
}

const off = `{"metrics_generator": {"disable_collection": true}}`

// A write holds only for the version it names; a patch that meets another change is applied to the
// new version; both answer with the version they made.
func TestVersions(t *testing.T) {
	m := newMemory()
	h := API(deps(m, nil))
	do := func(method, body string, headers ...string) (int, string, string) {
		code, text, w := call(h, method, "/api/overrides", body, append(headers, tenant.Header, "a")...)
		return code, text, w.Header().Get("Etag")
	}
	code, text, etag := do("POST", off, "If-Match", "0")
	require.Equal(t, []any{200, "", "1"}, []any{code, text, etag})
	for _, match := range []string{"0", "2", "x", `W/"1"`} {
		code, text, _ = do("POST", off, "If-Match", match)
		require.Equal(t, 412, code, match)
		require.Contains(t, text, "If-Match")
	}
	code, _, etag = do("POST", off, "If-Match", `"1"`)
	require.Equal(t, []any{200, "2"}, []any{code, etag})
	m.between = func() { _, _, _ = do("POST", `{"cost_attribution": {"dimensions": {"a": "b"}}}`, "If-Match", "2") }
	code, text, etag = do("PATCH", `{"metrics_generator": {"collection_interval": "30s"}}`)
	require.Equal(t, []any{200, "4"}, []any{code, etag})
	require.Contains(t, text, `"a":"b"`)
	require.Contains(t, text, `"30s"`)
	require.NotContains(t, text, "disable_collection")
	code, _, _ = do("DELETE", "", "If-Match", "3")
	require.Equal(t, 412, code)
	code, _, _ = do("DELETE", "", "If-Match", "4")
	require.Equal(t, 200, code)
	code, text, _ = do("DELETE", "", "If-Match", "4")
	require.Equal(t, []any{404, ""}, []any{code, text})
	code, _, _ = do("GET", "")
	require.Equal(t, 404, code)
}

// Each refusal has the code and text that clients know, and nothing is stored.
func TestRefusals(t *testing.T) {
	m := newMemory()
	d := deps(m, map[string]limits.Tenant{"taken": {}})
	d.Check = true
	h := API(d)
	for _, c := range []struct {
		method, path, tenant, match, body string
		code                              int
		text                              string
	}{
		{"GET", "", "", "", "", 401, "no org id\n"},
		{"GET", "", "a|b", "", "", 400, "multiple org IDs present\n"},
		{"GET", "", "a b", "", "", 400, "tenant ID 'a b' contains unsupported character ' '\n"},
		{"GET", "?scope=foo", "a", "", "", 400, "unknown scope \"foo\", valid options are api and merged\n"},
		{"PUT", "", "a", "", off, 405, ""},
		{"POST", "", "a", "", off, 428, "must specify If-Match header\n"},
		{"DELETE", "", "a", "", "", 428, "must specify If-Match header\n"},
		{"POST", "", "a", "0", "", 400, "EOF\n"},
		{"POST", "", "a", "0", strings.Repeat(" ", limits.MaxBytes+1), 413, "http: request body too large: 65537 bytes, the most is 65536\n"},
		{"PATCH", "", "a", "", "{", 400, "Invalid JSON Patch\n"},
		{"PATCH", "", "a", "", strings.Repeat(" ", limits.MaxBytes+1), 413, "http: request body too large: 65537 bytes, the most is 65536\n"},
		{"POST", "", "taken", "0", off, 400, "the operator has set limits of tenant taken, some of which these would hide; ask the operator, or set them all the same with skip-conflicting-overrides-check=true\n"},
		{"POST", "?skip-conflicting-overrides-check=maybe", "taken", "0", off, 400, "invalid value for skip-conflicting-overrides-check: strconv.ParseBool: parsing \"maybe\": invalid syntax\n"},
	} {
		headers := []string{tenant.Header, c.tenant, "If-Match", c.match}
		if c.tenant == "" {
			headers = nil
		}
		code, text, _ := call(h, c.method, "/api/overrides"+c.path, c.body, headers...)
		require.Equal(t, c.code, code, "%+v", c)
		require.Equal(t, c.text, text)
	}
	require.Empty(t, m.bodies)
	code, _, _ := call(h, "POST", "/api/overrides?skip-conflicting-overrides-check=true", off, tenant.Header, "taken", "If-Match", "0")
	require.Equal(t, 200, code)
	m.broken = status.Errorf(status.Unavailable, "write: disk is full")
	code, text, _ := call(h, "POST", "/api/overrides", off, tenant.Header, "b", "If-Match", "0")
	require.Equal(t, 503, code)
	require.Equal(t, "write: disk is full\n", text)
	code, text, _ = call(h, "DELETE", "/api/overrides", "", tenant.Header, "b", "If-Match", "1")
	require.Equal(t, 503, code, "whether there is one is not known")
	require.Equal(t, "write: disk is full\n", text)
	m.broken = errors.New("damaged")
	code, _, _ = call(h, "GET", "/api/overrides", "", tenant.Header, "taken")
	require.Equal(t, 500, code)
}

// Without multitenancy everything is the single tenant's, whatever the header says; merged tells
// what holds.
func TestMerged(t *testing.T) {
	d := deps(newMemory(), map[string]limits.Tenant{tenant.Single: {Generator: map[string]any{"processors": []any{"span-metrics"}}}})
	d.Multitenancy = false
	h := API(d)
	code, _, _ := call(h, "PATCH", "/api/overrides", off, tenant.Header, "other")
	require.Equal(t, 200, code)
	_, text, w := call(h, "GET", "/api/overrides?scope=merged", "")
	require.Equal(t, "1", w.Header().Get("Etag"))
	require.Contains(t, text, `"processors":["span-metrics"]`)
	require.Contains(t, text, `"disable_collection":true`)
	require.Contains(t, text, `"forwarders":null`)
}

// The status pages list who has limits and show those of one tenant, as JSON and as a page in which
// names are text.
func TestStatus(t *testing.T) {
	m := newMemory()
	rate := int64(7)
	d := deps(m, map[string]limits.Tenant{"b": {Ingestion: limits.Ingestion{RateLimit: &rate}}})
	code, text, _ := call(Status(d), "GET", "/status/overrides", "", "Accept", "application/json")
	require.Equal(t, 200, code)
	require.Contains(t, text, `"tenants":[{"name":"b","has_runtime_overrides":true,"has_user_configurable_overrides":false}]`)
	_, err := m.Put(t.Context(), "a", 0, []byte(off))
	require.NoError(t, err)
	_, text, _ = call(Status(d), "GET", "/status/overrides", "")
	require.Contains(t, text, `<a href="/status/overrides/a">a</a>`)

	one := func(id string, headers ...string) string {
		_, text, _ := call(TenantStatus(d, func(*http.Request) string { return id }), "GET", "/", "", headers...)
		return text
	}
	var got detail
	require.NoError(t, json.Unmarshal([]byte(one("b", "Accept", "application/json")), &got))
	require.Contains(t, got.Runtime, "rate_limit_bytes: 7\n")
	require.Empty(t, got.Own)
	require.False(t, got.Default)
	require.NoError(t, json.Unmarshal([]byte(one("a", "Accept", "application/json")), &got))
	require.Equal(t, "metrics_generator:\n    disable_collection: true\n", got.Own)
	require.True(t, got.Default)
	require.Contains(t, one("<script>"), "&lt;script&gt;")
}
