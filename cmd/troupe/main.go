// Command troupe is the tracing backend: one process that runs every role, or the roles of -target.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/kernel/heap"
	"github.com/troupe-tracing/troupe/runtime/telemetry"
)

func main() { os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr)) }

// run is the process: it returns the exit code.
func run(args, environ []string, stdout, stderr *os.File) int {
	c, err := parseCommand(args, environ, stdout)
	switch {
	case errors.Is(err, errHelp):
		return 0
	case c != nil && c.verify && !c.version && c.health == "":
		return c.printReport(stderr, err)
	case err != nil:
		fmt.Fprintf(stderr, "troupe cannot start:\n%v\n", err)
		return 1
	case c.version:
		fmt.Fprintf(stdout, "troupe, version %s (revision %s)\n  go version: %s\n",
			telemetry.Version, telemetry.Revision, runtime.Version())
		return 0
	case c.health != "":
		return askHealth(c.health, stdout, stderr)
	}
	logger, err := telemetry.Logger(stderr, c.cfg.Server.LogFormat, c.cfg.Server.LogLevel)
	if err != nil {
		fmt.Fprintf(stderr, "troupe cannot start:\n%v\n", err)
		return 1
	}
	config.LogWarnings(logger, "configuration", c.warnings)
	enableProfiles(c)
	c.cfg.QueryFrontend.Config = c.cfg.QueryFrontend.ForMachine(runtime.GOMAXPROCS(0))
	spareThreads(c.cfg.QueryFrontend.Slots)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	size := c.divideMemory(os.DirFS("/"))
	logger.Info("size of the process", "bytes", size.Bytes, "source", size.Source, "detail", size.Detail)
	go heap.Pace(ctx, size.Bytes)
	registry := telemetry.Registry()
	registry.MustRegister(memoryMetric(size))
	n := newNode(c.cfg, logger, registry)
	n.terminal = isTerminal(stderr)
	if err := n.run(ctx, stderr); err != nil {
		logger.Error("troupe ends", "err", err)
		return 1
	}
	return 0
}

// spareThreads gives the runtime one thread more than there are slots for jobs, unless GOMAXPROCS
// is set. While every thread of the runtime runs a job, a message or a request that arrives waits
// for up to 10 ms. The operating system shares its processors between threads much sooner.
func spareThreads(slots int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), slots+1))
	}
}

// enableProfiles turns on the profiles that cost something and that the command line asks for.
func enableProfiles(c *command) {
	if c.mutex > 0 {
		runtime.SetMutexProfileFraction(c.mutex)
	}
	if c.block > 0 {
		runtime.SetBlockProfileRate(c.block)
	}
}

// askHealth asks a node's readiness page.
func askHealth(url string, stdout, stderr io.Writer) int {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(url)
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s answers %s", url, resp.Status)
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "Health check failed:", err)
		return 1
	}
	fmt.Fprintln(stdout, "Troupe is healthy")
	return 0
}

// isTerminal reports whether a person reads f.
func isTerminal(f *os.File) bool {
	s, err := f.Stat()
	return err == nil && s.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull && os.Getenv("TERM") != ""
}
