package httpapi

import (
	"net/http"

	"github.com/troupe-tracing/troupe/runtime/gateway/query"
)

const (
	outlinePath = "/api/outline/"
	typeOutline = "application/vnd.troupe.outline"
)

// memoryOfOutline is what an outline may have unwritten: the part that is written, and the next
// one.
const memoryOfOutline = 9 << 20

// serveOutline answers with the outline of a trace. Its header says what the answer lacks: it is
// written when everything has been read.
// Source: docs/format/outline.md.
func (a *handlers) serveOutline(c *call) error {
	id, err := parseTraceID(c, outlinePath)
	if err != nil {
		return err
	}
	if err := c.unwritten.Reserve(memoryOfOutline); err != nil {
		return err
	}
	defer c.unwritten.Release(memoryOfOutline)
	r, err := a.OpenOutline(c.ctx, c.tenants, id)
	if err != nil {
		return err
	}
	defer r.Close()
	m, _, err := r.Answer()
	if err != nil {
		return err
	}
	if err := c.checkComplete(m); err != nil {
		return err
	}
	if !r.Found() {
		return c.sendNotFound(m)
	}
	part, err := r.Next()
	if err != nil {
		return err
	}
	setCompleteness(c.Header(), m)
	c.Header().Set("Content-Type", typeOutline)
	if err := c.writeParts(r, part); err != nil {
		return &brokenError{err}
	}
	return nil
}

// writeParts writes what a reader reads, of which part is the first.
func (c *call) writeParts(r *query.TraceReader, part []byte) (err error) {
	control := http.NewResponseController(c.ResponseWriter)
	for part != nil {
		if _, err = c.Write(part); err != nil {
			return err
		}
		_ = control.Flush() // each part has its time to be read
		if part, err = r.Next(); err != nil {
			return err
		}
	}
	return nil
}
