package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func newTrace(c *client, o *output) *cobra.Command {
	var attributes, asJSON bool
	cmd := &cobra.Command{
		Use:   "trace ID",
		Short: "Show a trace as a tree with durations",
		Long: `Show a trace as a tree: each span below its parent, with its service, name, kind and
duration, and a bar that shows when it ran. Errors, exceptions and links follow their span. Spans
whose parent is not in the trace stand at the left.

Resources and scopes are listed at the end. --attributes shows them at their spans instead, where
they differ from those above, with all attributes and events. --json prints OTLP/JSON export
requests, which` + "`troupectl load -`" + ` takes: one, or one a line for a trace that is too large to
be held whole, as its parts arrive.`,
		Args: cobra.ExactArgs(1),
		Example: `  troupectl trace c9c0606c8671aee3e4eaf7b908c2df03 --attributes
  troupectl trace c9c0606c8671aee3e4eaf7b908c2df03 --json | troupectl load -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseTraceID(args[0])
			if err != nil {
				return err
			}
			req, err := c.newRequest(cmd.Context(), http.MethodGet, "/api/traces/"+url.PathEscape(id), nil)
			if err != nil {
				return err
			}
			req.Header.Set("Accept", "application/protobuf")
			resp, err := c.sendRequest(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if asJSON && resp.StatusCode == http.StatusOK {
				return printTrace(cmd, resp.Body)
			}
			b, err := readAnswer(resp)
			var refused *refusal
			if errors.As(err, &refused) && refused.status == http.StatusNotFound {
				return fmt.Errorf("no trace %s at %s", id, c.url)
			}
			if err != nil {
				return err
			}
			td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(b)
			if err != nil {
				return fmt.Errorf("read the answer: %w", err)
			}
			p, err := o.makePrinter(cmd)
			if err != nil {
				return err
			}
			newTree(td).showTree(p, attributes)
			return nil
		},
	}
	cmd.Flags().BoolVar(&attributes, "attributes", false, "show resources, scopes, attributes and events of each span")
	addJSON(cmd, &asJSON, "print OTLP/JSON, which load takes")
	return cmd
}

// printTrace prints a trace as OTLP/JSON export requests, as its parts arrive.
func printTrace(cmd *cobra.Command, body io.Reader) error {
	bar := newBar(cmd, "reading", -1)
	defer func() { _ = bar.Finish() }()
	return eachPart(io.TeeReader(body, bar), func(td ptrace.Traces) error {
		b, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
		if err != nil {
			return fmt.Errorf("encode the trace: %w", err)
		}
		return printBody(cmd.OutOrStdout(), b)
	})
}

// parseTraceID takes an id as people paste it: with capitals, spaces around it, or the dashes of a
// UUID.
func parseTraceID(s string) (string, error) {
	id := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(s), "-", ""))
	padded := id
	if len(id)%2 == 1 {
		padded = "0" + id
	}
	if _, err := hex.DecodeString(padded); err != nil || id == "" || len(id) > 32 {
		return "", fmt.Errorf("%q is no trace id: give up to 32 hexadecimal digits", s)
	}
	return id, nil
}
