package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const loadHelp = `Send traces over OTLP/HTTP.

FILE holds OTLP export requests: JSON (one in the whole file, or one a line) or protobuf (one, or several with their
lengths before them, as the Collector's file exporter writes them), also packed with gzip or zstd. What it is is seen
from its content. "-" reads standard input. Large requests are sent in parts.

--demo sends a made-up shop instead: several services with errors, database calls and events over the last ten
minutes, with new ids each time. With --live it goes on, trace after trace as they end, until Ctrl-C;
` + "`troupectl tail`" + ` shows them come in.

A backend that is over its capacity is waited for, but not longer than --patience for one request. What it refuses
for good ends the command with its reason and exit code 1; so does a file without spans.`

// demo says what the demo sends.
type demo struct {
	on, live bool
	traces   int
	seed     uint64
}

func newLoad(c *client, o *output) *cobra.Command {
	var (
		d        demo
		rate     float64
		toNow    bool
		asJSON   bool
		patience time.Duration
	)
	cmd := &cobra.Command{
		Use:   "load [FILE...]",
		Short: "Send OTLP files (JSON or protobuf), or the built-in demo shop",
		Long:  loadHelp,
		Example: `  troupectl load --demo
  troupectl load --demo --live --rate 20
  troupectl load traces.jsonl.gz --shift-to-now
  troupectl trace ID --json | troupectl load -`,
		RunE: func(cmd *cobra.Command, files []string) error {
			switch {
			case d.on == (len(files) > 0):
				return errors.New("give files to send, or --demo")
			case d.live && !d.on:
				return errors.New("--live goes with --demo")
			case rate < 0 || d.traces < 0:
				return errors.New("--rate and --traces: give numbers above zero")
			}
			p, err := o.makePrinter(cmd)
			if err != nil {
				return err
			}
			s := &sender{c: c, rate: rate, patience: patience}
			if d.on {
				err = d.sendShops(cmd, s)
			} else {
				err = sendFiles(cmd, s, files, toNow)
			}
			s.endSending()
			if d.live && errors.Is(err, context.Canceled) { // Ctrl-C is the end of the live demo
				err = nil
			}
			if err != nil {
				if s.sent > 0 {
					err = fmt.Errorf("%w (%d spans in %d requests were sent before)", err, s.spans, s.sent)
				}
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), s.jsonSummary())
			} else {
				s.showSummary(p)
			}
			return errors.Join(err, o.printWarnings(cmd, s.warningTexts()...), s.refusedError())
		},
	}
	cmd.Flags().BoolVar(&d.on, "demo", false, "send the built-in demo shop")
	cmd.Flags().BoolVar(&d.live, "live", false, "go on sending the demo, now and without end unless --traces is given")
	cmd.Flags().IntVar(&d.traces, "traces", 0, "traces of the demo (default 500; with --live no end)")
	cmd.Flags().Float64Var(&rate, "rate", 0, "requests a second (default: as fast as they are taken; with --live 5)")
	cmd.Flags().BoolVar(&toNow, "shift-to-now", false,
		"move all times by one constant so that the newest span ends now")
	cmd.Flags().Uint64Var(&d.seed, "seed", 0, "make the same demo each time, with the same ids; 0: a new one")
	cmd.Flags().DurationVar(&patience, "patience", time.Minute,
		"how long one request is repeated while the backend cannot take it")
	addJSON(cmd, &asJSON, "print what was sent as one JSON object")
	return cmd
}

// sendShops sends the demo: spread over the last ten minutes, or as it happens where a rate is
// given.
func (d *demo) sendShops(cmd *cobra.Command, s *sender) error {
	total := d.traces
	if total == 0 && !d.live {
		total = 500
	}
	if d.live && s.rate == 0 {
		s.rate = 5
	}
	seed := d.seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	bar := int64(total)
	if bar == 0 {
		bar = -1
	}
	s.beginSending(newBar(cmd, "sending", bar, countRequests...))
	shop := newShop(seed)
	for i := 0; i < total || total == 0; i++ {
		if err := s.awaitTurn(cmd.Context()); err != nil {
			return err
		}
		at := time.Now()
		if s.rate == 0 { // the newest last
			const spread = 10 * time.Minute
			at = at.Add(-spread + time.Duration(float64(spread)*float64(i)/float64(total)))
		}
		if err := s.sendRequest(cmd.Context(), shop.makeTrace(at)); err != nil {
			return err
		}
		_ = s.bar.Add(1)
	}
	return nil
}

// sendFiles sends what files hold, one request after the other.
func sendFiles(cmd *cobra.Command, s *sender, names []string, toNow bool) error {
	sources, size, err := openSources(names, cmd.InOrStdin(), toNow)
	if err != nil {
		return err
	}
	shift := int64(0)
	if toNow {
		newest, err := newestTime(sources)
		if err != nil {
			return err
		}
		shift = time.Now().UnixNano() - int64(newest)
	}
	s.beginSending(newBar(cmd, "sending", size, countBytes...))
	for _, src := range sources {
		before := s.spans
		err := src.eachRequest(s.bar, func(td ptrace.Traces) error {
			if td.SpanCount() == 0 {
				return nil
			}
			moveTimes(td, shift)
			for _, part := range splitRequest(td) {
				if err := s.awaitTurn(cmd.Context()); err != nil {
					return err
				}
				if err := s.sendRequest(cmd.Context(), part); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if s.spans == before {
			return fmt.Errorf("%s holds no spans: it must be OTLP, as JSON with \"resourceSpans\" or as protobuf",
				src.name)
		}
	}
	return nil
}

// source is a file, or standard input, that can be read once, or more often where it is not a
// stream.
type source struct {
	name string
	open func() (io.ReadCloser, error)
}

// openSources checks that all files are there before anything is sent, and sums their bytes; -1
// means not known.
func openSources(names []string, stdin io.Reader, twice bool) (sources []source, size int64, err error) {
	for _, name := range names {
		if name == "-" {
			src, err := stdinSource(stdin, twice)
			if err != nil {
				return nil, 0, err
			}
			sources, size = append(sources, src), -1
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return nil, 0, err
		}
		if info.IsDir() {
			return nil, 0, fmt.Errorf("%s is a folder: name the files in it", name)
		}
		if size >= 0 {
			size += info.Size()
		}
		sources = append(sources, source{name, func() (io.ReadCloser, error) { return os.Open(name) }})
	}
	return sources, size, nil
}
