package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
	"github.com/troupe-tracing/troupe/cmd/troupectl/tempo"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/storage/adopt"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

func newImport(c *client, o *output) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "import",
		Short:   "Bring in what another program has stored",
		Args:    cobra.ArbitraryArgs,
		Example: "  troupectl import tempo /var/tempo/traces --bucket ./data/blocks",
		RunE:    showHelp,
	}
	cmd.AddCommand(newImportTempo(c, o))
	return cmd
}

const importHelp = `Read the blocks of a Tempo (vParquet4 and vParquet5) and add their traces to a bucket of
Troupe's, by tenant.

SOURCE is only read, and Tempo may go on running. A node may be running on the bucket, too. It finds the traces
within half a minute; if the bucket is one of an object store and the log its own, with the next block that it
publishes, or when it is started. Blocks that overlap --since to --until are taken as a whole.

An import that was interrupted goes on where it ended, when it is run again; what was imported is not imported
again. A block that cannot be read is named and passed over; the exit code is 1 then. So it is with a block in which
a column holds values of unknown meaning: nothing is lost without your word (--ignore-column).

The spans count as if they had arrived when they ended: retention keeps them as long after that as any other.

` + placesHelp

// tempoImport is one run of `troupectl import tempo`.
type tempoImport struct {
	source, bucket string
	tenant         string
	within         timeRange
	ignore         []string
	dryRun         bool

	bar     *progressbar.ProgressBar
	notes   *render.Printer
	to      *adopt.Adopter
	sum     importSum
	refused []tempo.Refused
}

// importSum is what an import has done; it is printed.
type importSum struct {
	Found    int   `json:"found"` // blocks of the source
	Before   int   `json:"importedBefore"`
	Imported int   `json:"imported"`
	Failed   int   `json:"failed"`
	Blocks   int   `json:"blocks"` // that were written
	Spans    int64 `json:"spans"`
	Bytes    int64 `json:"bytes"`
}

func newImportTempo(c *client, o *output) *cobra.Command {
	run := tempoImport{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "tempo SOURCE",
		Short: "Import the blocks of a Tempo, from a folder or an object store",
		Long:  importHelp,
		Args:  cobra.ExactArgs(1),
		Example: `  troupectl import tempo /var/tempo/traces --dry-run
  troupectl import tempo 's3://tempo-traces?endpoint=minio:9000' --since 14d
  troupectl import tempo gs://tempo-traces --bucket s3://troupe --tenant a`,
		RunE: func(cmd *cobra.Command, args []string) error {
			run.source, run.tenant = args[0], c.tenant
			p, err := o.makePrinter(cmd)
			if err != nil {
				return err
			}
			if run.notes, err = o.makeNotes(cmd); err != nil {
				return err
			}
			err = run.importAll(cmd)
			if run.sum.Found > 0 || err == nil {
				if asJSON {
					err = errors.Join(err, printJSON(cmd.OutOrStdout(), &run.sum))
				} else {
					run.showSum(p)
				}
			}
			return err
		},
	}
	cmd.Flags().StringVar(&run.bucket, "bucket", "./data/blocks", "bucket of Troupe's, a folder or an address")
	run.within.addFlags(cmd.Flags(), "blocks with spans")
	cmd.Flags().StringArrayVar(&run.ignore, "ignore-column", nil,
		"`path` of a column whose values may be left out; can be given several times")
	cmd.Flags().BoolVar(&run.dryRun, "dry-run", false, "only say what would be imported")
	addJSON(cmd, &asJSON, "print what was imported as one JSON object")
	return cmd
}

// importAll imports every block of the source that is asked for.
func (t *tempoImport) importAll(cmd *cobra.Command) error {
	ctx := cmd.Context()
	if err := t.within.check(); err != nil {
		return err
	}
	source, closeSource, err := openPlace(ctx, t.source, objstore.ViewFolder)
	if err != nil {
		return err
	}
	defer closeSource()
	source = cachePieces(source)
	list, err := t.listBlocks(ctx, source)
	if err != nil {
		return err
	}
	open := objstore.OpenLocal
	if t.dryRun {
		open = objstore.ViewFolder
	}
	bucket, closeBucket, err := openPlace(ctx, t.bucket, open)
	switch {
	case t.dryRun && errors.Is(err, objstore.ErrNoBucket):
		bucket, closeBucket = objstore.NewMemory(), noClose
	case err != nil:
		return err
	}
	defer closeBucket()
	if t.to, err = adopt.Open(ctx, cachePieces(bucket), "troupectl "+rand.Text()); err != nil {
		return err
	}
	if !t.dryRun {
		if err := t.to.Begin(ctx); err != nil {
			return err
		}
	}
	return t.importBlocks(cmd, source, list)
}

