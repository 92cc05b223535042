package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sync/errgroup"
)

const (
	// sliceSeconds is the time that one search of an export covers.
	sliceSeconds = 3600

	// searchLimit is how many traces one search may find before its time is halved.
	searchLimit = 2000

	// mostLimit is how many traces may begin in one second.
	mostLimit = 200_000

	// fetches is how many traces are fetched at a time.
	fetches = 8
)

// exportNode writes traces that a node finds. It searches one slice of time after the other, oldest
// first, and writes a trace with the slice in which it begins, or with the first one.
func (e *exportRun) exportNode(ctx context.Context) error {
	start, end := e.within.since.at, e.within.until.at
	if start.IsZero() {
		start = time.Now().Add(-time.Hour)
	}
	if end.IsZero() {
		end = time.Now().Add(time.Minute) // clocks ahead by a minute are covered
	}
	for at := start.Unix(); at < end.Unix(); at += sliceSeconds {
		if err := e.exportSlice(ctx, at, min(at+sliceSeconds, end.Unix()), at == start.Unix()); err != nil {
			return err
		}
	}
	return nil
}

// foundIDs is the answer to a search, as far as an export needs it.
type foundIDs struct {
	Traces []struct {
		TraceID           string
		StartTimeUnixNano string
	}
	Complete *bool
	Warnings []string
}

// exportSlice writes the traces of [from, to), in unix seconds, with those that began before if it
// is the first.
func (e *exportRun) exportSlice(ctx context.Context, from, to int64, first bool) error {
	limit := searchLimit
	if to-from <= 1 {
		limit = mostLimit
	}
	found, err := e.searchSlice(ctx, from, to, limit)
	if err != nil {
		return err
	}
	if len(found.Traces) >= limit {
		if to-from <= 1 {
			e.warn(fmt.Sprintf("more than %d traces begin in the second from %s", limit,
				time.Unix(from, 0).UTC().Format(time.RFC3339)))
		} else {
			middle := from + (to-from)/2
			if err := e.exportSlice(ctx, from, middle, first); err != nil {
				return err
			}
			return e.exportSlice(ctx, middle, to, false)
		}
	}
	e.warnOf(found.Complete, found.Warnings)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(fetches)
	for _, t := range found.Traces {
		start, err := strconv.ParseInt(t.StartTimeUnixNano, 10, 64)
		if err != nil {
			return fmt.Errorf("read the answer: start of trace %.40q: %w", t.TraceID, err)
		}
		if start < from*int64(time.Second) && !first { // it was written with another slice
			continue
		}
		e.traces++
		g.Go(func() error { return e.exportTrace(ctx, t.TraceID) })
	}
	return g.Wait()
}

func (e *exportRun) searchSlice(ctx context.Context, from, to int64, limit int) (*foundIDs, error) {
	query := e.query
	if query == "" {
		query = "{ }"
	}
	b, err := e.client.askAPI(ctx, "/api/search", url.Values{
		"q": {query}, "limit": {strconv.Itoa(limit)}, "spss": {"1"},
		"start": {strconv.FormatInt(from, 10)}, "end": {strconv.FormatInt(to, 10)},
	})
	if err != nil {
		return nil, err
	}
	var found foundIDs
	if err := json.Unmarshal(b, &found); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return &found, nil
}

// warnOf notes an answer that is not complete.
func (e *exportRun) warnOf(complete *bool, warnings []string) {
	if complete == nil || *complete {
		return
	}
	for _, w := range warnings {
		e.warn(w)
	}
	if len(warnings) == 0 {
		e.warn("an answer is not complete")
	}
}

// exportTrace writes one trace, as its parts arrive.
func (e *exportRun) exportTrace(ctx context.Context, id string) error {
	req, err := e.client.newRequest(ctx, http.MethodGet, "/api/traces/"+url.PathEscape(id), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/protobuf")
	resp, err := e.client.sendRequest(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, err := readAnswer(resp)
		var refused *refusal
		if errors.As(err, &refused) && refused.status == http.StatusNotFound {
			e.warn(fmt.Sprintf("trace %s was found and is gone", id))
			return nil
		}
		return err
	}
	err = eachPart(resp.Body, func(td ptrace.Traces) error {
		err := e.out.writeRequest(td)
		e.mu.Lock()
		defer e.mu.Unlock()
		_ = e.bar.Set64(e.out.bytesWritten())
		return err
	})
	if err != nil {
		return fmt.Errorf("trace %s: %w", id, err)
	}
	_, _ = io.Copy(io.Discard, resp.Body) // so that the trailers are read
	for _, h := range []http.Header{resp.Header, resp.Trailer} {
		if h.Get("Troupe-Complete") == "false" {
			whole := false
			e.warnOf(&whole, h.Values("Troupe-Warning"))
		}
	}
	return nil
}
