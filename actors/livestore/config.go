package livestore

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-tracing/troupe/runtime/config"
)

// Config of a live-store. All partitions of a node share it.
type Config struct {
	// The number of spans after which a segment in memory is sealed.
	SegmentSpans int `koanf:"segment_spans"`
	// The number of attributes of a segment that have a column of their own. Further attributes go
	// to its overflow.
	SegmentColumns int `koanf:"segment_columns"`
	// The size of one read of the log.
	FetchBytes config.Bytes `koanf:"fetch_bytes"`
	// How long a read of the log waits for data.
	FetchWait time.Duration `koanf:"fetch_wait"`
	// The memory for spans that are in no block yet, of all live-stores of a node. When it is
	// reached, the partition that holds most of it is cut. At two and a half times as much,
	// counting spans that are becoming blocks and those that are kept for queries, no live-store
	// reads on, and pushes are slowed down.
	NodeBytes config.Bytes `koanf:"max_uncovered_bytes"`
	// How long a segment whose spans are in blocks stays in memory after a query has asked for it,
	// unless memory is short. The query may ask again.
	CoveredGrace time.Duration `koanf:"covered_grace"`
	Pause        time.Duration `koanf:"-"` // after a read that found nothing
	Seed         uint64        `koanf:"-"` // secret of the segments' hash tables
}

// DefaultConfig is what a node runs with when nothing is configured.
func DefaultConfig() Config {
	return Config{
		SegmentSpans:   1 << 16,
		SegmentColumns: 4096,
		FetchBytes:     1 << 20,
		FetchWait:      400 * time.Millisecond,
		NodeBytes:      64 << 20,
		CoveredGrace:   10 * time.Second,
		Pause:          5 * time.Millisecond,
	}
}

// mostBytes is the memory of a node's live-stores beyond which none of them reads on.
func (c Config) mostBytes() int64 { return 5 * int64(c.NodeBytes) / 2 }

// Validate names every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	if c.SegmentSpans < 1024 || c.SegmentSpans > 1<<22 {
		errs = append(errs, fmt.Errorf("segment_spans: %d is outside 1024 to %d", c.SegmentSpans, 1<<22))
	}
	if c.SegmentColumns < 64 {
		errs = append(errs, fmt.Errorf("segment_columns: %d is below 64", c.SegmentColumns))
	}
	if c.FetchBytes < 1<<10 {
		errs = append(errs, fmt.Errorf("fetch_bytes: %d is below 1 KiB", c.FetchBytes))
	}
	if c.NodeBytes < 1<<20 {
		errs = append(errs, fmt.Errorf("max_uncovered_bytes: %d is below 1 MiB", c.NodeBytes))
	}
	if c.CoveredGrace < 0 || c.FetchWait < 0 {
		errs = append(errs, errors.New("covered_grace, fetch_wait: must not be negative"))
	}
	return errors.Join(errs...)
}
