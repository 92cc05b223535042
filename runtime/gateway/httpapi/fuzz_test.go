package httpapi

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/troupe-tracing/troupe/test/kit/frontend"
)

// Whatever stands in the parameters, the answer is one: 200, or an error that is the client's.
func FuzzParameters(f *testing.F) {
	for _, s := range []string{"x", "1", "-1", "9999999999", "1.5", "1e400", "NaN", "2026-03-01T12:00:00Z", "15m", "1d", "{} | rate()", "a=b c=\"d", "18446744073709551615"} {
		f.Add(s, s, s, s)
	}
	fe := frontend.New(f)
	d := Deps{Asker: fe, Directory: fe, Now: func() time.Time { return now }, Config: DefaultConfig()}
	h := Routes(d)
	f.Fuzz(func(t *testing.T, q, start, end, other string) {
		v := url.Values{"q": {q}, "start": {start}, "end": {end}, "since": {other}, "step": {other}, "limit": {other}, "spss": {other}, "scope": {other}, "minDuration": {other}, "exemplars": {other}}
		for _, path := range []string{"/api/search", "/api/search/tags", "/api/v2/search/tags", "/api/v2/search/tag/name/values", "/api/metrics/query_range", "/api/metrics/query", "/api/v2/traces/8"} {
			for _, without := range []string{"", "since"} {
				w := url.Values{}
				for k := range v {
					if k != without {
						w[k] = v[k]
					}
				}
				r := httptest.NewRequest(http.MethodGet, path+"?"+w.Encode(), nil)
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, r)
				if rec.Code != 200 && rec.Code != 400 {
					t.Fatalf("%s: %d %s", r.URL, rec.Code, rec.Body)
				}
			}
		}
	})
}
