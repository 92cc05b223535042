package distributor

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Config of a distributor.
type Config struct {
	// The OTLP bytes of the requests that are being written to the log. A request beyond them is
	// refused with a time to come back.
	MaxInflightBytes config.Bytes `koanf:"max_inflight_bytes"`
	// The bytes of the log that the live-stores have not read yet. A request beyond them waits for
	// max_wait and is then refused with a time to come back.
	MaxBacklogBytes config.Bytes `koanf:"max_backlog_bytes"`
	// The size up to which a record of the log is filled with spans. A record is larger only if a
	// single span is.
	MaxRecordBytes config.Bytes `koanf:"max_record_bytes"`
	// The size of a span without its resource and scope. The largest values of a larger span are
	// cut.
	MaxSpanBytes config.Bytes `koanf:"max_span_bytes"`
	// The size of a resource, and of a scope. The largest values of a larger one are cut.
	MaxResourceBytes config.Bytes `koanf:"max_resource_bytes"`
	// How long a request waits for live-stores that are behind before it is refused.
	MaxWait time.Duration `koanf:"max_wait"`
	// How long a client that is refused for lack of capacity is told to wait.
	RetryAfter time.Duration `koanf:"retry_after_on_resource_exhausted"`
}

// DefaultConfig is what a node runs with when nothing is configured.
func DefaultConfig() Config {
	return Config{
		MaxInflightBytes: 64 << 20,
		MaxBacklogBytes:  32 << 20,
		MaxRecordBytes:   1 << 20,
		MaxSpanBytes:     8 << 20,
		MaxResourceBytes: 1 << 20,
		MaxWait:          time.Second,
		RetryAfter:       5 * time.Second,
	}
}

// Within lowers the sizes so that no record is larger than the log takes, which is record bytes. A
// resource and a scope may take up to an eighth of that each, which leaves a span at least half.
func (c Config) Within(record config.Bytes) Config {
	c.MaxRecordBytes = min(c.MaxRecordBytes, record)
	c.MaxResourceBytes = min(c.MaxResourceBytes, record/8)
	c.MaxSpanBytes = min(c.MaxSpanBytes, record-2*c.MaxResourceBytes-trace.RecordTags)
	return c
}

// Validate names every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	if c.MaxInflightBytes < 1<<20 {
		errs = append(errs, fmt.Errorf("max_inflight_bytes: %d is below 1 MiB", c.MaxInflightBytes))
	}
	if c.MaxBacklogBytes < 1<<20 {
		errs = append(errs, fmt.Errorf("max_backlog_bytes: %d is below 1 MiB", c.MaxBacklogBytes))
	}
	if c.MaxRecordBytes < 64<<10 || c.MaxRecordBytes > 1<<20 {
		errs = append(errs, fmt.Errorf("max_record_bytes: %d is outside 64 KiB to 1 MiB", c.MaxRecordBytes))
	}
	if c.MaxSpanBytes < 64<<10 || c.MaxSpanBytes > 12<<20 {
		errs = append(errs, fmt.Errorf("max_span_bytes: %d is outside 64 KiB to 12 MiB", c.MaxSpanBytes))
	}
	if c.MaxResourceBytes < 16<<10 || c.MaxResourceBytes > 1<<20 {
		errs = append(errs, fmt.Errorf("max_resource_bytes: %d is outside 16 KiB to 1 MiB", c.MaxResourceBytes))
	}
	if c.RetryAfter < 0 || c.MaxWait < 0 {
		errs = append(errs, errors.New("retry_after_on_resource_exhausted, max_wait: must not be negative"))
	}
	return errors.Join(errs...)
}
