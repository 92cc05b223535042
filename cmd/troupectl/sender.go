package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
)

const (
	leastWait = 100 * time.Millisecond // between two tries of one request
	mostWait  = 5 * time.Second
)

var (
	countRequests = []progressbar.Option{progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("traces")}
	countBytes = []progressbar.Option{progressbar.OptionShowBytes(true)}
)

// sender posts requests one after the other, at a rate, and adds up what became of them.
type sender struct {
	c        *client
	rate     float64       // requests a second; 0: as fast as they are taken
	patience time.Duration // how long one request is repeated
	bar      *progressbar.ProgressBar
	started  time.Time
	took     time.Duration

	sent, spans int
	refused     int64
	reason      string // of the last partial success
	last        string // id of the last trace
}

func (s *sender) beginSending(bar *progressbar.ProgressBar) { s.bar, s.started = bar, time.Now() }

func (s *sender) endSending() {
	if s.bar != nil {
		_ = s.bar.Finish()
		s.took = time.Since(s.started)
	}
}

// awaitTurn waits until the next request is due.
func (s *sender) awaitTurn(ctx context.Context) error {
	if s.rate == 0 {
		return ctx.Err()
	}
	return sleepFor(ctx, time.Until(s.started.Add(time.Duration(float64(s.sent)/s.rate*float64(time.Second)))))
}

// sleepFor waits for a time, or until ctx ends.
func sleepFor(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sendRequest posts one request, and repeats it while the backend says that it may be accepted
// later.
func (s *sender) sendRequest(ctx context.Context, td ptrace.Traces) error {
	body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		return err
	}
	since := time.Now()
	for wait := leastWait; ; wait = min(2*wait, mostWait) {
		answer, after, err := s.postOnce(ctx, body)
		switch {
		case err == nil:
			return s.countAnswer(td, answer)
		case ctx.Err() != nil:
			return ctx.Err()
		case !mayPass(err) || s.sent == 0 && !isRefusal(err): // what never answered is not a node that restarts
			return fmt.Errorf("send request %d: %w", s.sent+1, err)
		}
		pause := min(max(wait, after), mostWait)
		if time.Since(since)+pause > s.patience {
			return fmt.Errorf("send request %d: given up after %s: %w", s.sent+1, render.Duration(time.Since(since)),
				err)
		}
		if err := sleepFor(ctx, pause); err != nil {
			return err
		}
	}
}

func isRefusal(err error) bool {
	var refused *refusal
	return errors.As(err, &refused)
}

// postOnce sends body once. after is the pause that a refusal asks for.
func (s *sender) postOnce(ctx context.Context, body []byte) (answer []byte, after time.Duration, err error) {
	at, err := endpointURL("otlp", s.c.otlp, "/v1/traces")
	if err != nil {
		return nil, 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := s.c.sendRequest(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	answer, err = readAnswer(resp)
	var refused *refusal
	if errors.As(err, &refused) {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		err = fmt.Errorf("refused with %s: %w", resp.Status, refused)
		return nil, min(time.Duration(max(seconds, 0)), mostWait/time.Second) * time.Second, err
	}
	return answer, 0, err
}

// countAnswer counts the spans that were accepted, and those that a partial success says were not.
func (s *sender) countAnswer(td ptrace.Traces, answer []byte) error {
	s.sent++
	response := ptraceotlp.NewExportResponse()
	if err := response.UnmarshalProto(answer); err != nil {
		return fmt.Errorf("read the answer to request %d: %w", s.sent, err)
	}
	refused := response.PartialSuccess().RejectedSpans()
	if message := response.PartialSuccess().ErrorMessage(); message != "" {
		s.reason = message
	}
	s.refused += refused
	s.spans += max(0, td.SpanCount()-int(refused))
	if id := firstTraceID(td); id != "" {
		s.last = id
	}
	return nil
}

func firstTraceID(td ptrace.Traces) string {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				return s.TraceID().String()
			}
		}
	}
	return ""
}

// loadSummary is what --json prints.
type loadSummary struct {
	Spans       int     `json:"spans"`
	Requests    int     `json:"requests"`
	Seconds     float64 `json:"seconds"`
	Refused     int64   `json:"refusedSpans"`
	Reason      string  `json:"reason,omitempty"`
	LastTraceID string  `json:"lastTraceID,omitempty"`
}

func (s *sender) jsonSummary() loadSummary {
	return loadSummary{s.spans, s.sent, s.took.Seconds(), s.refused, s.reason, s.last}
}

func (s *sender) showSummary(p *render.Printer) {
	p.Linef("sent %s in %s in %.1f s", render.Count(s.spans, "span", "spans"),
		render.Count(s.sent, "request", "requests"), s.took.Seconds())
	if s.last != "" {
		p.Linef("look at one: troupectl trace %s", s.last)
	}
}

// warningTexts says what the backend has changed of spans that it accepted.
func (s *sender) warningTexts() []string {
	if s.reason == "" || s.refused > 0 {
		return nil
	}
	return []string{s.reason}
}

// refusedError is the error of a load that was accepted only in part.
func (s *sender) refusedError() error {
	if s.refused == 0 {
		return nil
	}
	return fmt.Errorf("%s refused for good: %s", render.Count(int(s.refused), "span was", "spans were"), s.reason)
}