// listBlocks lists the blocks that are asked for.
func (t *tempoImport) listBlocks(ctx context.Context, source objstore.Bucket) ([]tempo.Block, error) {
	all, refused, err := tempo.ListBlocks(ctx, source)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.source, err)
	}
	if len(all)+len(refused) == 0 {
		return nil, fmt.Errorf("%s holds no blocks of Tempo's: they lie in TENANT/BLOCK/meta.json; "+
			"name the folder in which the tenants are", t.source)
	}
	from, to := t.within.nanos()
	var list []tempo.Block
	for _, m := range all {
		outside := uint64(m.End.UnixNano()) < from || uint64(m.Start.UnixNano()) >= to
		if t.tenant != "" && m.Tenant != t.tenant || outside {
			continue
		}
		if err := tenant.Check(m.Tenant); err != nil {
			refused = append(refused, tempo.Refused{Name: m.Name(), Err: err})
			continue
		}
		list = append(list, m)
	}
	t.sum.Found = len(list) + len(refused)
	for _, r := range refused {
		t.refuse(r.Name, r.Err)
	}
	return list, nil
}

// refuse notes a block that cannot be imported.
func (t *tempoImport) refuse(name string, err error) {
	t.sum.Failed++
	t.refused = append(t.refused, tempo.Refused{Name: name, Err: err})
	if t.bar != nil {
		_ = t.bar.Clear()
	}
	t.notes.Warn(fmt.Sprintf("block %s is passed over: %v", name, err))
}

// importBlocks imports blocks one after the other, those of one tenant together.
func (t *tempoImport) importBlocks(cmd *cobra.Command, source objstore.Bucket, list []tempo.Block) error {
	total := int64(0)
	for i := range list {
		total += list[i].Size
	}
	t.bar = newBar(cmd, "importing", total, countBytes...)
	last := ""
	for i := range list {
		m := &list[i]
		if m.Tenant != last && !t.dryRun {
			if _, err := t.to.PublishLeftovers(cmd.Context(), m.Tenant); err != nil {
				return err
			}
		}
		last = m.Tenant
		done := t.bar.State().CurrentNum
		err := t.importBlock(cmd.Context(), source, m)
		var stop *stopImport
		switch {
		case cmd.Context().Err() != nil:
			return cmd.Context().Err()
		case errors.As(err, &stop):
			return fmt.Errorf("import block %s: %w", m.Name(), stop.err)
		case err != nil:
			t.refuse(m.Name(), err)
		}
		_ = t.bar.Set64(done + m.Size)
	}
	_ = t.bar.Finish()
	if t.sum.Failed > 0 {
		return fmt.Errorf("%s could not be imported; the reasons stand above",
			render.Count(t.sum.Failed, "block", "blocks"))
	}
	return nil
}

// stopImport is an error of the bucket that blocks are written to: all others would fail, too.
type stopImport struct{ err error }

func (s *stopImport) Error() string { return s.err.Error() }

// importBlock imports what was not imported before of one block.
func (t *tempoImport) importBlock(ctx context.Context, source objstore.Bucket, m *tempo.Block) error {
	f, err := m.Open(ctx, source, t.ignore)
	if err != nil {
		return err
	}
	from := int64(0) // the first trace that was not imported
	for _, r := range t.to.Catalog().Imported(m.Tenant)[catalog.ImportEpoch(m.ID)] {
		if r.GetFrom() <= from {
			from = max(from, r.GetTo())
		}
	}
	if from >= f.Traces() {
		t.sum.Before++
		return nil
	}
	if t.dryRun {
		t.sum.Imported++
		return nil
	}
	w := t.to.NewWriter(m.Tenant, m.ID, from, time.Now())
	defer func() {
		t.sum.Blocks, t.sum.Spans, t.sum.Bytes = t.sum.Blocks+w.Blocks, t.sum.Spans+w.Spans, t.sum.Bytes+w.Bytes
	}()
	step := float64(m.Size) / float64(max(f.Traces(), 1))
	done := t.bar.State().CurrentNum
	err = f.Each(ctx, from, func(x *tempo.Trace) error {
		if err := w.AddTrace(ctx, x.MinStart, x.End, x.OTLP...); err != nil {
			return &stopImport{err}
		}
		_ = t.bar.Set64(done + int64(step*float64(w.Next())))
		return nil
	})
	if err != nil {
		return err
	}
	if err := w.Flush(ctx); err != nil {
		return &stopImport{err}
	}
	t.sum.Imported++
	return nil
}

func (t *tempoImport) showSum(p *render.Printer) {
	s := &t.sum
	if t.dryRun {
		p.Linef("%s would be imported, %d were imported before, %d cannot be read",
			render.Count(s.Imported, "block", "blocks"), s.Before, s.Failed)
		return
	}
	p.Linef("%s imported: %s in %s of %s; %d were imported before, %d failed",
		render.Count(s.Imported, "block", "blocks"), render.Count(int(s.Spans), "span", "spans"),
		render.Count(s.Blocks, "block", "blocks"), render.Bytes(s.Bytes), s.Before, s.Failed)
}
