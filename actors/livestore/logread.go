package livestore

import (
	"context"
	"fmt"
	"time"

	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
)

// readJob is one read of the log.
type readJob struct {
	partition int32
	from      int64
	bytes     int
	wait      time.Duration
	last      *mark // read before; nil: nothing was
}

// compareJob compares the last record read with the log. Nothing else shows that a log was cut off
// and has grown to the same length again, because its offsets are the same.
type compareJob struct {
	partition  int32
	attachment int
	mark       *mark
}

// mark is a record and its fingerprint, by which the log can be recognized.
type mark struct {
	offset      int64
	fingerprint kafkalog.Fingerprint
}

// readBatch reads the next records. It returns ErrOutOfRange when the log no longer has them, and
// when what was read before belongs to another history of the log.
func (j *readJob) readBatch(ctx context.Context, log kafkalog.Log) (kafkalog.Batch, error) {
	b, err := log.Read(ctx, j.partition, j.from, j.bytes, j.wait)
	if err != nil || j.last == nil || len(b.Records) == 0 || b.Last.LeaderEpoch == j.last.fingerprint.LeaderEpoch {
		return b, err
	}
	// Another leader has written this. Its history may differ from some offset below on.
	return b, j.last.compareWithLog(ctx, log, j.partition)
}

// compareWithLog returns ErrOutOfRange when the log has another record at the mark's offset than
// the one that was read.
func (m *mark) compareWithLog(ctx context.Context, log kafkalog.Log, partition int32) error {
	got, err := log.Fingerprint(ctx, partition, m.offset)
	if err == nil && got != m.fingerprint {
		err = fmt.Errorf("the record at offset %d is another one than was read: %w", m.offset, kafkalog.ErrOutOfRange)
	}
	return err
}
