package httpapi

import (
	"net/http"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/runtime/gateway/query"
)

// runningQuery is one row of GET /api/queries.
type runningQuery struct {
	ID          string    `json:"id"`
	Tenant      string    `json:"tenant"`
	Op          string    `json:"op"`
	Query       string    `json:"query,omitempty"`
	State       string    `json:"state"`
	Began       time.Time `json:"began"`
	Jobs        int       `json:"jobs"`
	Done        int       `json:"done"`
	Blocks      int       `json:"blocks"`
	Bytes       int64     `json:"inspectedBytes,string"`
	HeldSeconds float64   `json:"heldSeconds"` // of scan slots: what the query has cost
}

// OperatorQueries serves /api/queries and /api/queries/{id} for the operator, who sees and ends the
// queries of all tenants.
func OperatorQueries(d Deps) http.Handler {
	a := &handlers{Service: query.New(d)}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{ResponseWriter: w, r: r, ctx: r.Context(), tenants: []string{query.AllTenants}}
		handle := a.serveQueries
		if r.URL.Path != "/api/queries" {
			handle = a.serveCancel
		}
		a.sendError(c, handle(c))
	})
}

// serveQueries lists the running queries of the request's tenants.
func (a *handlers) serveQueries(c *call) error {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		return &codedError{http.StatusMethodNotAllowed, "Method Not Allowed"}
	}
	list, err := a.ListQueries(c.ctx, c.tenants)
	if err != nil {
		return err
	}
	rows := make([]runningQuery, len(list))
	for i, q := range list {
		rows[i] = runningQuery{
			ID:          q.ID,
			Tenant:      q.Tenant,
			Op:          q.Op,
			Query:       strings.ToValidUTF8(q.Text, "\ufffd"),
			State:       q.State,
			Began:       time.Unix(0, q.Began).UTC(),
			Jobs:        q.Jobs,
			Done:        q.Done,
			Blocks:      q.Blocks,
			Bytes:       q.Bytes,
			HeldSeconds: q.SlotTime.Seconds(),
		}
	}
	return c.sendJSON(struct {
		Queries []runningQuery `json:"queries"`
	}{rows})
}

// serveCancel ends a running query of the request's tenants.
func (a *handlers) serveCancel(c *call) error {
	if c.r.Method != http.MethodDelete {
		return &codedError{http.StatusMethodNotAllowed, "Method Not Allowed"}
	}
	if err := a.CancelQuery(c.ctx, c.tenants, strings.TrimPrefix(c.r.URL.Path, "/api/queries/")); err != nil {
		return err
	}
	c.WriteHeader(http.StatusNoContent)
	return nil
}
