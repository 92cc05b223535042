package main

import (
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

const rootHelp = `troupectl sends traces to a running Troupe, looks them up and searches them. The commands that
ask work with any backend that has Tempo's API.

Output fits the terminal: columns that matter least are left out, and long names are cut with "…". When it is
piped, lines are as wide as needed and without colours. Names and values are always quoted: what is not
printable appears as \n, \x1b or \u202e. For programs use --json, which is exact.

Environment:
  TROUPE_URL, TROUPE_OTLP, TROUPE_TENANT   for --url, --otlp, --tenant
  TROUPE_OPERATOR                          for --operator
  NO_COLOR                                 no colours unless --color=always

Exit codes:
  0    done; with a warning where an answer is not complete
  1    failed: wrong usage, nothing listens, not found, refused, damaged
  130  interrupted`

func newRoot() *cobra.Command {
	c := &client{http: &http.Client{}}
	o := &output{}
	root := &cobra.Command{
		Use:   "troupectl",
		Short: "Send traces to Troupe, look them up and search them",
		Long:  rootHelp,
		Example: `  troupectl load --demo
  troupectl search '{ status = error }' --since 15m
  troupectl tail '{ duration > 500ms }' --url tempo:3200 --tenant team-a`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE:          showHelp,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&c.url, "url", envOr("TROUPE_URL", "http://127.0.0.1:3200"),
		"query API; http:// may be left out (or TROUPE_URL)")
	flags.StringVar(&c.otlp, "otlp", envOr("TROUPE_OTLP", "http://127.0.0.1:4318"),
		"OTLP/HTTP endpoint (or TROUPE_OTLP)")
	flags.StringVar(&c.operator, "operator", envOr("TROUPE_OPERATOR", "http://127.0.0.1:3201"),
		"operator's port, for blocks jobs and retention (or TROUPE_OPERATOR)")
	flags.StringVar(&c.tenant, "tenant", envOr("TROUPE_TENANT", ""), "tenant, sent as X-Scope-OrgID (or TROUPE_TENANT)")
	flags.DurationVar(&c.http.Timeout, "timeout", 2*time.Minute, "longest time of one request; 0: no limit")
	o.addFlags(root)
	root.AddCommand(newLoad(c, o), newTrace(c, o), newSearch(c, o), newMetrics(c, o), newTail(c, o), newMap(c, o),
		newExplain(c, o), newQueries(c, o), newBlocks(c, o), newImport(c, o), newExport(c, o), newRetention(c, o),
		newBackup(o), newRestore(o), newVersion(o))
	setHelp(root)
	return root
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// showHelp is what a command does that only groups others. An argument that is none of them is an
// error.
func showHelp(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2 // letters that may be wrong
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf("; did you mean %q?", near[0])
	}
	return fmt.Errorf("%s (`%s --help` lists the commands)", text, cmd.CommandPath())
}
