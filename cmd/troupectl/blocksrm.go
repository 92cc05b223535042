package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

func newBlocksRemove(f *bucketFlags) *cobra.Command {
	var whole, asJSON bool
	cmd := &cobra.Command{
		Use:   "rm BLOCK...",
		Short: "Take blocks that are gone for good out of the catalog",
		Long: `Take blocks out of the catalog, so that answers no longer name them as missing, and
delete what is left of their objects.

Without --delete a block must have lost objects. Its spans are gone then: restore them from a copy
first, if there is one. The entry goes into the catalog's journal in the bucket; a running node
reads it within some seconds, a stopped one when it starts.`,
		Args:    cobra.MinimumNArgs(1),
		Example: "  troupectl blocks ls          # names the blocks that are missing\n  troupectl blocks rm 3f2a",
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := f.out.makePrinter(cmd)
			if err != nil {
				return err
			}
			if _, err := f.listBlocks(cmd, true); err != nil { // makes no bucket where there is none
				return err
			}
			b, closeBucket, err := openPlace(cmd.Context(), f.path, objstore.OpenLocal)
			if err != nil {
				return err
			}
			defer closeBucket()
			for _, id := range args {
				if err := f.removeBlock(cmd.Context(), b, id, whole, func(l *listed) error {
					if asJSON {
						return printJSON(cmd.OutOrStdout(),
							map[string]any{"block": l.meta.ID, "tenant": l.meta.Tenant, "spans": l.meta.Spans,
								"state": stateRetired})
					}
					p.Linef("block %s of tenant %s is out of the catalog, with %s; "+
						"a running node knows within some seconds", l.meta.ID, l.meta.Tenant,
						render.Count(l.meta.Spans, "span", "spans"))
					return nil
				}); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&whole, "delete", false, "delete blocks that are there, with their spans")
	addJSON(cmd, &asJSON, "print one JSON object a block: block, tenant, spans, state")
	return cmd
}

// writeTries is how often an entry is tried while a node writes its own.
const writeTries = 10

// removeBlock takes one block out of the catalog and deletes its objects.
func (f *bucketFlags) removeBlock(
	ctx context.Context, b objstore.Bucket, id string, whole bool, tell func(*listed) error,
) error {
	for try := 1; ; try++ {
		c, err := blockstore.LoadCatalog(ctx, b)
		if err != nil {
			return err
		}
		all, err := f.compareBlocks(ctx, b, c, func(string) {})
		if err != nil {
			return err
		}
		l, err := f.chooseByID(slices.DeleteFunc(all,
			func(l listed) bool { return l.state == stateUnlisted || l.state == stateRetired }), id)
		if err != nil {
			return err
		}
		if l.state != stateMissing && !whole {
			return fmt.Errorf("block %s of tenant %s is there, with %d spans: --delete removes them", l.meta.ID,
				l.meta.Tenant, l.meta.Spans)
		}
		err = writeRetired(ctx, b, c, l)
		if errors.Is(err, journal.ErrTaken) && try < writeTries {
			continue // a node has written meanwhile
		}
		if err != nil {
			return fmt.Errorf("write the catalog: %w", err)
		}
		if err := deleteObjects(ctx, b, l); err != nil {
			return err
		}
		return tell(l)
	}
}

// writeRetired writes the next entry of the catalog's journal, as a node does.
func writeRetired(ctx context.Context, b objstore.Bucket, c *catalog.State, l *listed) error {
	now := time.Now().UnixNano()
	entry := &blocks.Entry{BlocksRetired: &blocks.BlocksRetired{Tenant: l.meta.Tenant, Blocks: []string{l.meta.ID},
		AtUnixNano: now}}
	m := &blocks.Commit{Seq: c.View().Version + 1, Entries: []*blocks.Entry{entry}, AtUnixNano: now}
	data, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode commit: %w", err)
	}
	if err := c.Apply(m); err != nil {
		return err
	}
	return journal.New(b, blockstore.CatalogFolder).Append(ctx, m.Seq, data)
}

// deleteObjects deletes what is left of a block, the meta last.
func deleteObjects(ctx context.Context, b objstore.Bucket, l *listed) error {
	folder := blockstore.Folder(l.meta.Tenant, l.meta.ID)
	names := append(block.PartNames(), block.MetaObject)
	for name := range l.meta.Objects {
		if !slices.Contains(names, name) {
			names = append([]string{name}, names...)
		}
	}
	for _, name := range names {
		if err := b.Delete(ctx, folder+name); err != nil {
			return fmt.Errorf("delete what is left of block %s: %w", l.meta.ID, err)
		}
	}
	return nil
}
