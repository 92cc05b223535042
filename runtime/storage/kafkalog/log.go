// Package kafkalog is the log every acknowledged span lies in: P partitions of records, each with
// an offset. It has two real forms of one interface, Kafka and an embedded log in segment files,
// and two for tests: Memory and Faulty. One acceptance suite (TestLog) judges all.
//
// Whatever is kept elsewhere is named by (epoch, partition, offset). An offset is never used twice
// inside an epoch.
package kafkalog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"time"
)

// FormatOTLP is the Format of records whose value is an OTLP TracesData message.
const FormatOTLP = "otlp"

// MaxRecordBytes is the largest value, tenant and format of one record together, in every form of
// the log. Distributors split far below it (1 MB).
const MaxRecordBytes = 16 << 20

// Record is one entry of a partition. Whoever appends it gives up ownership of Value: the log and
// its readers alias it.
type Record struct {
	Offset int64  // set by Read; ignored by Append
	Tenant string // header
	Format string // header; empty: not written by us, to be set aside
	Parts  int32  // header: the number of partitions the record was routed by
	Time   time.Time
	Value  []byte
}

// countedBytes is what a record counts against limits.
func (r *Record) countedBytes() int { return len(r.Value) + len(r.Tenant) + len(r.Format) + 32 }

// Batch is the answer of a Read. Records are frozen and may alias the log's memory.
type Batch struct {
	Records []Record
	Last    Fingerprint // of the last of Records, as it was when it was read
	Next    int64       // the offset to read from next
	End     int64       // high watermark: the offset the next record will get
	Start   int64       // the oldest offset that can be read
}

// Fingerprint tells apart two records that had the same offset in two histories of a partition.
type Fingerprint struct {
	CRC         uint32
	LeaderEpoch int32 // Kafka's partition leader epoch; 0 in the embedded log
}

// Log is a partitioned, durable, append-only log. Every method is safe for concurrent use.
//
// A partition outside [0, Partitions()) is ErrOutOfRange, and so is an offset outside [start, end]
// where one is read.
type Log interface {
	// Epoch identifies the history the offsets belong to: another file set or topic has another
	// epoch.
	Epoch() string
	Partitions() int
	// Append writes recs in order and returns the offset after the last one, when all of them are
	// durable. Records of other calls may lie between them. Concurrent calls share one write and
	// one sync. After an error the records may or may not be in the log; those of ErrFull,
	// ErrTooLarge and ErrOutOfRange are not.
	Append(ctx context.Context, partition int32, recs []Record) (next int64, err error)
	// Read returns records from offset `from`, about maxBytes of them but at least one where there
	// is one. At the end of the partition it waits up to wait for a record and then returns an
	// empty batch without error.
	Read(ctx context.Context, partition int32, from int64, maxBytes int, wait time.Duration) (Batch, error)
	Bounds(ctx context.Context, partition int32) (start, end int64, err error)
	// Fingerprint is answered for offsets in [start-1, end): the last trimmed record's is kept,
	// because covered offsets are compared by it.
	Fingerprint(ctx context.Context, partition int32, offset int64) (Fingerprint, error)
	// Trim lets records below `to` go. It never moves backwards.
	Trim(ctx context.Context, partition int32, to int64) error
	// Size is the number of bytes kept, 0 where unknown.
	Size() int64
	Close() error
}

var (
	ErrOutOfRange = errors.New("out of range")
	ErrFull       = errors.New("log is full") // disk or size limit; later appends succeed once there is space
	// ErrDiskFull is an ErrFull: it is the disk, not the log's own limit.
	ErrDiskFull = fmt.Errorf("%w: its disk is full", ErrFull)
	ErrClosed   = errors.New("log is closed")
	ErrFailed   = errors.New("log has failed") // a write or sync failed: no appends until it is opened again
	ErrLocked   = errors.New("log is in use by another process")
	ErrCorrupt  = errors.New("log is corrupt")
	ErrTooLarge = errors.New("record is too large")
)

// AppendAll appends to several partitions and returns when all of it is durable. next holds the
// partitions that succeeded, also when err tells of another that did not.
func AppendAll(ctx context.Context, l Log, recs map[int32][]Record) (next map[int32]int64, err error) {
	if a, ok := l.(interface {
		appendAll(context.Context, map[int32][]Record) (map[int32]int64, error)
	}); ok {
		return a.appendAll(ctx, recs)
	}
	next = make(map[int32]int64, len(recs))
	for _, p := range slices.Sorted(maps.Keys(recs)) { // a fixed order keeps simulations repeatable
		n, e := l.Append(ctx, p, recs[p])
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		next[p] = n
	}
	return next, err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// contentCRC is the fingerprint of one record for logs that do not show the checksum of a stored
// batch. Time counts in milliseconds, the most that Kafka keeps.
func contentCRC(r *Record) uint32 {
	var b [20]byte
	binary.LittleEndian.PutUint64(b[0:], uint64(r.Offset))
	binary.LittleEndian.PutUint64(b[8:], uint64(r.Time.UnixMilli()))
	binary.LittleEndian.PutUint32(b[16:], uint32(r.Parts))
	c := crc32.Update(0, castagnoli, b[:])
	c = crc32.Update(c, castagnoli, []byte(r.Tenant))
	c = crc32.Update(c, castagnoli, []byte(r.Format))
	return crc32.Update(c, castagnoli, r.Value)
}

func checkPartition(p int32, parts int) error {
	if p < 0 || int(p) >= parts {
		return fmt.Errorf("find partition %d of %d: %w", p, parts, ErrOutOfRange)
	}
	return nil
}

func checkOffset(p int32, from, start, end int64) error {
	if from < start || from > end {
		return fmt.Errorf("read partition %d at %d of [%d, %d): %w", p, from, start, end, ErrOutOfRange)
	}
	return nil
}

func checkRecords(recs []Record) error {
	for i := range recs {
		if n := recs[i].countedBytes(); n > MaxRecordBytes {
			return fmt.Errorf("append record of %d bytes, limit %d: %w", n, MaxRecordBytes, ErrTooLarge)
		}
	}
	return nil
}
