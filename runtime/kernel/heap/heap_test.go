package heap

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const mib = 1 << 20

// A small heap may grow to half of the size before it is collected, a larger one to twice its live
// bytes, and the limit is never so near the live bytes that collecting would not end.
func TestPace(t *testing.T) {
	for _, c := range []struct {
		live    int64
		limit   int64
		percent int
	}{
		{0, 384 * mib, 2300},
		{1 * mib, 384 * mib, 2300},
		{40 * mib, 384 * mib, 380},
		{64 * mib, 384 * mib, 200},
		{96 * mib, 384 * mib, 100},
		{100 * mib, 384 * mib, 100},
		{256 * mib, 384 * mib, 100},
		{300 * mib, 480 * mib, 100},
		{400 * mib, 608 * mib, 100},
		{1024 * mib, 1536 * mib, 100},
	} {
		require.Equal(t, c.limit, limitFor(384*mib, c.live), "%d MiB live", c.live/mib)
		require.Equal(t, c.percent, percentFor(384*mib, c.live), "%d MiB live", c.live/mib)
	}
}
