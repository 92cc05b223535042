package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	helpWidth = 80  // columns of help that is piped
	mostHelp  = 100 // columns that are still easily read
)

// setHelp makes the help of all commands fit the terminal.
func setHelp(root *cobra.Command) {
	cobra.AddTemplateFunc("wrapFlags", func(flags *pflag.FlagSet) string {
		return flags.FlagUsagesWrapped(widthOfHelp(root.OutOrStdout()))
	})
	template := root.UsageTemplate()
	for _, flags := range []string{"LocalFlags", "InheritedFlags"} {
		template = strings.ReplaceAll(template, "."+flags+".FlagUsages", "(wrapFlags ."+flags+")")
	}
	root.SetUsageTemplate(template)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		about := cmd.Long
		if about == "" {
			about = cmd.Short + "."
		}
		w := cmd.OutOrStdout()
		fmt.Fprintf(w, "%s\n\n%s", wrapHelp(about, widthOfHelp(w)), cmd.UsageString())
	})
}

// fixBuiltIn lets the commands that cobra adds fail, as all others do, on a name that they do not
// know.
func fixBuiltIn(root *cobra.Command) {
	root.SetHelpCommand(&cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil {
				return err
			}
			return showHelp(cmd, rest)
		},
	})
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Args, cmd.RunE = cobra.ArbitraryArgs, showHelp
		}
	}
}

func widthOfHelp(w io.Writer) int {
	if columns := terminalWidth(w); columns > 0 {
		return min(columns, mostHelp)
	}
	return helpWidth
}

// wrapHelp fills the paragraphs of a text. Paragraphs with indented lines, which are tables, stay
// as they are.
func wrapHelp(s string, width int) string {
	paragraphs := strings.Split(s, "\n\n")
	for i, p := range paragraphs {
		if !strings.Contains("\n"+p, "\n  ") {
			paragraphs[i] = text.WrapSoft(strings.ReplaceAll(p, "\n", " "), width)
			lines := strings.Split(paragraphs[i], "\n")
			for j, line := range lines {
				lines[j] = strings.TrimRight(line, " ")
			}
			paragraphs[i] = strings.Join(lines, "\n")
		}
	}
	return strings.Join(paragraphs, "\n\n")
}
