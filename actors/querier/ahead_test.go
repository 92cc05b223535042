package querier

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// Blocks are opened ahead newest first, until their indexes fill what there is room for; one that is gone or damaged hides no other.
func TestOpenAhead(t *testing.T) {
	d, s := newDeps()
	list := []*blocks.BlockMeta{s.add(t, "a", 30, 40), s.add(t, "b", 20, 30), s.add(t, "c", 10, 20), s.add(t, "d", 0, 10)}
	s.gone["a"] = true
	file := s.objects["b"]["spans.parquet"]
	for i := 4; i < len(file)-4; i++ {
		file[i] ^= 0x5a
	}
	c, err := s.Open(context.Background(), list[2])
	require.NoError(t, err)

	s.opened, d.Ahead = 0, c.Memory()
	d.openAhead(context.Background(), list)
	require.Equal(t, 3, s.opened, "the damaged ones take no room, and c takes all of it")

	s.opened, d.Ahead = 0, c.Memory()+1
	d.openAhead(context.Background(), list)
	require.Equal(t, 4, s.opened)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.opened = 0
	d.openAhead(ctx, list)
	require.Zero(t, s.opened, "nobody wants it any more")
}
