package livestore

import (
	"context"
	"errors"
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
	leader    int32 // of the read before; noLeader: there was none
}

// noLeader is the leader epoch before the first read.
const noLeader = -1

// mark is a record and its fingerprint, by which the log can be recognized.
type mark struct {
	offset      int64
	fingerprint kafkalog.Fingerprint
}

// readBatch reads the next records. It returns ErrOutOfRange when the log no longer has them, and
// when what was read before belongs to another history of the log: below another leader an offset
// may have another record, and nothing else shows that a log was cut off and has grown to the same
// length again.
func (j *readJob) readBatch(ctx context.Context, log kafkalog.Log) (kafkalog.Batch, error) {
	b, err := log.Read(ctx, j.partition, j.from, j.bytes, j.wait)
	if err != nil || j.last == nil || b.Leader == j.leader {
		return b, err
	}
	got, err := log.Fingerprint(ctx, j.partition, j.last.offset)
	switch {
	case errors.Is(err, kafkalog.ErrOutOfRange) && j.last.offset < b.Start:
		return b, nil // the log has forgotten it, so it tells nothing
	case err == nil && got != j.last.fingerprint:
		err = fmt.Errorf("the record at offset %d is another one than was read: %w",
			j.last.offset, kafkalog.ErrOutOfRange)
	}
	return b, err
}
