// troupectl is the command line client of Troupe: it sends traces, looks them up and searches them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
)

// Exit codes of troupectl.
const (
	exitDone        = 0
	exitFailed      = 1
	exitInterrupted = 130 // as a shell reports a process that Ctrl-C ended
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// execute runs one command and returns the exit code. Errors may hold text of servers and files, so
// that they are quoted here, in one place.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	fixBuiltIn(root) // once the outputs are known: cobra takes them then
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitDone
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "troupectl: interrupted")
		return exitInterrupted
	}
	render.NewPrinter(stderr, terminalWidth(stderr), false).Text("troupectl: ", err.Error())
	return exitFailed
}
