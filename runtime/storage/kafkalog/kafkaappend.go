package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/IBM/sarama"
)

func (k *Kafka) startProducer() error {
	c, err := k.newClient("produce")
	if err != nil {
		return err
	}
	p, err := sarama.NewSyncProducerFromClient(c)
	if err != nil {
		return errors.Join(fmt.Errorf("start producer: %w", err), c.Close())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return errors.Join(ErrClosed, p.Close(), c.Close())
	}
	k.produce, k.producer = c, p
	return nil
}

func (k *Kafka) Append(ctx context.Context, partition int32, recs []Record) (int64, error) {
	next, err := k.appendAll(ctx, map[int32][]Record{partition: recs})
	return next[partition], err
}

// appendAll sends all partitions at once; the producer batches them by broker.
func (k *Kafka) appendAll(ctx context.Context, recs map[int32][]Record) (map[int32]int64, error) {
	next := make(map[int32]int64, len(recs))
	msgs, bytes, err := k.messagesOf(ctx, recs, next)
	if err != nil {
		return nil, err
	}
	if len(msgs) == 0 {
		return next, nil
	}
	bytes = min(bytes, k.cfg.MaxInFlightBytes)
	if err := k.budget.Acquire(ctx, bytes); err != nil {
		return nil, err
	}
	producer, err := k.liveProducer(ctx)
	if err != nil {
		k.budget.Release(bytes)
		return nil, err
	}
	done := make(chan error, 1)
	// sarama knows no contexts: an append whose caller is gone goes on, and counts in the budget
	// until it ends.
	go func() {
		defer k.budget.Release(bytes)
		done <- producer.SendMessages(msgs)
	}()
	select {
	case err := <-done:
		return k.endAppend(producer, msgs, next, err)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// messagesOf makes a message of each record. bytes is their size. Partitions without records get
// their end into next.
func (k *Kafka) messagesOf(ctx context.Context, recs map[int32][]Record, next map[int32]int64) (
	msgs []*sarama.ProducerMessage, bytes int64, err error) {
	const headerBytes = 256 // of the headers that sarama adds
	for _, p := range slices.Sorted(maps.Keys(recs)) {
		if err := checkPartition(p, k.parts); err != nil {
			return nil, 0, err
		}
		if len(recs[p]) == 0 {
			_, end, err := k.Bounds(ctx, p)
			if err != nil {
				return nil, 0, err
			}
			next[p] = end
		}
		for i := range recs[p] {
			r := &recs[p][i]
			if n := r.countedBytes() + headerBytes; n > k.cfg.MaxMessageBytes {
				return nil, 0, fmt.Errorf("append record of %d bytes, limit %d: %w",
					n, k.cfg.MaxMessageBytes, ErrTooLarge)
			}
			bytes += int64(r.countedBytes())
			msgs = append(msgs, messageOf(k.cfg.Topic, p, r))
		}
	}
	return msgs, bytes, nil
}

// endAppend notes in next how far the partitions went of which all messages were written. err is
// the producer's.
func (k *Kafka) endAppend(producer sarama.SyncProducer, msgs []*sarama.ProducerMessage, next map[int32]int64,
	err error) (map[int32]int64, error) {
	failed := map[int32]bool{}
	var many sarama.ProducerErrors
	if err != nil && !errors.As(err, &many) {
		return next, fmt.Errorf("append to kafka: %w", err)
	}
	for _, e := range many {
		failed[e.Msg.Partition] = true
		if isFatal(e.Err) {
			k.endProducer(producer)
		}
	}
	for _, m := range msgs {
		if !failed[m.Partition] {
			next[m.Partition] = max(next[m.Partition], m.Offset+1)
		}
	}
	if len(many) > 0 {
		err = many[0].Err
	}
	if errors.Is(err, sarama.ErrMessageSizeTooLarge) {
		err = fmt.Errorf("%w: %w: raise max.message.bytes of the topic", ErrTooLarge, err)
	}
	if err != nil {
		err = fmt.Errorf("append to kafka: %w", err)
	}
	return next, err
}

// isFatal reports whether the error ends an idempotent producer's sequence. Then the producer
// cannot go on, and trying again with it would lose or repeat records silently.
func isFatal(err error) bool {
	for _, f := range []sarama.KError{
		sarama.ErrOutOfOrderSequenceNumber,
		sarama.ErrUnknownProducerID,
		sarama.ErrInvalidProducerEpoch,
		sarama.ErrProducerFenced,
		sarama.ErrInvalidProducerIDMapping,
	} {
		if errors.Is(err, f) {
			return true
		}
	}
	return false
}

// endProducer forgets a producer that has ended. The next append starts another.
func (k *Kafka) endProducer(old sarama.SyncProducer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.producer != old || k.closed {
		return
	}
	client := k.produce
	k.producer, k.produce = nil, nil
	go func() { // because Close waits for appends that are still under way
		_ = old.Close()
		_ = client.Close()
	}()
}

func messageOf(topic string, partition int32, r *Record) *sarama.ProducerMessage {
	h := []sarama.RecordHeader{
		{Key: []byte(headerTenant), Value: []byte(r.Tenant)},
		{Key: []byte(headerParts), Value: strconv.AppendInt(nil, int64(r.Parts), 10)},
	}
	if r.Format != "" {
		h = append(h, sarama.RecordHeader{Key: []byte(headerFormat), Value: []byte(r.Format)})
	}
	return &sarama.ProducerMessage{
		Topic:     topic,
		Partition: partition,
		Value:     sarama.ByteEncoder(r.Value),
		Timestamp: r.Time,
		Headers:   h,
	}
}
