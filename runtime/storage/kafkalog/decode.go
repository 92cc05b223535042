package kafkalog

import (
	"fmt"
	"strconv"
	"time"

	"github.com/IBM/sarama"
)

// decodeBlock makes a batch of a broker's answer for one partition.
func (f *fetcher) decodeBlock(c *fetchCall, block *sarama.FetchResponseBlock) fetchResult {
	switch err := block.Err; {
	case err == sarama.ErrOffsetOutOfRange:
		return fetchResult{err: fmt.Errorf("read partition %d at %d: %w", c.partition, c.from, ErrOutOfRange)}
	case err != sarama.ErrNoError:
		_ = f.client.RefreshMetadata(f.topic)
		return fetchResult{err: fmt.Errorf("read partition %d at %d: %w", c.partition, c.from, err)}
	}
	r := fetchResult{batch: Batch{
		Next:   c.from,
		End:    block.HighWaterMarkOffset,
		Start:  block.LogStartOffset,
		Leader: c.leader,
	}}
	for _, set := range block.RecordsSet {
		b := set.RecordBatch
		if b == nil {
			return fetchResult{err: fmt.Errorf("read partition %d at %d: message format before 2", c.partition, c.from)}
		}
		if b.PartialTrailingRecord || b.FirstOffset+int64(b.LastOffsetDelta) < c.from {
			continue
		}
		for _, rec := range b.Records {
			o := b.FirstOffset + rec.OffsetDelta
			if o < c.from || b.Control {
				continue
			}
			stamp := b.FirstTimestamp.Add(rec.TimestampDelta)
			if b.LogAppendTime {
				stamp = b.MaxTimestamp
			}
			r.batch.Records = append(r.batch.Records, recordOf(o, stamp, rec))
			r.epochs = append(r.epochs, b.PartitionLeaderEpoch)
		}
		r.batch.Next = b.FirstOffset + int64(b.LastOffsetDelta) + 1
	}
	// The high watermark may have moved on between the broker's look at it and at the records.
	r.batch.End = max(r.batch.End, r.batch.Next)
	if n := len(r.batch.Records); n > 0 {
		r.batch.Last = fingerprintOf(&r.batch.Records[n-1], r.epochs[n-1])
	}
	return r
}

// recordOf makes a Record of one in Kafka. A record without our headers is foreign, and its Format
// stays empty.
func recordOf(offset int64, stamp time.Time, rec *sarama.Record) Record {
	r := Record{Offset: offset, Time: stamp, Value: rec.Value}
	for _, h := range rec.Headers {
		switch string(h.Key) {
		case headerTenant:
			r.Tenant = string(h.Value)
		case headerFormat:
			r.Format = string(h.Value)
		case headerParts:
			if n, err := strconv.ParseInt(string(h.Value), 10, 32); err == nil && n > 0 {
				r.Parts = int32(n)
			}
		}
	}
	return r
}
