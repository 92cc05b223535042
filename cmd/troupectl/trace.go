package main

import (
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func newTrace(c *client) *cobra.Command {
	var attributes bool
	cmd := &cobra.Command{
		Use:     "trace ID",
		Short:   "Show a trace as a tree with durations",
		Args:    cobra.ExactArgs(1),
		Example: "  troupectl trace c9c0606c8671aee3e4eaf7b908c2df03 --attributes",
		RunE: func(cmd *cobra.Command, args []string) error {
			req, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, strings.TrimSuffix(c.url, "/")+"/api/traces/"+args[0], nil)
			if err != nil {
				return err
			}
			req.Header.Set("Accept", "application/protobuf")
			resp, err := c.do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			switch resp.StatusCode {
			case http.StatusOK:
			case http.StatusNotFound:
				return fmt.Errorf("no trace %s at %s", args[0], c.url)
			default:
				return fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(b)))
			}
			td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(b)
			if err != nil {
				return fmt.Errorf("read the answer: %w", err)
			}
			printTree(cmd.OutOrStdout(), td, attributes)
			return nil
		},
	}
	cmd.Flags().BoolVar(&attributes, "attributes", false, "show the attributes of each span")
	return cmd
}

type node struct {
	service  string
	span     ptrace.Span
	children []*node
}

// printTree draws the spans under their parents, by start; spans whose parent is not in the trace stand at the left.
func printTree(w io.Writer, td ptrace.Traces, attributes bool) {
	byID := map[string]*node{}
	var all []*node
	for _, rs := range td.ResourceSpans().All() {
		service := "?"
		if v, ok := rs.Resource().Attributes().Get("service.name"); ok {
			service = v.AsString()
		}
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				n := &node{service: service, span: s}
				byID[s.SpanID().String()] = n
				all = append(all, n)
			}
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].span.StartTimestamp() < all[j].span.StartTimestamp() })
	var roots []*node
	for _, n := range all {
		if p := byID[n.span.ParentSpanID().String()]; p != nil && p != n && !within(n, p) {
			p.children = append(p.children, n)
		} else {
			roots = append(roots, n)
		}
	}
	if len(all) == 0 {
		fmt.Fprintln(w, "the trace has no spans")
		return
	}
	start, end := all[0].span.StartTimestamp(), all[0].span.EndTimestamp()
	for _, n := range all {
		end = max(end, n.span.EndTimestamp())
	}
	fmt.Fprintf(w, "%s  %d spans  %s  %s\n", all[0].span.TraceID(), len(all), start.AsTime().Local().Format("2006-01-02 15:04:05.000"), time.Duration(end-start).Round(time.Microsecond))
	var draw func(n *node, indent, branch string)
	draw = func(n *node, indent, branch string) {
		s := n.span
		left := indent + branch + n.service + "  " + s.Name()
		mark := ""
		if s.Status().Code() == ptrace.StatusCodeError {
			mark = "  ERROR " + s.Status().Message()
		}
		took := time.Duration(int64(s.EndTimestamp()) - int64(s.StartTimestamp()))
		fmt.Fprintf(w, "%-64s %10s  +%s%s\n", left, took.Round(time.Microsecond), time.Duration(s.StartTimestamp()-start).Round(time.Microsecond), mark)
		under := indent
		switch branch {
		case "├─ ":
			under += "│  "
		case "└─ ":
			under += "   "
		}
		if attributes {
			for k, v := range s.Attributes().All() {
				fmt.Fprintf(w, "%s     %s = %s\n", under, k, v.AsString())
			}
			for _, e := range s.Events().All() {
				fmt.Fprintf(w, "%s     event %s +%s\n", under, e.Name(), time.Duration(int64(e.Timestamp())-int64(s.StartTimestamp())))
			}
		}
		for i, k := range n.children {
			b := "├─ "
			if i == len(n.children)-1 {
				b = "└─ "
			}
			draw(k, under, b)
		}
	}
	for _, r := range roots {
		draw(r, "", "")
	}
}

// within reports whether p lies below n already: a circle of parents must not be drawn for ever.
func within(n, p *node) bool {
	for _, k := range n.children {
		if k == p || within(k, p) {
			return true
		}
	}
	return false
}
