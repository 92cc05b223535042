package main

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/troupe-tracing/troupe/runtime/telemetry"
)

func newVersion(o *output) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of troupectl",
		Args:    cobra.NoArgs,
		Example: "  troupectl version\n  troupectl version --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]string{"version": telemetry.Version,
					"revision": telemetry.Revision, "goVersion": runtime.Version()})
			}
			p, err := o.makePrinter(cmd)
			if err != nil {
				return err
			}
			p.Linef("troupectl, version %s (revision %s)", telemetry.Version, telemetry.Revision)
			p.Linef("  go version: %s", runtime.Version())
			return nil
		},
	}
	addJSON(cmd, &asJSON, "print one JSON object")
	return cmd
}
