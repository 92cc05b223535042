package distributor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
)

// Every record that valid sizes allow fits into its log. With the defaults a prompt of 4 MiB fits
// into a span.
func TestRecordsFitTheLog(t *testing.T) {
	largest := DefaultConfig()
	largest.MaxSpanBytes, largest.MaxResourceBytes = 12<<20, 1<<20
	require.NoError(t, largest.Validate())
	for _, c := range []Config{DefaultConfig(), largest} {
		record := func(c Config) int {
			s := trace.Splitter{
				MaxRecordBytes: int(c.MaxRecordBytes),
				MaxSpanBytes:   int(c.MaxSpanBytes),
				MaxHeadBytes:   int(c.MaxResourceBytes),
				Parts:          1,
			}
			return s.RecordBytes()
		}
		require.LessOrEqual(t, record(c), kafkalog.MaxRecordBytes-1<<10)
		require.LessOrEqual(t, record(c.Within(990_000)), 990_000)
		require.NoError(t, c.Within(990_000).Validate())
		require.Greater(t, c.Within(990_000).MaxSpanBytes, config.Bytes(600_000))
	}
	require.Greater(t, DefaultConfig().MaxSpanBytes, config.Bytes(4<<20+64<<10))
}
