package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// bucketFlags say which blocks a command is about.
type bucketFlags struct {
	path, tenant string
	out          *output
}

func newBlocks(c *client, o *output) *cobra.Command {
	f := bucketFlags{out: o}
	cmd := &cobra.Command{
		Use:   "blocks",
		Short: "Look into the blocks of a bucket",
		Long: `Look into the blocks of a bucket: what there is, what a block holds and what it
costs, and whether it is whole.

The bucket is read as it lies there, and compared with its catalog; a node may be running on it. A
block is named by its id, or by the beginning of it. Only rm changes anything. jobs asks a running
node instead.`,
		Args:    cobra.ArbitraryArgs,
		Example: "  troupectl blocks ls --bucket ./data/blocks\n  troupectl blocks verify",
		RunE:    showHelp,
	}
	cmd.PersistentFlags().StringVar(&f.path, "bucket", "./data/blocks", "folder or address of the bucket")
	// --tenant is the root's: here it chooses the blocks of one tenant.
	cmd.PersistentPreRun = func(*cobra.Command, []string) { f.tenant = c.tenant }
	cmd.AddCommand(newBlocksList(&f), newBlocksLevels(&f), newBlocksInspect(&f), newBlocksColumns(&f),
		newBlocksVerify(&f), newBlocksCat(&f), newBlocksRemove(&f), newBlocksJobs(c, o))
	return cmd
}

func newBlocksList(f *bucketFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the blocks, newest first",
		Long: `List the blocks that the catalog has, and those that only the bucket has, newest first.

The state of a block is live; missing, where objects of a live block are gone; damaged, where they
have another size or another meta.json than the catalog says; retired; or unlisted, where it was
written and never published. With a missing or damaged block the exit code is 1.`,
		Args:    cobra.NoArgs,
		Example: "  troupectl blocks ls --bucket ./data/blocks",
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := f.listBlocks(cmd, false)
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				for i := range all {
					if err := e.Encode(&all[i].meta); err != nil {
						return err
					}
				}
				return f.errorOfWrong(all)
			}
			p, err := f.out.makePrinter(cmd)
			if err != nil {
				return err
			}
			showBlocks(p, all)
			return f.errorOfWrong(all)
		},
	}
	addJSON(cmd, &asJSON, "print the metas, one a line")
	return cmd
}

func showBlocks(p *render.Printer, all []listed) {
	t := p.Table(render.Column{Title: "block", Min: 12}, render.Column{Title: "tenant", Min: 8},
		render.Column{Title: "state"},
		render.Column{Title: "level", Right: true, Drop: 5}, render.Column{Title: "partition", Right: true, Drop: 6},
		render.Column{Title: "offsets", Drop: 7}, render.Column{Title: "start", Short: render.ShortMinute},
		render.Column{Title: "length", Right: true, Drop: 3},
		render.Column{Title: "traces", Right: true, Drop: 2}, render.Column{Title: "spans", Right: true},
		render.Column{Title: "bytes", Right: true},
		render.Column{Title: "B/span", Right: true, Drop: 4})
	spans, size := 0, int64(0)
	for _, l := range all {
		m := &l.meta
		t.Row(m.ID, m.Tenant, l.state, fmt.Sprint(m.Level), fmt.Sprint(m.Partition),
			fmt.Sprintf("[%d, %d)", m.From, m.To), timeText(m.MinStart),
			lengthText(m.MinStart, m.MaxEnd), fmt.Sprint(m.Traces), fmt.Sprint(m.Spans), render.Bytes(m.Bytes),
			perSpan(m.Bytes, m.Spans))
		spans, size = spans+m.Spans, size+m.Bytes
	}
	t.Footer(render.Count(len(all), "block", "blocks"), "", "", "", "", "", "", "", "", fmt.Sprint(spans),
		render.Bytes(size), perSpan(size, spans))
	t.Print()
	if len(all) == 0 {
		p.Linef("0 blocks")
	}
}

func newBlocksInspect(f *bucketFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "inspect BLOCK",
		Short:   "Show what a block covers and how its row groups lie",
		Args:    cobra.ExactArgs(1),
		Example: "  troupectl blocks inspect 3f2a   # the beginning of its id",
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := f.findBlock(cmd, args[0])
			if err != nil {
				return err
			}
			p, err := f.out.makePrinter(cmd)
			if err != nil {
				return err
			}
			if !asJSON {
				l.showFacts(p)
			}
			b, err := l.openBlock(cmd.Context())
			if err != nil {
				return errors.Join(f.errorOfWrong([]listed{*l}), err)
			}
			if asJSON {
				err := printJSON(cmd.OutOrStdout(),
					map[string]any{"meta": &l.meta, "state": l.state, "wrong": l.wrong, "rowGroups": b.RowGroups()})
				return errors.Join(err, f.errorOfWrong([]listed{*l}))
			}
			showRowGroups(p, b)
			return f.errorOfWrong([]listed{*l})
		},
	}
	addJSON(cmd, &asJSON, "print one JSON object: meta, state, wrong, rowGroups")
	return cmd
}

