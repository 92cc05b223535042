// troupectl is the command line client of Troupe: it sends traces, looks them up and searches them.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// client holds what every command needs to reach a node.
type client struct {
	url    string // query API
	otlp   string // OTLP/HTTP endpoint
	tenant string
	http   *http.Client
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := newRoot().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "troupectl:", err)
		os.Exit(1)
	}
}

func newRoot() *cobra.Command {
	c := &client{http: &http.Client{Timeout: 60 * time.Second}}
	root := &cobra.Command{
		Use:           "troupectl",
		Short:         "Send traces to Troupe, look them up and search them",
		Long:          "troupectl talks to a running Troupe (or any backend with Tempo's API).\nStart one with `make run`, then try `troupectl load --demo`.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	env := func(name, otherwise string) string {
		if v := os.Getenv(name); v != "" {
			return v
		}
		return otherwise
	}
	root.PersistentFlags().StringVar(&c.url, "url", env("TROUPE_URL", "http://127.0.0.1:3200"), "query API (or TROUPE_URL)")
	root.PersistentFlags().StringVar(&c.otlp, "otlp", env("TROUPE_OTLP", "http://127.0.0.1:4318"), "OTLP/HTTP endpoint (or TROUPE_OTLP)")
	root.PersistentFlags().StringVar(&c.tenant, "tenant", env("TROUPE_TENANT", ""), "tenant, sent as X-Scope-OrgID (or TROUPE_TENANT)")
	root.AddCommand(newLoad(c), newTrace(c), newSearch(c), newMetrics(c), newTail(c), newExplain(c), newBlocks(c))
	return root
}

// do sends a request with the tenant and gives errors a person can act on.
func (c *client) do(req *http.Request) (*http.Response, error) {
	if c.tenant != "" {
		req.Header.Set("X-Scope-OrgID", c.tenant)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if strings.Contains(err.Error(), "connection refused") {
			return nil, fmt.Errorf("nothing listens at %s: start Troupe with `make run`, or name another place with --url and --otlp", req.URL.Host)
		}
		return nil, err
	}
	return resp, nil
}
