package httpapi

import (
	"encoding/binary"
	"net/http"
	"strconv"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

const (
	matchesPath      = "/api/matches/"
	typeBinary       = "application/octet-stream"
	headerTraceSpans = "Troupe-Trace-Spans"
)

// matches is the answer of GET /api/matches as JSON.
type matches struct {
	Spans     int      `json:"spans"` // of the trace
	Matches   []uint32 `json:"matches"`
	Complete  bool     `json:"complete"`
	Warnings  []string `json:"warnings,omitempty"`
	Watermark uint64   `json:"watermark,string,omitempty"`
}

// serveMatches answers which spans of a trace a query selects, by their places in its outline.
func (a *handlers) serveMatches(c *call) error {
	id, err := parseTraceID(c, matchesPath)
	if err != nil {
		return err
	}
	m, err := a.MatchSpans(c.ctx, c.tenants, id, c.r.URL.Query().Get("q"))
	if err != nil {
		return err
	}
	if err := c.checkComplete(m); err != nil {
		return err
	}
	if m.Spans == 0 {
		if !m.Complete {
			return status.Errorf(status.Unavailable, "trace not found, but not everything could be read: %s",
				strings.Join(m.Warnings, "; "))
		}
		setCompleteness(c.Header(), m)
		c.Header()["Content-Type"] = nil
		c.WriteHeader(http.StatusNotFound)
		return nil
	}
	c.Header().Set(headerTraceSpans, strconv.Itoa(m.Spans))
	if strings.Contains(strings.Join(c.r.Header.Values("Accept"), ","), typeJSON) {
		setCompleteness(c.Header(), m)
		return c.sendJSON(matches{m.Spans, append([]uint32{}, m.Places...), m.Complete, m.Warnings, m.Watermark})
	}
	b := make([]byte, 0, 4*len(m.Places))
	for _, n := range m.Places {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return c.sendAnswer(typeBinary, b, m)
}
