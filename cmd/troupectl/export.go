package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/export"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

const exportHelp = `Write traces as OTLP: those that overlap --since to --until, or of these those that a query
finds. A trace is written whole, also where a part of it lies outside of the range.

They come from a node (--url; the last hour without --since), or with --bucket from the blocks of a bucket or of a
backup, without a node. A node knows what came a moment ago; from a bucket many traces come faster, and what only the
log of a node has is not there.

The form is OTLP/JSON, one request a line, which ` + "`troupectl load`" + ` and the Collector's otlpjsonfile
receiver read; or with --format proto protobuf messages with their lengths before them, as the Collector's file
exporter writes them, which ` + "`troupectl load`" + ` reads. A file whose name ends with .gz is packed.

An export that lacks something says what, and exits with 1.`

// exportRun is one run of `troupectl export`.
type exportRun struct {
	client *client
	within timeRange
	query  string
	bucket string
	file   string
	format string

	bar      *progressbar.ProgressBar
	out      *requestWriter
	mu       sync.Mutex
	warnings []string // each once
	traces   int
}

func newExport(c *client, o *output) *cobra.Command {
	run := exportRun{client: c}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "export ['QUERY']",
		Short: "Write traces as OTLP files, from a node or from a bucket",
		Long:  exportHelp,
		Args:  cobra.MaximumNArgs(1),
		Example: `  troupectl export --since 6h --output traces.jsonl.gz
  troupectl export '{ status = error }' --since 2d | troupectl load -
  troupectl export --bucket s3://traces --tenant team-a --format proto -o a.bin`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				run.query = args[0]
			}
			notes, err := o.makeNotes(cmd)
			if err != nil {
				return err
			}
			err = run.exportAll(cmd)
			if err == nil || run.traces > 0 {
				if asJSON {
					err = errors.Join(err, printJSON(cmd.ErrOrStderr(),
						map[string]any{"traces": run.traces, "spans": run.out.spans, "bytes": run.out.bytes,
							"complete": err == nil, "warnings": run.warnings}))
				} else {
					notes.Linef("%s in %s, %s", render.Count(run.out.spans, "span", "spans"),
						render.Count(run.traces, "trace", "traces"), render.Bytes(run.out.bytes))
				}
			}
			return err
		},
	}
	run.within.addFlags(cmd.Flags(), "traces")
	cmd.Flags().StringVar(&run.bucket, "bucket", "", "read the blocks of this bucket, a folder or an address")
	cmd.Flags().StringVarP(&run.file, "output", "o", "-", "`file` to write; -: standard output")
	cmd.Flags().StringVar(&run.format, "format", "jsonl", "jsonl or proto")
	addJSON(cmd, &asJSON, "print what was written as one JSON object, on standard error")
	return cmd
}

func (e *exportRun) exportAll(cmd *cobra.Command) (err error) {
	if e.format != "jsonl" && e.format != "proto" {
		return fmt.Errorf("--format %s: give jsonl or proto", e.format)
	}
	if err := e.within.check(); err != nil {
		return err
	}
	var parsed *traceql.Query
	if e.query != "" {
		if parsed, err = traceql.Parse(e.query); err != nil {
			return err
		}
	}
	closeFile, err := e.openOutput(cmd)
	if err != nil {
		return err
	}
	e.bar = newBar(cmd, "exporting", -1, countBytes...)
	if e.bucket != "" {
		err = e.exportBucket(cmd.Context(), parsed)
	} else {
		err = e.exportNode(cmd.Context())
	}
	_ = e.bar.Finish()
	if err = errors.Join(err, closeFile()); err != nil {
		return err
	}
	if len(e.warnings) > 0 {
		return fmt.Errorf("the export is not complete:\n%s", strings.Join(e.warnings, "\n"))
	}
	return nil
}

// warn notes what the export lacks.
func (e *exportRun) warn(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	const most = 50
	if !slices.Contains(e.warnings, text) && len(e.warnings) < most {
		e.warnings = append(e.warnings, text)
	}
}

