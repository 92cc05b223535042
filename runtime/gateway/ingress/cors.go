package ingress

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/rs/cors"
)

// CORS lets pages of other sites send from a browser, in the collector's words. Without allowed
// origins no page may.
type CORS struct {
	// The origins of web pages that may send spans from a browser. One * in each matches any text.
	// If the list is empty, no page may.
	AllowedOrigins []string `koanf:"allowed_origins"`
	// Further request headers that these pages may send. * allows all.
	AllowedHeaders []string `koanf:"allowed_headers"`
	// Headers of answers that these pages may read.
	ExposedHeaders []string `koanf:"exposed_headers"`
	// The number of seconds for which a browser remembers these rules. With 0 the browser decides.
	MaxAge int `koanf:"max_age"`
}

// Validate names every value that cannot work.
func (c CORS) Validate() error {
	var errs []error
	for _, origin := range c.AllowedOrigins {
		if strings.Count(origin, "*") > 1 {
			errs = append(errs, fmt.Errorf("allowed_origins: %q has more than one *", origin))
		}
	}
	if c.MaxAge < 0 {
		errs = append(errs, errors.New("max_age: must not be negative"))
	}
	return errors.Join(errs...)
}

// Wrap returns a handler that answers the preflight requests of browsers and passes other requests
// to h.
func (c CORS) Wrap(h http.Handler) http.Handler {
	if len(c.AllowedOrigins) == 0 {
		return h
	}
	headers := slices.Clone(c.AllowedHeaders)
	if len(headers) > 0 {
		headers = append(headers, "Content-Type", "X-Requested-With") // the library's own where none are listed
	}
	return cors.New(cors.Options{AllowedOrigins: c.AllowedOrigins, AllowCredentials: true, AllowedHeaders: headers,
		ExposedHeaders: c.ExposedHeaders,
		AllowedMethods: []string{http.MethodPost}, MaxAge: c.MaxAge}).Handler(h)
}
