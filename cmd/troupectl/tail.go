package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
)

func newTail(c *client, o *output) *cobra.Command {
	var (
		every  time.Duration
		since  *period
		limit  int
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "tail 'QUERY'",
		Short: "Print traces that match as they come in, the newest last",
		Long: `Print traces that match as they come in, the newest at the bottom, until Ctrl-C.

Traces that began up to --since ago are printed first. A trace is printed once, when it first matches. While the
node does not answer it is waited for.`,
		Args: cobra.MaximumNArgs(1),
		Example: `  troupectl tail    # everything; try it beside: troupectl load --demo --live
  troupectl tail '{ status = error }'
  troupectl tail '{ duration > 1s }' --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return errors.New("--limit: give at least 1")
			}
			p, err := o.makePrinter(cmd)
			if err != nil {
				return err
			}
			notes, err := o.makeNotes(cmd)
			if err != nil {
				return err
			}
			t := tail{client: c, query: "{ }", limit: limit, out: p, notes: notes, seen: map[string]time.Time{}}
			if len(args) > 0 {
				t.query = args[0]
			}
			if asJSON {
				t.json = cmd.OutOrStdout()
			}
			return t.run(cmd.Context(), every, time.Duration(*since))
		},
	}
	cmd.Flags().DurationVar(&every, "every", time.Second, "how often to look, at a backend that sends no events")
	since = addSince(cmd, time.Minute, "how far back traces may lie that are printed")
	cmd.Flags().IntVar(&limit, "limit", 1000, "traces at most in one look, at a backend that sends no events")
	addJSON(cmd, &asJSON, "print each trace as it came, one JSON object a line")
	return cmd
}

// tail prints each trace once. A trace that is still growing is printed when it first matches.
type tail struct {
	client  *client
	query   string
	limit   int
	out     *render.Printer
	notes   *render.Printer
	json    io.Writer            // not nil: print JSON there
	seen    map[string]time.Time // trace id -> when it was printed
	full    bool                 // the limit was reached in the look before
	waiting bool                 // the node did not answer in the look before
	begun   bool                 // an event has come
}

// errNoEvents is that a backend sends no events of traces that arrive. It is searched then.
var errNoEvents = errors.New("the backend has no /api/tail")

// run prints traces until ctx ends: as events tell of them, or by searching every so often.
func (t *tail) run(ctx context.Context, every, since time.Duration) error {
	tick := time.NewTicker(max(every, 100*time.Millisecond))
	defer tick.Stop()
	look := func() error { return t.follow(ctx, since) }
	for first := true; ; first = false {
		err := look()
		if errors.Is(err, errNoEvents) {
			look = func() error { return t.printNew(ctx, time.Now(), since) }
			err = look()
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			t.waiting = false
		case first && !t.begun || !mayPass(err):
			return err
		case !t.waiting:
			t.waiting = true
			t.notes.Warn(err.Error() + "; trying again")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// follow prints traces as events tell of them. A stream that ends is an error that may pass.
func (t *tail) follow(ctx context.Context, since time.Duration) error {
	endless := *t.client.http
	endless.Timeout = 0
	c := *t.client
	c.http = &endless
	req, err := c.newRequest(ctx, http.MethodGet, "/api/tail", url.Values{"q": {t.query}, "since": {since.String()}})
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := c.sendRequest(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		_, err := readAnswer(resp)
		var refused *refusal
		if err == nil || errors.As(err, &refused) && refused.status == http.StatusNotFound {
			return errNoEvents
		}
		return err
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 64<<10), maxAnswer)
	for event := ""; lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "event":
			event, t.begun = value, true
		case name == "data" && event == "traces":
			t.waiting = false
			if err := t.printEvent([]byte(value)); err != nil {
				return err
			}
		case name == "data" && event == "error":
			t.notes.Warn(value)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// printEvent prints the traces of one event.
func (t *tail) printEvent(data []byte) error {
	var found struct {
		Traces   []json.RawMessage
		Dropped  int
		Warnings []string
	}
	if err := json.Unmarshal(data, &found); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	for _, raw := range found.Traces {
		if err := t.printTrace(raw, time.Now()); err != nil {
			return err
		}
	}
	if found.Dropped > 0 {
		t.notes.Warn(fmt.Sprintf("%d traces are left out: they came faster than they could be printed", found.Dropped))
	}
	for _, w := range found.Warnings {
		t.notes.Warn(w)
	}
	return nil
}

// mayPass reports whether the same request may succeed later: the node restarts, or has too much to
// do.
func mayPass(err error) bool {
	var refused *refusal
	if errors.As(err, &refused) {
		return refused.status == http.StatusTooManyRequests || refused.status >= http.StatusInternalServerError
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded)
}

// printNew prints the traces that have arrived since the last time, oldest first.
func (t *tail) printNew(ctx context.Context, now time.Time, since time.Duration) error {
	v := url.Values{"q": {t.query}, "limit": {strconv.Itoa(t.limit)}, "spss": {"1"},
		"start": {strconv.FormatInt(now.Add(-since).Unix(), 10)},
		"end":   {strconv.FormatInt(now.Add(time.Hour).Unix(), 10)}}
	b, err := t.client.askAPI(ctx, "/api/search", v)
	if err != nil {
		return err
	}
	var found struct{ Traces []json.RawMessage }
	if err := json.Unmarshal(b, &found); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	for i := len(found.Traces) - 1; i >= 0; i-- {
		if err := t.printTrace(found.Traces[i], now); err != nil {
			return err
		}
	}
	for id, at := range t.seen {
		if now.Sub(at) > since+time.Hour {
			delete(t.seen, id)
		}
	}
	full := len(found.Traces) >= t.limit
	if full && !t.full {
		t.notes.Warn(fmt.Sprintf("%d traces or more match at once: narrow the query, or raise --limit", t.limit))
	}
	t.full = full
	return nil
}

// printTrace prints a trace that was not printed before.
func (t *tail) printTrace(raw json.RawMessage, now time.Time) error {
	var tr foundTrace
	if err := json.Unmarshal(raw, &tr); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if _, ok := t.seen[tr.TraceID]; ok {
		return nil
	}
	t.seen[tr.TraceID] = now
	if t.json != nil {
		return printJSON(t.json, raw)
	}
	row := t.out.Table(render.Column{Width: 12, Style: render.Dim, Drop: 1},
		render.Column{Width: 32, Style: render.Cyan},
		render.Column{Width: 16, Min: 8, Drop: 2}, render.Column{Width: 7, Right: true},
		render.Column{Width: t.out.Width(0), Min: 12, Style: render.Bold})
	row.Row(tr.startTime().Local().Format("15:04:05.000"), tr.TraceID, tr.RootServiceName, tr.durationText(),
		tr.nameText())
	row.Print()
	return nil
}
