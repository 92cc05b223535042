// Package kafkalog is the log in which every acknowledged span lies: partitions of records, each
// record with an offset. The interface Log has two real forms, Kafka and an embedded log in segment
// files (Embedded), and two for tests, Memory and Faulty. One acceptance suite (TestLog) holds for
// all of them.
//
// The rest of the program names a record by epoch, partition and offset. An offset is never used
// twice within an epoch.
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

// Record is one entry of a partition. The caller that appends it gives up ownership of Value: the
// log and its readers alias it.
type Record struct {
	Offset int64  // set by Read; ignored by Append
	Tenant string // header
	Format string // header; empty: not written by us, to be set aside
	Parts  int32  // header: the number of partitions by which the record was routed
	Time   time.Time
	Value  []byte
}

// countedBytes is the size of a record that counts against limits.
func (r *Record) countedBytes() int { return len(r.Value) + len(r.Tenant) + len(r.Format) + 32 }

// Batch is the answer of a Read. Its records must not be changed, and may alias the log's memory.
type Batch struct {
	Records []Record
	Last    Fingerprint // of the last of Records, as it was when it was read
	Next    int64       // the offset to read from next
	End     int64       // high watermark: the offset of the next record to be appended
	Start   int64       // the oldest offset that can be read
	// Leader is Kafka's leader epoch of the partition at the time of the read, also of an empty
	// one. Below another leader a record may be another one; the embedded log has only leader 0.
	Leader int32
}

// Range are the offsets [Start, End).
type Range struct{ Start, End int64 }

// Fingerprint tells apart two records that had the same offset in two histories of a partition.
type Fingerprint struct {
	CRC         uint32
	LeaderEpoch int32 // Kafka's partition leader epoch; 0 in the embedded log
}

// Log is a partitioned, durable, append-only log. Every method is safe for concurrent use.
//
// A partition outside [0, Partitions()) is ErrOutOfRange, and so is reading at an offset outside
// [start, end].
type Log interface {
	// Epoch identifies the history to which the offsets belong. Another set of files, or another
	// topic, has another epoch.
	Epoch() string
	Partitions() int
	// Append writes recs in order. It returns the offset after the last one when all of them are
	// durable. Records of other calls may lie between them. Concurrent calls share one write and
	// one sync. After ErrFull, ErrTooLarge or ErrOutOfRange the records are not in the log; after
	// any other error they may be.
	Append(ctx context.Context, partition int32, recs []Record) (next int64, err error)
	// Read returns records from offset from on: about maxBytes of them, but at least one if there
	// is one. At the end of the partition it waits for a record, at most as long as wait, and then
	// returns an empty batch without an error.
	Read(ctx context.Context, partition int32, from int64, maxBytes int, wait time.Duration) (Batch, error)
	// Bounds returns the oldest offset that can be read, and the next one that is appended.
	Bounds(ctx context.Context, partition int32) (start, end int64, err error)
	// Fingerprint returns the fingerprint of a record in [start-1, end). That of the last trimmed
	// record is kept because covered offsets are compared by it.
	Fingerprint(ctx context.Context, partition int32, offset int64) (Fingerprint, error)
	// Trim lets the log forget the records below to. It never moves backwards. A log that has other
	// readers keeps them.
	Trim(ctx context.Context, partition int32, to int64) error
	// Size returns the number of bytes kept, or 0 when that is not known.
	Size() int64
	// Close ends waiting calls with ErrClosed.
	Close() error
}

// The errors of a log.
var (
	ErrOutOfRange = errors.New("out of range")
	// ErrFull is a disk or a log at its limit. Later appends succeed once there is space.
	ErrFull = errors.New("log is full")
	// ErrDiskFull is an ErrFull of the disk, not of the log's own limit.
	ErrDiskFull = fmt.Errorf("%w: its disk is full", ErrFull)
	ErrClosed   = errors.New("log is closed")
	// ErrFailed follows a write or sync that has failed. There are no appends until the log is
	// opened again.
	ErrFailed   = errors.New("log has failed")
	ErrLocked   = errors.New("log is in use by another process")
	ErrCorrupt  = errors.New("log is corrupt")
	ErrTooLarge = errors.New("record is too large")
)

// AppendAll appends to several partitions and returns when everything is durable. next holds the
// partitions that succeeded, also when err is the error of another.
// Next: the client is answered, and actors/livestore reads the records.
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

// AllBounds returns the bounds of every partition.
func AllBounds(ctx context.Context, l Log) ([]Range, error) {
	if a, ok := l.(interface {
		allBounds(context.Context) ([]Range, error)
	}); ok {
		return a.allBounds(ctx)
	}
	out := make([]Range, l.Partitions())
	for p := range out {
		var err error
		if out[p].Start, out[p].End, err = l.Bounds(ctx, int32(p)); err != nil {
			return nil, fmt.Errorf("read bounds of partition %d: %w", p, err)
		}
	}
	return out, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// contentCRC is the fingerprint of one record in logs that do not show the checksum of a stored
// batch. Its time counts in milliseconds, because Kafka keeps no more.
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
