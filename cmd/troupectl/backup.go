package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
	"github.com/troupe-tracing/troupe/runtime/storage/backup"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

const backupHelp = `Copy a bucket, or bring a copy of it up to date.

DEST is empty, or a backup of SOURCE: what it has already is not copied again. It becomes a bucket itself, with one
version of the catalog and all blocks that it lists. A node may go on writing to SOURCE. A backup that is interrupted
leaves the one before as it was; run again, it goes on where it ended.

What the newest version no longer lists stays in DEST until --prune. What only the log of a node has is not in the
backup: at most the last minute, unless the block-builder is behind.

`

const restoreHelp = `Make an empty bucket a copy of a backup.

A node that is started on it with an empty log answers everything that was in the backup and takes new spans. An
interrupted restore goes on where it ended when it is run again. Do it before the node is started; a node that was
started too early names what is missing.

Where BUCKET is in use, and is the one that the backup was made of, only the objects that its live blocks have lost
are put back.

`

// copying is one run of backup or restore.
type copying struct {
	megabytes float64
	atOnce    int
	verify    bool
	prune     bool
	asJSON    bool
	out       *output
}

func (c *copying) addFlags(cmd *cobra.Command) {
	cmd.Flags().Float64Var(&c.megabytes, "rate", 0, "megabytes a second at most; 0: as fast as it goes")
	cmd.Flags().IntVar(&c.atOnce, "at-once", 4, "blocks that are copied at a time")
	cmd.Flags().BoolVar(&c.verify, "verify", false, "read every page of what was copied, and check its checksums")
	addJSON(cmd, &c.asJSON, "print what was copied as one JSON object")
}

func newBackup(o *output) *cobra.Command {
	run := copying{out: o}
	cmd := &cobra.Command{
		Use:   "backup SOURCE DEST",
		Short: "Copy a bucket, or bring the copy up to date",
		Long:  backupHelp + placesHelp,
		Args:  cobra.ExactArgs(2),
		Example: `  troupectl backup ./data/blocks /mnt/backup
  troupectl backup s3://traces gs://traces-backup --rate 50 --verify`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return run.copyBucket(cmd, args[0], args[1], backup.Copy)
		},
	}
	run.addFlags(cmd)
	cmd.Flags().BoolVar(&run.prune, "prune", false, "remove the blocks from DEST that SOURCE no longer lists")
	return cmd
}

func newRestore(o *output) *cobra.Command {
	run := copying{out: o}
	cmd := &cobra.Command{
		Use:     "restore BACKUP BUCKET",
		Short:   "Make an empty bucket a copy of a backup",
		Long:    restoreHelp + placesHelp,
		Args:    cobra.ExactArgs(2),
		Example: "  troupectl restore /mnt/backup ./data/blocks",
		RunE: func(cmd *cobra.Command, args []string) error {
			return run.copyBucket(cmd, args[0], args[1], backup.Restore)
		},
	}
	run.addFlags(cmd)
	return cmd
}

// copyFunc is backup.Copy or backup.Restore.
type copyFunc func(ctx context.Context, from, to objstore.Bucket, o backup.Options) (*backup.Result, error)

func (c *copying) copyBucket(cmd *cobra.Command, source, target string, copyAll copyFunc) error {
	ctx := cmd.Context()
	if c.megabytes < 0 || c.atOnce < 1 {
		return errors.New("--rate, --at-once: give numbers above zero")
	}
	p, err := c.out.makePrinter(cmd)
	if err != nil {
		return err
	}
	from, closeFrom, err := openPlace(ctx, source, objstore.ViewLocal)
	if err != nil {
		return err
	}
	defer closeFrom()
	to, closeTo, err := openPlace(ctx, target, objstore.OpenLocal)
	if err != nil {
		return err
	}
	defer closeTo()
	bar := newBar(cmd, "copying", -1, countBytes...)
	o := backup.Options{AtOnce: c.atOnce, Verify: c.verify, Progress: func(copied, total int64) {
		bar.ChangeMax64(max(total, copied))
		_ = bar.Set64(copied)
	}}
	if c.megabytes > 0 {
		o.Limit = rate.NewLimiter(rate.Limit(c.megabytes*1e6), int(max(c.megabytes*1e6/10, 4096)))
	}
	r, err := copyAll(ctx, from, to, o)
	_ = bar.Finish()
	if err != nil {
		return explainTarget(err, source, target)
	}
	if c.prune && len(r.Missing) == 0 {
		if r.Pruned, err = backup.Prune(ctx, to); err != nil {
			return err
		}
	}
	if c.asJSON {
		err = printJSON(cmd.OutOrStdout(), r)
	} else {
		c.showResult(p, r)
	}
	return errors.Join(err, errorOfMissing(r))
}

func (c *copying) showResult(p *render.Printer, r *backup.Result) {
	p.Linef("version %d of the catalog, with %s and %s: %s copied in %s, %d were there", r.Version,
		render.Count(r.Blocks, "block", "blocks"), render.Count(int(r.Spans), "span", "spans"), render.Bytes(r.Bytes),
		render.Count(r.Copied, "object", "objects"), r.Equal)
	if c.prune {
		p.Linef("%s removed that the catalog does not list", render.Count(r.Pruned, "block", "blocks"))
	}
}

// explainTarget says what to do about a target that cannot be one.
func explainTarget(err error, source, target string) error {
	switch {
	case errors.Is(err, backup.ErrForeign):
		return fmt.Errorf("%s: %w: name an empty folder or bucket, or a backup of %s", target, err, source)
	case errors.Is(err, backup.ErrInUse):
		return fmt.Errorf("%s: %w: it is no backup; name an empty folder or bucket", target, err)
	case errors.Is(err, backup.ErrForked):
		return fmt.Errorf("%s: %w: name an empty folder or bucket", target, err)
	case errors.Is(err, backup.ErrNothing):
		return fmt.Errorf("%s: %w", source, err)
	}
	return err
}

// errorOfMissing names the blocks that could not be copied; nil if there are none.
func errorOfMissing(r *backup.Result) error {
	if len(r.Missing) == 0 {
		return nil
	}
	var texts []string
	for _, m := range r.Missing {
		texts = append(texts, fmt.Sprintf("block %s of tenant %s is not whole in the source, and not in the copy: %s",
			m.Block, m.Tenant, m.Reason))
	}
	return errors.New(strings.Join(texts, "\n"))
}
