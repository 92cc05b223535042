package httpapi

import "net/http"

func (a *api) diff(c *call) error {
	return &codedError{http.StatusNotImplemented, "trace diff: not built"}
}
