package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

func newBlocksColumns(f *bucketFlags) *cobra.Command {
	var by string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "columns BLOCK",
		Short: "Show what each column of a block holds and what it costs",
		Long: `Show what each column of a block holds, how it is encoded and what it costs.

Attributes that enough spans have are columns of their own, chosen for each block from its data; the
others are in the overflow columns.`,
		Args:    cobra.ExactArgs(1),
		Example: "  troupectl blocks columns 3f2a\n  troupectl blocks columns 3f2a --sort name --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := f.findBlock(cmd, args[0])
			if err != nil {
				return err
			}
			b, err := l.openBlock(cmd.Context())
			if err != nil {
				return err
			}
			rows := columnRows(b.Columns())
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				for i := range rows {
					if err := e.Encode(&rows[i]); err != nil {
						return err
					}
				}
				return nil
			}
			switch by {
			case "bytes":
				slices.SortStableFunc(rows, func(a, b columnRow) int { return cmp.Compare(b.Bytes, a.Bytes) })
			case "name":
			default:
				return fmt.Errorf("--sort %s: sort by bytes or by name", by)
			}
			p, err := f.out.makePrinter(cmd)
			if err != nil {
				return err
			}
			showColumns(p, rows, l.meta.Spans)
			return nil
		},
	}
	cmd.Flags().StringVar(&by, "sort", "bytes", "order of the rows: bytes or name")
	addJSON(cmd, &asJSON, "print one JSON object a column")
	return cmd
}

func showColumns(p *render.Printer, rows []columnRow, spans int) {
	t := p.Table(render.Column{Title: "object", Drop: 3}, render.Column{Title: "column", Min: 20, Style: render.Bold},
		render.Column{Title: "type", Drop: 1},
		render.Column{Title: "values", Right: true, Drop: 5}, render.Column{Title: "of rows", Right: true, Drop: 6},
		render.Column{Title: "distinct", Right: true, Drop: 4}, render.Column{Title: "encoding", Min: 12, Drop: 8},
		render.Column{Title: "codec", Drop: 7},
		render.Column{Title: "bytes", Right: true}, render.Column{Title: "raw", Right: true, Drop: 9},
		render.Column{Title: "B/span", Right: true, Drop: 2},
		render.Column{Title: "share", Right: true})
	total := int64(0)
	for _, r := range rows {
		total += r.Bytes
	}
	for _, r := range rows {
		distinct := ""
		if r.Distinct > 0 {
			distinct = fmt.Sprint(r.Distinct)
		}
		t.Row(strings.TrimSuffix(r.Object, ".parquet"), r.Column, r.Type, fmt.Sprint(r.Values),
			shareText(int64(r.Values), int64(r.Rows)), distinct, r.Encoding,
			r.Codec, render.Bytes(r.Bytes), render.Bytes(r.RawBytes),
			fmt.Sprintf("%.2f", float64(r.Bytes)/float64(max(1, spans))), shareText(r.Bytes, total))
	}
	t.Footer("", render.Count(len(rows), "column", "columns"), "", "", "", "", "", "", render.Bytes(total), "",
		perSpan(total, spans))
	t.Print()
}

// columnRow is a column over all row groups of its object.
type columnRow struct {
	Object   string `json:"object"`
	Column   string `json:"column"`
	Scope    string `json:"scope"`
	Type     string `json:"type"`
	Rows     int    `json:"rows"`
	Values   int    `json:"values"`
	Distinct int    `json:"distinct"` // entries of the largest dictionary; 0: some row group has none
	Encoding string `json:"encoding"`
	Codec    string `json:"codec"`
	Bytes    int64  `json:"bytes"`
	RawBytes int64  `json:"rawBytes"`
}

func columnRows(columns []block.ColumnInfo) []columnRow {
	out := make([]columnRow, 0, len(columns))
	for _, c := range columns {
		r := columnRow{Object: c.Object, Column: c.Name, Scope: c.Key.Scope.String(), Type: c.Key.Type.String()}
		plain := false
		for _, g := range c.Groups {
			r.Rows += g.Rows
			r.Values += g.Values
			r.Bytes += g.Bytes
			r.RawBytes += g.RawBytes
			if g.Values == 0 {
				continue
			}
			plain = plain || g.Dictionary == 0
			r.Distinct = max(r.Distinct, g.Entries)
			r.Codec = g.Codec
			if !strings.Contains(r.Encoding, g.Encoding) {
				r.Encoding = strings.TrimPrefix(r.Encoding+"; "+g.Encoding, "; ")
			}
		}
		if plain {
			r.Distinct = 0
		}
		if c.Key.Scope == column.Intrinsic {
			r.Scope = "intrinsic"
		}
		out = append(out, r)
	}
	return out
}

func shareText(n, of int64) string {
	if of == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(of))
}

