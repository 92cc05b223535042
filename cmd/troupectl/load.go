package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func newLoad(c *client) *cobra.Command {
	var (
		demo   bool
		traces int
		rate   float64
		toNow  bool
		seed   uint64
	)
	cmd := &cobra.Command{
		Use:   "load [FILE...]",
		Short: "Send OTLP files (JSON, JSON lines, each also gzipped), or the built-in demo shop",
		Long: `Send traces over OTLP/HTTP.

FILE holds OTLP/JSON export requests: one in the whole file, or one a line; names ending in .gz are unpacked.
--demo sends a made-up shop instead: several services with errors, database calls and events, ending now.
A backend that is over its capacity is waited for; anything else it refuses ends the command with its reason.`,
		Example: "  troupectl load --demo --traces 1000 --rate 200\n  troupectl load traces.jsonl.gz --shift-to-now",
		RunE: func(cmd *cobra.Command, files []string) error {
			if demo == (len(files) > 0) {
				return errors.New("give files to send, or --demo")
			}
			s := &sender{c: c, rate: rate}
			if demo {
				s.expect(traces)
				shop := newShop(seed)
				for i := range traces {
					at := time.Now()
					if rate == 0 { // spread over the last ten minutes, newest last
						at = at.Add(-10*time.Minute + time.Duration(float64(10*time.Minute)*float64(i)/float64(traces)))
					}
					if err := s.send(cmd.Context(), shop.trace(at)); err != nil {
						return err
					}
				}
				return s.finish(cmd.OutOrStdout())
			}
			var all []ptrace.Traces
			for _, f := range files {
				ts, err := readFile(f)
				if err != nil {
					return err
				}
				all = append(all, ts...)
			}
			if toNow {
				shiftToNow(all, time.Now())
			}
			s.expect(len(all))
			for _, td := range all {
				if err := s.send(cmd.Context(), td); err != nil {
					return err
				}
			}
			return s.finish(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&demo, "demo", false, "send the built-in demo shop")
	cmd.Flags().IntVar(&traces, "traces", 500, "traces of the demo")
	cmd.Flags().Float64Var(&rate, "rate", 0, "requests a second; 0: as fast as they are taken")
	cmd.Flags().BoolVar(&toNow, "shift-to-now", false, "move all times by one constant so that the newest span ends now")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "seed of the demo")
	return cmd
}

// sender posts requests one after the other, at a rate, with a progress bar on standard error.
type sender struct {
	c     *client
	rate  float64
	bar   *progressbar.ProgressBar
	start time.Time
	sent  int
	spans int
	last  string
}

func (s *sender) expect(n int) {
	s.bar = progressbar.NewOptions(n, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription("sending"),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("req"), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish())
	s.start = time.Now()
}

func (s *sender) send(ctx context.Context, td ptrace.Traces) error {
	if s.rate > 0 {
		due := s.start.Add(time.Duration(float64(s.sent) / s.rate * float64(time.Second)))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		return err
	}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(s.c.otlp, "/")+"/v1/traces", bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-protobuf")
		resp, err := s.c.do(req)
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		switch resp.StatusCode {
		case http.StatusOK:
			s.sent++
			s.spans += td.SpanCount()
			if rss := td.ResourceSpans(); rss.Len() > 0 && td.SpanCount() > 0 {
				s.last = rss.At(0).ScopeSpans().At(0).Spans().At(0).TraceID().String()
			}
			return s.bar.Add(1)
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			after, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
			select {
			case <-time.After(min(max(time.Duration(after)*time.Second, 100*time.Millisecond), 5*time.Second)):
			case <-ctx.Done():
				return ctx.Err()
			}
		default:
			return fmt.Errorf("request %d refused with %s: %s", s.sent+1, resp.Status, bytes.TrimSpace(answer))
		}
	}
}

func (s *sender) finish(w io.Writer) error {
	_ = s.bar.Finish()
	d := time.Since(s.start).Seconds()
	fmt.Fprintf(w, "sent %d spans in %d requests in %.1f s\n", s.spans, s.sent, d)
	if s.last != "" {
		fmt.Fprintf(w, "look at one: troupectl trace %s\n", s.last)
	}
	return nil
}

// readFile reads OTLP/JSON: one value in the whole file, or one a line.
func readFile(name string) ([]ptrace.Traces, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = bufio.NewReaderSize(f, 1<<20)
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(r); err != nil {
			return nil, fmt.Errorf("unpack %s: %w", name, err)
		}
	}
	var out []ptrace.Traces
	d := json.NewDecoder(r)
	for {
		var one json.RawMessage
		if err := d.Decode(&one); err == io.EOF {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("read %s at byte %d: %w", name, d.InputOffset(), err)
		}
		td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(one)
		if err != nil {
			return nil, fmt.Errorf("read %s: request %d is no OTLP/JSON: %w", name, len(out)+1, err)
		}
		out = append(out, td)
	}
}

// shiftToNow moves all times by one constant so that the newest span ends at now.
func shiftToNow(all []ptrace.Traces, now time.Time) {
	newest := pcommon.Timestamp(0)
	eachSpan(all, func(s ptrace.Span) { newest = max(newest, s.EndTimestamp(), s.StartTimestamp()) })
	by := now.UnixNano() - int64(newest)
	move := func(t pcommon.Timestamp) pcommon.Timestamp { return pcommon.Timestamp(int64(t) + by) }
	eachSpan(all, func(s ptrace.Span) {
		s.SetStartTimestamp(move(s.StartTimestamp()))
		s.SetEndTimestamp(move(s.EndTimestamp()))
		for _, e := range s.Events().All() {
			e.SetTimestamp(move(e.Timestamp()))
		}
	})
}

func eachSpan(all []ptrace.Traces, f func(ptrace.Span)) {
	for _, td := range all {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					f(s)
				}
			}
		}
	}
}
