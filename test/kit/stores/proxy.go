package stores

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// Handler answers a request to a store, mostly by passing it on.
type Handler func(w http.ResponseWriter, r *http.Request, forward http.Handler)

// Behind returns the store as it is reached through a proxy. It ends with the test.
func (s S3) Behind(t testing.TB, handle Handler) S3 {
	target := &url.URL{Scheme: "http", Host: s.Endpoint}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handle(w, r, forward)
	}))
	t.Cleanup(proxy.Close)
	s.Endpoint = strings.TrimPrefix(proxy.URL, "http://")
	return s
}