func newBlocksVerify(f *bucketFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify [BLOCK...]",
		Short: "Read all that blocks hold and check that it fits together",
		Long: `Read every page, every span, the footers and the index of blocks, and check that
they fit together and with the catalog: of the blocks that are named, or of all live ones.

Each damaged block is named with the object, column and offset of what is wrong, each missing one
with the objects that are gone; then the exit code is 1. Nothing is changed.`,
		Example: "  troupectl blocks verify --bucket ./data/blocks",
		RunE: func(cmd *cobra.Command, args []string) error {
			blocks, err := f.blocksToVerify(cmd, args)
			if err != nil {
				return err
			}
			p, err := f.out.makePrinter(cmd)
			if err != nil {
				return err
			}
			found, err := verifyBlocks(cmd, p, blocks, asJSON)
			if err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), found); err != nil {
					return err
				}
			}
			if err := found.asError(); err != nil || asJSON {
				return err
			}
			p.Linef("%s with %s in %s are whole", render.Count(found.Blocks, "block", "blocks"),
				render.Count(found.Spans, "span", "spans"), render.Bytes(found.Bytes))
			return nil
		},
	}
	addJSON(cmd, &asJSON, "print one JSON object: blocks, spans, bytes, damaged, missing")
	return cmd
}

// blocksToVerify finds the blocks that are named, or all that the catalog lists.
func (f *bucketFlags) blocksToVerify(cmd *cobra.Command, ids []string) ([]listed, error) {
	if len(ids) == 0 {
		all, err := f.listBlocks(cmd, true)
		return slices.DeleteFunc(all, func(l listed) bool {
			return l.state == stateRetired || l.state == stateUnlisted
		}), err
	}
	var blocks []listed
	for _, id := range ids {
		l, err := f.findBlock(cmd, id)
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, *l)
	}
	return blocks, nil
}

// verification is what verifying blocks has found. It is what --json prints.
type verification struct {
	Blocks  int      `json:"blocks"`
	Bytes   int64    `json:"bytes"`
	Damaged []damage `json:"damaged"`
	Missing []damage `json:"missing"`
	Spans   int      `json:"spans"` // of the blocks that are whole
}

// asError is the error of a verification that has found something wrong; nil where all is whole.
func (v *verification) asError() error {
	switch {
	case len(v.Missing) > 0:
		return fmt.Errorf("%d of %d blocks are damaged and %d missing: restore them from a copy, "+
			"or settle those that are gone for good with `troupectl blocks rm`",
			len(v.Damaged), v.Blocks, len(v.Missing))
	case len(v.Damaged) > 0:
		return fmt.Errorf("%d of %d blocks are damaged", len(v.Damaged), v.Blocks)
	}
	return nil
}

// verifyBlocks reads all of the blocks. Each that is wrong is printed at once, unless quiet. An
// error is one that says nothing of a block.
func verifyBlocks(cmd *cobra.Command, p *render.Printer, blocks []listed, quiet bool) (*verification, error) {
	v := &verification{Blocks: len(blocks), Damaged: []damage{}, Missing: []damage{}}
	for _, l := range blocks {
		v.Bytes += l.meta.Bytes
	}
	bar := newBar(cmd, "reading", max(v.Bytes, 1), progressbar.OptionShowBytes(true))
	for _, l := range blocks {
		err := l.verifyBlock(cmd.Context())
		what := ""
		switch {
		case err == nil:
			v.Spans += l.meta.Spans
		case errors.Is(err, objstore.ErrNotFound):
			what = "missing"
			v.Missing = append(v.Missing, damage{l.meta.ID, l.meta.Tenant, err.Error()})
		case errors.Is(err, block.ErrCorrupt):
			what = "damaged"
			v.Damaged = append(v.Damaged, damage{l.meta.ID, l.meta.Tenant, err.Error()})
		default:
			return nil, fmt.Errorf("verify block %s: %w", l.meta.ID, err)
		}
		if what != "" && !quiet {
			_ = bar.Clear()
			p.Linef("%s: block %s of tenant %s: %v", what, l.meta.ID, l.meta.Tenant, err)
		}
		_ = bar.Add64(l.meta.Bytes)
	}
	_ = bar.Finish()
	return v, nil
}

// verifyBlock reads all of a block, after what the catalog says of its objects.
func (l *listed) verifyBlock(ctx context.Context) error {
	switch {
	case l.state == stateMissing:
		return fmt.Errorf("%s: %w", strings.Join(l.wrong, "; "), objstore.ErrNotFound)
	case len(l.wrong) > 0:
		return fmt.Errorf("%s: %w", strings.Join(l.wrong, "; "), block.ErrCorrupt)
	}
	b, err := l.openBlock(ctx)
	if err == nil {
		_, err = b.Verify(ctx)
	}
	return err
}

// damage is a block that is not whole.
type damage struct {
	Block  string `json:"block"`
	Tenant string `json:"tenant"`
	Error  string `json:"error"`
}