// showFacts prints what the meta and the catalog say of a block.
func (l *listed) showFacts(p *render.Printer) {
	m := &l.meta
	fact := func(name, format string, args ...any) {
		p.Line(11, render.Part{Text: fmt.Sprintf("%-11s", name), Style: render.Dim},
			render.Part{Text: fmt.Sprintf(format, args...)})
	}
	fact("block", "%s (%s, format version %d, level %d)", m.ID, l.state, m.Version, m.Level)
	fact("tenant", "%s", m.Tenant)
	fact("log", "epoch %s, partition %d of %v, offsets [%d, %d)", m.Epoch, m.Partition, m.Parts, m.From, m.To)
	fact("arrived", "%s to %s", timeText(uint64(m.MinArrival)), timeText(uint64(m.MaxArrival)))
	fact("spans", "%d in %s", m.Spans, render.Count(m.Traces, "trace", "traces"))
	name := "time"
	for _, v := range m.Intervals {
		fact(name, "%s to %s (%s)", timeText(v.Start), timeText(v.End), lengthText(v.Start, v.End))
		name = ""
	}
	name = "objects"
	for _, object := range slices.Sorted(maps.Keys(m.Objects)) {
		fact(name, "%-16s %s", object, render.Bytes(m.Objects[object]))
		name = ""
	}
	p.Linef("")
}

func showRowGroups(p *render.Printer, b *block.Block) {
	t := p.Table(render.Column{Title: "row group", Right: true}, render.Column{Title: "rows", Right: true},
		render.Column{Title: "traces", Right: true},
		render.Column{Title: "start", Short: render.ShortTime, Drop: 2},
		render.Column{Title: "length", Right: true, Drop: 1}, render.Column{Title: "services", Min: 12})
	for i, g := range b.RowGroups() {
		t.Row(fmt.Sprint(i), fmt.Sprint(g.Rows), fmt.Sprint(g.Traces), timeText(g.Start), lengthText(g.Start, g.End),
			render.Shorten(render.Quote(strings.Join(g.Services, ", ")), 80))
	}
	t.Print()
}

func newBlocksCat(f *bucketFlags) *cobra.Command {
	var id string
	var limit int
	cmd := &cobra.Command{
		Use:   "cat BLOCK",
		Short: "Print the block's traces as OTLP/JSON, one a line",
		Long: "Print the block's traces as OTLP/JSON export requests, one a line, oldest first: " +
			"what `troupectl load` sends.",
		Args:    cobra.ExactArgs(1),
		Example: "  troupectl blocks cat 3f2a --limit 10 > some.jsonl",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			l, err := f.findBlock(cmd, args[0])
			if err != nil {
				return err
			}
			b, err := l.openBlock(ctx)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			r := b.Reader()
			if id != "" {
				tid, err := trace.ParseID(id)
				if err != nil {
					return err
				}
				t, i, ok, err := r.Find(ctx, tid)
				if err != nil {
					return err
				}
				if !ok {
					return fmt.Errorf("no trace %s in block %s", id, l.meta.ID)
				}
				return printTraces(ctx, w, t, []int{i})
			}
			left := limit
			for _, t := range r.Tables() {
				n := t.Traces()
				if limit > 0 {
					n = min(n, left)
					left -= n
				}
				all := make([]int, n)
				for i := range all {
					all[i] = i
				}
				if err := printTraces(ctx, w, t, all); err != nil {
					return err
				}
			}
			return nil
		},
	}
	addJSON(cmd, new(bool), "the output is always JSON")
	cmd.Flags().StringVar(&id, "trace", "", "only this trace")
	cmd.Flags().IntVar(&limit, "limit", 0, "traces at most; 0: all")
	return cmd
}

// printTraces prints traces of a table by number.
func printTraces(ctx context.Context, w io.Writer, t column.Table, traces []int) error {
	var rows []uint32
	for _, i := range traces {
		rows = t.TraceRows(i, rows[:0])
		fs, err := column.Fragments(ctx, t, rows, nil)
		if err != nil {
			return err
		}
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(trace.Assemble(fs))
		if err != nil {
			return fmt.Errorf("decode trace: %w", err)
		}
		line, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
		if err != nil {
			return fmt.Errorf("encode trace: %w", err)
		}
		if _, err := w.Write(append(bytes.TrimSpace(line), '\n')); err != nil {
			return err
		}
	}
	return nil
}

func timeText(ns uint64) string { return render.Time(time.Unix(0, int64(ns))) }

func lengthText(from, to uint64) string { return render.Duration(time.Duration(to - from)) }

func perSpan(size int64, spans int) string {
	if spans == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", float64(size)/float64(spans))
}
