package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

func newBlocksColumns(f *bucketFlags) *cobra.Command {
	var by string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "columns BLOCK",
		Short: "Show what each column of a block holds, how it is encoded and what it costs",
		Long: `Show what each column of a block holds, how it is encoded and what it costs.

Attributes that enough spans have are columns of their own, chosen for each block from its data; the others are in the overflow columns.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := f.one(cmd.Context(), cmd.ErrOrStderr(), args[0])
			if err != nil {
				return err
			}
			b, err := l.open(cmd.Context())
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
			t := newTable(cmd.OutOrStdout())
			t.AppendHeader(table.Row{"object", "column", "type", "values", "of rows", "distinct", "encoding", "codec", "bytes", "raw", "B/span", "share"})
			total := int64(0)
			for _, r := range rows {
				total += r.Bytes
			}
			for _, r := range rows {
				distinct := ""
				if r.Distinct > 0 {
					distinct = fmt.Sprint(r.Distinct)
				}
				t.AppendRow(table.Row{strings.TrimSuffix(r.Object, ".parquet"), r.Column, r.Type, r.Values, percent(int64(r.Values), int64(r.Rows)), distinct, r.Encoding, r.Codec,
					progress.FormatBytes(r.Bytes), progress.FormatBytes(r.RawBytes), fmt.Sprintf("%.2f", float64(r.Bytes)/float64(l.meta.Spans)), percent(r.Bytes, total)})
			}
			t.AppendFooter(table.Row{"", fmt.Sprintf("%d columns", len(rows)), "", "", "", "", "", "", progress.FormatBytes(total), "", perSpan(total, l.meta.Spans)})
			t.Render()
			return nil
		},
	}
	cmd.Flags().StringVar(&by, "sort", "bytes", "order of the rows: bytes or name")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a column")
	return cmd
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

func percent(n, of int64) string {
	if of == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(of))
}

func newBlocksVerify(f *bucketFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "verify [BLOCK...]",
		Short: "Read everything that blocks hold and check that it fits together; all live blocks when none is named",
		Long: `Read every page, every span, the footers and the index of blocks, and check that they fit together.

Each damaged block is named with the object, column and offset of what is wrong; then the exit code is 1.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			var blocks []listed
			for _, id := range args {
				l, err := f.one(ctx, cmd.ErrOrStderr(), id)
				if err != nil {
					return err
				}
				blocks = append(blocks, *l)
			}
			if len(args) == 0 {
				all, err := f.blocks(ctx, cmd.ErrOrStderr())
				if err != nil {
					return err
				}
				blocks = slices.DeleteFunc(all, func(l listed) bool { return l.state != "live" })
			}
			size := int64(0)
			for _, l := range blocks {
				size += l.meta.Bytes
			}
			bar := progressbar.NewOptions64(max(size, 1), progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription("reading"), progressbar.OptionShowBytes(true),
				progressbar.OptionClearOnFinish())
			damaged, spans := 0, 0
			for _, l := range blocks {
				b, err := l.open(ctx)
				if err == nil {
					_, err = b.Verify(ctx)
				}
				switch {
				case err == nil:
					spans += l.meta.Spans
				case errors.Is(err, block.ErrCorrupt):
					damaged++
					_ = bar.Clear()
					fmt.Fprintf(cmd.OutOrStdout(), "damaged: block %s of tenant %s: %v\n", l.meta.ID, l.meta.Tenant, err)
				default:
					return fmt.Errorf("verify block %s: %w", l.meta.ID, err)
				}
				_ = bar.Add64(l.meta.Bytes)
			}
			_ = bar.Finish()
			if damaged > 0 {
				return fmt.Errorf("%d of %d blocks are damaged", damaged, len(blocks))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d blocks with %d spans in %s are whole\n", len(blocks), spans, progress.FormatBytes(size))
			return nil
		},
	}
}
