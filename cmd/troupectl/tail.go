package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

func newTail(c *client) *cobra.Command {
	var (
		every, since time.Duration
		limit        int
	)
	cmd := &cobra.Command{
		Use:     "tail 'QUERY'",
		Short:   "Print traces that match as they come in, the newest at the bottom",
		Args:    cobra.ExactArgs(1),
		Example: `  troupectl tail '{ status = error }'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			t := tail{client: c, query: args[0], limit: limit, out: cmd.OutOrStdout(), seen: map[string]time.Time{}}
			return t.run(cmd.Context(), every, since)
		},
	}
	cmd.Flags().DurationVar(&every, "every", time.Second, "how often to look")
	cmd.Flags().DurationVar(&since, "since", time.Minute, "how far back traces may lie that are printed")
	cmd.Flags().IntVar(&limit, "limit", 1000, "traces at most in one look")
	return cmd
}

// tail prints each trace once. A trace that is still growing is printed when it first matches.
type tail struct {
	client *client
	query  string
	limit  int
	out    io.Writer
	seen   map[string]time.Time // trace id -> when it was printed
}

func (t *tail) run(ctx context.Context, every, since time.Duration) error {
	tick := time.NewTicker(max(every, 100*time.Millisecond))
	defer tick.Stop()
	for {
		if err := t.look(ctx, time.Now(), since); err != nil {
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil
			}
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look prints what has come in since the last look, oldest first.
func (t *tail) look(ctx context.Context, now time.Time, since time.Duration) error {
	v := url.Values{"q": {t.query}, "limit": {strconv.Itoa(t.limit)}, "spss": {"1"},
		"start": {strconv.FormatInt(now.Add(-since).Unix(), 10)}, "end": {strconv.FormatInt(now.Add(time.Hour).Unix(), 10)}}
	b, err := t.client.ask(ctx, "/api/search", v)
	if err != nil {
		return err
	}
	var found searchAnswer
	if err := json.Unmarshal(b, &found); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	for i := len(found.Traces) - 1; i >= 0; i-- {
		tr := &found.Traces[i]
		if _, ok := t.seen[tr.TraceID]; ok {
			continue
		}
		t.seen[tr.TraceID] = now
		fmt.Fprintf(t.out, "%s  %-32s  %-20s  %-10s  %s\n", tr.start().Format("15:04:05.000"), tr.TraceID, tr.RootServiceName, tr.duration(), tr.RootTraceName)
	}
	for id, at := range t.seen {
		if now.Sub(at) > since+time.Hour {
			delete(t.seen, id)
		}
	}
	if len(found.Traces) == t.limit {
		fmt.Fprintf(t.out, "more than %d traces match: narrow the query, or raise --limit\n", t.limit)
	}
	return nil
}
