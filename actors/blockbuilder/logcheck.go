package blockbuilder

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
)

// errOtherRecord means that the log has another record than the one that is covered, or is to be.
var errOtherRecord = errors.New("the log has another record there")

// fingerprintOfCut returns the fingerprint of the cut's last record. If the live-store does not
// know it, the log does, as long as its history is still the one that was read.
func fingerprintOfCut(
	ctx context.Context, log kafkalog.Log, partition int32, cut *jobs.CutResult,
) (*blocks.Fingerprint, error) {
	if cut.Last != nil {
		return cut.Last, nil
	}
	last, err := readFingerprint(ctx, log, partition, cut.To-1)
	if err != nil {
		return nil, err
	}
	later, err := readFingerprint(ctx, log, partition, cut.Later)
	if err != nil {
		return nil, err
	}
	if !isFingerprint(later, cut.LaterPrint) {
		return nil, fmt.Errorf("the record at offset %d is not the one that was read", cut.Later)
	}
	return &blocks.Fingerprint{Crc: last.CRC, LeaderEpoch: last.LeaderEpoch}, nil
}

// compareWithLog returns errOtherRecord if the log has another record where the last one of the cut
// was: then it was cut off and has grown again.
func compareWithLog(ctx context.Context, log kafkalog.Log, m *blocks.PublishCut) error {
	last := m.GetTo() - 1
	f, err := readFingerprint(ctx, log, m.GetPartition(), last)
	switch {
	case errors.Is(err, kafkalog.ErrOutOfRange):
		return fmt.Errorf("%w: %w", errOtherRecord, err)
	case err != nil:
		return err
	case !isFingerprint(f, m.GetFingerprint()):
		return fmt.Errorf("compare the record at offset %d: %w", last, errOtherRecord)
	}
	return nil
}

// trimLog lets the log forget what a published cut covers. The log keeps the fingerprint of the
// last record, by which it can be recognized. Below another record nothing is trimmed, because it
// is not what was covered.
func trimLog(ctx context.Context, log kafkalog.Log, m *blocks.PublishCut) error {
	if err := compareWithLog(ctx, log, m); err != nil {
		return err
	}
	return log.Trim(ctx, m.GetPartition(), m.GetTo())
}

func readFingerprint(
	ctx context.Context, log kafkalog.Log, partition int32, offset int64,
) (kafkalog.Fingerprint, error) {
	f, err := log.Fingerprint(ctx, partition, offset)
	if err != nil {
		return f, fmt.Errorf("read fingerprint of offset %d: %w", offset, err)
	}
	return f, nil
}

func isFingerprint(f kafkalog.Fingerprint, m *blocks.Fingerprint) bool {
	return f.CRC == m.GetCrc() && f.LeaderEpoch == m.GetLeaderEpoch()
}
