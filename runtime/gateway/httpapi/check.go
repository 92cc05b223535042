package httpapi

import (
	"net/http"
)

// checked is the JSON of /api/check.
type checked struct {
	Kind      string         `json:"kind,omitempty"`
	Canonical string         `json:"canonical,omitempty"`
	Errors    []checkedError `json:"errors"`
}

type checkedError struct {
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Message  string `json:"message"`
	Semantic bool   `json:"semantic"` // the grammar is met, and a rule beyond it is not
}

// serveCheck answers what the language says of a query, for editors; nothing is read. A query with
// an error is no failure of the request.
func (a *handlers) serveCheck(c *call) error {
	if c.r.Method != http.MethodGet {
		return &codedError{http.StatusMethodNotAllowed, "Method Not Allowed"}
	}
	found := a.CheckQuery(c.r.URL.Query().Get("q"))
	out := checked{Kind: found.Kind, Canonical: found.Canonical, Errors: []checkedError{}}
	if e := found.Error; e != nil {
		out.Errors = append(out.Errors, checkedError{e.Line, e.Column, e.Message, e.Semantic})
	}
	return c.sendJSON(out)
}
