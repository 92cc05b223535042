package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
)

// leastWidth is the narrowest terminal that output is made for.
const leastWidth = 20

// output says how commands print: the flags of all of them.
type output struct {
	color string
	width int
}

func (o *output) addFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&o.color, "color", "auto", "`when` to print colours: auto (on a terminal), always or never")
	flags.IntVar(&o.width, "width", 0, "`columns` of a line; 0: those of the terminal, any number when piped")
	_ = root.RegisterFlagCompletionFunc("color",
		cobra.FixedCompletions([]string{"auto", "always", "never"}, cobra.ShellCompDirectiveNoFileComp))
}

// makePrinter makes the printer for a command's output.
func (o *output) makePrinter(cmd *cobra.Command) (*render.Printer, error) {
	return o.printerFor(cmd.OutOrStdout())
}

// makeNotes makes the printer for warnings and progress.
func (o *output) makeNotes(cmd *cobra.Command) (*render.Printer, error) {
	return o.printerFor(cmd.ErrOrStderr())
}

func (o *output) printerFor(w io.Writer) (*render.Printer, error) {
	terminal := isTerminal(w)
	color := false
	switch o.color {
	case "auto":
		color = terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	case "always":
		color = true
	case "never":
	default:
		return nil, fmt.Errorf("--color %s: give auto, always or never", o.color)
	}
	if o.width < 0 {
		return nil, errors.New("--width: give a number of columns above zero, or 0 for those of the terminal")
	}
	width := terminalWidth(w)
	if o.width > 0 {
		width = max(o.width, leastWidth)
	}
	return render.NewPrinter(w, width, color), nil
}

// terminalWidth returns the columns of a terminal, and 0 for anything else.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns < 1 {
		return 0
	}
	return max(columns, leastWidth)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// showAnswer decodes the JSON of an answer of the API into a, and prints it. warnings are those of
// a.
func (o *output) showAnswer(
	cmd *cobra.Command, body []byte, a interface{ show(*render.Printer) }, warnings *[]string,
) error {
	p, err := o.makePrinter(cmd)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, a); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	a.show(p)
	return o.printWarnings(cmd, *warnings...)
}

// printWarnings prints what an answer lacks, on standard error.
func (o *output) printWarnings(cmd *cobra.Command, warnings ...string) error {
	p, err := o.makeNotes(cmd)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		p.Warn(w)
	}
	return nil
}

// addJSON adds --json to a command.
func addJSON(cmd *cobra.Command, asJSON *bool, help string) {
	cmd.Flags().BoolVar(asJSON, "json", false, help)
}

const jsonAsItCame = "print the answer as it came"

// printBody prints an answer as it came, once it is known to be JSON.
func printBody(w io.Writer, body []byte) error {
	if !json.Valid(body) {
		return fmt.Errorf("read the answer: it is not JSON: %.80s", body)
	}
	_, err := fmt.Fprintf(w, "%s\n", bytes.TrimSpace(body))
	return err
}

// printJSON prints a value as one line of JSON.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
