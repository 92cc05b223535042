package kafkalog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Before the disk is full appends are refused, with a reason that names the disk, while there is
// space for blocks of all that the log holds. Once those are written and the log is trimmed, also
// to its last segment, appends go on; so it is after a restart.
func TestKeepsSpaceForBlocks(t *testing.T) {
	fs := newFaultFS()
	dir := t.TempDir()
	cfg := EmbeddedConfig{Partitions: 1, FS: fs, KeepFreeBytes: 512 << 10}
	l := open(t, dir, cfg)
	fs.set(func() { fs.space = 1 << 20 })
	var free int64
	for cycle := range 12 {
		var next int64
		for {
			n, err := l.Append(t.Context(), 0, recs(strings.Repeat("x", 900)))
			if err != nil {
				require.ErrorIs(t, err, ErrDiskFull)
				require.ErrorIs(t, err, ErrFull)
				require.ErrorContains(t, err, dir)
				break
			}
			next = n
		}
		require.Positive(t, next, "cycle %d takes nothing", cycle)
		if cycle%3 == 2 {
			require.NoError(t, l.Close())
			l = open(t, dir, cfg)
		}
		blocks := l.Size() / 2
		fs.set(func() { free = fs.space - blocks })
		require.Positive(t, free, "cycle %d: no space for blocks", cycle)
		fs.set(func() { fs.space = free })
		require.NoError(t, l.Trim(t.Context(), 0, next))
		d, err := l.Disk()
		require.NoError(t, err)
		require.Less(t, l.Size(), int64(1000), "the newest segment goes too")
		require.Less(t, d.Kept, int64(40<<10))
		if d.Free < d.Kept+20_000 {
			return // the disk is full of blocks
		}
	}
}

// A log beside no blocks uses its disk to the end, and one whose disk cannot be asked writes.
func TestKeepsNothing(t *testing.T) {
	fs := newFaultFS()
	l := open(t, t.TempDir(), EmbeddedConfig{Partitions: 1, FS: fs})
	fs.set(func() { fs.space = 3000 })
	appendAll(t, l, 0, strings.Repeat("x", 900))
	d, err := l.Disk()
	require.NoError(t, err)
	require.Zero(t, d.Kept)
}

// A log remembers the bucket of its blocks, however it ends.
func TestBucketOfTheLog(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, EmbeddedConfig{})
	require.Empty(t, l.Bucket())
	require.NoError(t, l.SetBucket("b1"))
	for _, end := range []func(){func() { abandon(l) }, func() { require.NoError(t, l.Close()) }} {
		end()
		l = open(t, dir, EmbeddedConfig{})
		require.Equal(t, "b1", l.Bucket())
	}
}