// openOutput opens what the export is written to.
func (e *exportRun) openOutput(cmd *cobra.Command) (closeAll func() error, err error) {
	if e.file == "-" {
		e.out = &requestWriter{to: cmd.OutOrStdout(), proto: e.format == "proto"}
		return noClose, nil
	}
	f, err := os.Create(e.file)
	if err != nil {
		return nil, err
	}
	e.out = &requestWriter{to: f, proto: e.format == "proto"}
	if !strings.HasSuffix(e.file, ".gz") {
		return f.Close, nil
	}
	z := gzip.NewWriter(f)
	e.out.to = z
	return func() error { return errors.Join(z.Close(), f.Close()) }, nil
}

// requestWriter writes OTLP requests to a file.
type requestWriter struct {
	mu    sync.Mutex
	to    io.Writer
	proto bool
	spans int
	bytes int64
}

// writeRequest writes one request.
func (w *requestWriter) writeRequest(td ptrace.Traces) error {
	var b []byte
	var err error
	if w.proto {
		var m []byte
		m, err = (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		b = append(binary.BigEndian.AppendUint32(nil, uint32(len(m))), m...)
	} else {
		b, err = (&ptrace.JSONMarshaler{}).MarshalTraces(td)
		b = append(bytes.TrimSpace(b), '\n')
	}
	if err != nil {
		return fmt.Errorf("encode the trace: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spans += td.SpanCount()
	w.bytes += int64(len(b))
	_, err = w.to.Write(b)
	return err
}

func (w *requestWriter) bytesWritten() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes
}

// exportBucket writes traces out of the blocks of a bucket.
func (e *exportRun) exportBucket(ctx context.Context, parsed *traceql.Query) error {
	b, closeBucket, err := openPlace(ctx, e.bucket, objstore.ViewLocal)
	if err != nil {
		return err
	}
	defer closeBucket()
	b = cachePieces(b)
	c, err := blockstore.LoadCatalog(ctx, b)
	if err != nil {
		return fmt.Errorf("%s: %w", noCatalog, err)
	}
	tenant, err := e.chooseTenant(c.View().Tenants())
	if err != nil {
		return err
	}
	start, end := e.within.nanos()
	r := export.Request{Tenant: tenant, Start: start, End: end, Query: parsed}
	const indexes = 256 << 20
	last := ""
	unread, err := export.Each(ctx, c.View(), blockstore.NewStore(b, indexes), r, func(otlp []byte) error {
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(otlp)
		if err != nil {
			return fmt.Errorf("decode trace: %w", err)
		}
		if id := firstTraceID(td); id != last {
			last = id
			e.traces++
		}
		err = e.out.writeRequest(td)
		_ = e.bar.Set64(e.out.bytesWritten())
		return err
	})
	for _, u := range unread {
		e.warn(fmt.Sprintf("block %s: %v", u.Block, u.Err))
	}
	e.warnOfGaps(c.View(), tenant, start, end)
	return err
}

// warnOfGaps notes records that are in no block and arrived when spans of the range may have.
func (e *exportRun) warnOfGaps(v *catalog.View, tenant string, start, end uint64) {
	within := func(from, to int64) bool { return uint64(max(to, 0)) >= start && uint64(max(from, 0)) < end }
	for _, g := range v.Gaps {
		if within(g.GetMinArrivalUnixNano(), g.GetMaxArrivalUnixNano()) {
			e.warn(fmt.Sprintf("records [%d, %d) of partition %d were lost before they were in a block", g.GetFrom(),
				g.GetTo(), g.GetPartition()))
		}
	}
	for _, a := range v.SetAside {
		concerned := a.GetTenant() == "" || a.GetTenant() == tenant
		if concerned && within(a.GetMinArrivalUnixNano(), a.GetMaxArrivalUnixNano()) {
			e.warn(fmt.Sprintf("%d records of partition %d were set aside: %s", a.GetRecords(), a.GetPartition(),
				a.GetReason()))
		}
	}
}

// chooseTenant returns the tenant to export, which has to be named where there are several.
func (e *exportRun) chooseTenant(have []string) (string, error) {
	switch name := e.client.tenant; {
	case name != "" && slices.Contains(have, name):
		return name, nil
	case name != "":
		return "", fmt.Errorf("tenant %s has no blocks in %s: it has %s", name, e.bucket, strings.Join(have, ", "))
	case len(have) == 1:
		return have[0], nil
	case len(have) == 0:
		return "", fmt.Errorf("%s has no blocks", e.bucket)
	}
	return "", fmt.Errorf("%s has several tenants: choose one with --tenant: %s", e.bucket, strings.Join(have, ", "))
}
