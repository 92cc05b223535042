package backendworker

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/compact"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// errPanicked is the error of a merge that has broken the engine.
var errPanicked = errors.New("BUG: merging blocks panicked")

// isOfBlocks reports whether a merge has failed because of its blocks, and would fail again. Any
// other failure is one of the store, or of a worker that is stopped.
func isOfBlocks(err error) bool {
	return isDamage(err) || errors.Is(err, block.ErrTooLarge) || errors.Is(err, errPanicked)
}

func isDamage(err error) bool {
	return errors.Is(err, block.ErrCorrupt) || errors.Is(err, objstore.ErrNotFound)
}

// damageError is the error of a merge of which some inputs are damaged.
type damageError struct {
	error
	blocks []string
}

func (e damageError) Unwrap() error { return e.error }

// damagedBlocks returns the blocks that an error blames.
func damagedBlocks(err error) []string {
	var e damageError
	errors.As(err, &e)
	return e.blocks
}

// blameFor blames blocks for an error, if it is one of a damaged block.
func blameFor(err error, ids ...string) error {
	if len(ids) == 0 || !isDamage(err) {
		return err
	}
	return damageError{err, ids}
}

// findDamaged finds out which inputs a failed merge is to be blamed on: it reads each of them
// alone.
func findDamaged(ctx context.Context, d Deps, lease *jobs.MergeLease, err error) error {
	if !isDamage(err) {
		return err
	}
	var damaged []string
	for _, m := range lease.Inputs {
		b, openErr := d.Blocks.Open(ctx, m)
		if openErr == nil {
			o := compact.DescribeOutput([]*blocks.BlockMeta{m})
			o.ID, o.Tenant, o.RowGroupRows = m.GetId(), m.GetTenant(), DefaultConfig().RowGroup
			_, _, openErr = block.Write(ctx, b.Reader().Tables(), o, discard{})
		}
		if isDamage(openErr) {
			damaged = append(damaged, m.GetId())
		}
	}
	return blameFor(fmt.Errorf("%w (of blocks %v)", err, damaged), damaged...)
}

// discard is a sink that keeps nothing.
type discard struct{ io.Writer }

func (discard) Create(string) (io.WriteCloser, error) { return discard{io.Discard}, nil }

func (discard) Close() error { return nil }
