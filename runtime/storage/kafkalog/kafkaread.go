package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// Read uses the client for live reads.
func (k *Kafka) Read(ctx context.Context, partition int32, from int64, maxBytes int, wait time.Duration) (
	Batch, error) {
	b, err := k.readWith(ctx, k.live, partition, from, maxBytes, wait)
	if err != nil {
		return b, err
	}
	return b, k.confirmEnd(ctx, partition, &b)
}

// confirmEnd makes sure that the end of a batch is not below what was acknowledged: for a moment, a
// new leader's high watermark may be (KIP-207). Its answer about offsets waits until it is not.
func (k *Kafka) confirmEnd(ctx context.Context, partition int32, b *Batch) error {
	if k.known.isConfirmed(partition, b.Leader) {
		return nil
	}
	_, end, err := k.Bounds(ctx, partition)
	if err != nil {
		return fmt.Errorf("ask a new leader: %w", err)
	}
	b.End = max(b.End, end)
	k.known.confirm(partition, b.Leader)
	return nil
}

// Build returns the same log with a Read that uses the client for builders, so that a long read of
// old records does not hold up live reads.
func (k *Kafka) Build() Log { return buildView{k} }

type buildView struct{ *Kafka }

func (b buildView) Read(ctx context.Context, partition int32, from int64, maxBytes int, wait time.Duration) (
	Batch, error) {
	return b.readWith(ctx, b.build, partition, from, maxBytes, wait)
}

// readWith reads with the client of one fetcher.
func (k *Kafka) readWith(ctx context.Context, f *fetcher, partition int32, from int64, maxBytes int,
	wait time.Duration) (Batch, error) {
	if err := checkPartition(partition, k.parts); err != nil {
		return Batch{}, err
	}
	if from < 0 {
		return Batch{}, fmt.Errorf("read partition %d at %d: %w", partition, from, ErrOutOfRange)
	}
	b, _, err := f.fetchBatch(ctx, partition, from, max(1, min(maxBytes, maxReadBytes)), wait)
	return b, err
}

func (k *Kafka) Bounds(ctx context.Context, partition int32) (start, end int64, err error) {
	if err := checkPartition(partition, k.parts); err != nil {
		return 0, 0, err
	}
	all, err := k.boundsOf(ctx, partition)
	if err != nil {
		return 0, 0, fmt.Errorf("read bounds of partition %d: %w", partition, err)
	}
	return all[0].Start, all[0].End, nil
}

func (k *Kafka) allBounds(ctx context.Context) ([]Range, error) {
	partitions := make([]int32, k.parts)
	for i := range partitions {
		partitions[i] = int32(i)
	}
	all, err := k.boundsOf(ctx, partitions...)
	if err != nil {
		return nil, fmt.Errorf("read bounds of all partitions: %w", err)
	}
	return all, nil
}

// boundsOf asks each broker twice, however many of the partitions it leads. The ends come first: a
// retention in between must not leave a start above its end.
func (k *Kafka) boundsOf(ctx context.Context, partitions ...int32) ([]Range, error) {
	ends, err := k.listOffsets(ctx, partitions, sarama.OffsetNewest)
	if err != nil {
		return nil, err
	}
	starts, err := k.listOffsets(ctx, partitions, sarama.OffsetOldest)
	if err != nil {
		return nil, err
	}
	out := make([]Range, len(partitions))
	for i, p := range partitions {
		out[i] = Range{Start: starts[p], End: max(starts[p], ends[p])}
	}
	return out, nil
}

// offsetTries is how often offsets are asked for. A leader that has moved is found by the second.
const offsetTries = 3

func (k *Kafka) listOffsets(ctx context.Context, partitions []int32, at int64) (map[int32]int64, error) {
	var err error
	for range offsetTries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if k.isClosed() {
			return nil, ErrClosed
		}
		var out map[int32]int64
		if out, err = k.tryListOffsets(partitions, at); err == nil {
			return out, nil
		}
		_ = k.control.RefreshMetadata(k.cfg.Topic)
	}
	if k.isClosed() { // a client that is being closed may return any error
		err = ErrClosed
	}
	return nil, err
}

func (k *Kafka) tryListOffsets(partitions []int32, at int64) (map[int32]int64, error) {
	ask := map[int32]int64{}
	for _, p := range partitions {
		ask[p] = at
	}
	answer, err := k.admin.ListOffsets(map[string]map[int32]int64{k.cfg.Topic: ask}, nil)
	if err != nil {
		return nil, err
	}
	out := map[int32]int64{}
	for _, p := range partitions {
		r := answer[k.cfg.Topic][p]
		if r == nil {
			return nil, sarama.ErrIncompleteResponse
		}
		if r.Err != nil && !errors.Is(r.Err, sarama.ErrNoError) {
			return nil, r.Err
		}
		out[p] = r.Offset
	}
	return out, nil
}

// fingerprintOf makes a fingerprint of the record, its offset and its broker time, because sarama
// checks the checksum of a batch but does not show it.
func fingerprintOf(r *Record, leaderEpoch int32) Fingerprint {
	return Fingerprint{CRC: contentCRC(r), LeaderEpoch: leaderEpoch}
}

// Fingerprint asks the brokers, unless they were asked for the same record under the same leader: a
// leader does not change what it has written. The comparison of a record costs its whole batch.
func (k *Kafka) Fingerprint(ctx context.Context, partition int32, offset int64) (Fingerprint, error) {
	if err := checkPartition(partition, k.parts); err != nil {
		return Fingerprint{}, err
	}
	if offset < 0 {
		return Fingerprint{}, fmt.Errorf("fingerprint partition %d at %d: %w", partition, offset, ErrOutOfRange)
	}
	leader, err := k.newestLeader(partition)
	if err == nil {
		if f, ok := k.known.findPrint(partition, offset, leader); ok {
			return f, nil
		}
	}
	b, epochs, err := k.build.fetchOne(ctx, partition, offset)
	if err != nil {
		return Fingerprint{}, err
	}
	if len(b.Records) == 0 || b.Records[0].Offset != offset {
		return Fingerprint{}, fmt.Errorf("fingerprint partition %d at %d of [%d, %d): %w",
			partition, offset, b.Start, b.End, ErrOutOfRange)
	}
	f := fingerprintOf(&b.Records[0], epochs[0])
	k.known.addPrint(partition, knownPrint{offset: offset, leader: b.Leader, print: f})
	return f, nil
}

// newestLeader returns the newest leader epoch of a partition that a client knows of.
func (k *Kafka) newestLeader(partition int32) (int32, error) {
	_, build, err := k.build.client.LeaderAndEpoch(k.cfg.Topic, partition)
	if err != nil {
		return 0, err
	}
	_, live, err := k.live.client.LeaderAndEpoch(k.cfg.Topic, partition)
	return max(build, live), err
}

// Trim does nothing: a topic has other readers, whose place the node does not know, and a bucket
// that is lost can be built again from what the topic's retention keeps.
func (k *Kafka) Trim(_ context.Context, partition int32, _ int64) error {
	return checkPartition(partition, k.parts)
}
