package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// maxReadBytes bounds one Read, however much it asks for. A single larger frame is still returned.
const maxReadBytes = 64 << 20

// Read returns the newest records from memory, as they were appended, and older ones from disk,
// where they are checked again. A record that has gone bad on disk is a *CorruptError.
func (l *Embedded) Read(ctx context.Context, partition int32, from int64, maxBytes int, wait time.Duration) (
	Batch, error) {
	if err := checkPartition(partition, len(l.parts)); err != nil {
		return Batch{}, err
	}
	maxBytes = min(maxBytes, maxReadBytes)
	var timeout <-chan time.Time
	for {
		r, err := l.readMemory(partition, from, maxBytes)
		if err == nil {
			err = ctx.Err()
		}
		b := r.batch
		if err != nil || len(b.Records) > 0 {
			return b, err
		}
		if len(r.segments) > 0 {
			b.Records, b.Last.CRC, err = l.readDisk(r.segments, partition, from, b.End, maxBytes)
			if errors.Is(err, os.ErrClosed) {
				continue // trimmed or closed meanwhile: the bounds tell which
			}
			if err != nil {
				return Batch{}, err
			}
			b.Next = from + int64(len(b.Records))
			return b, nil
		}
		if wait <= 0 {
			return b, nil
		}
		if timeout == nil {
			t := time.NewTimer(wait)
			defer t.Stop()
			timeout = t.C
		}
		select {
		case <-r.changed:
		case <-timeout:
			return b, nil
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		}
	}
}

// memoryRead is what can be told of a read without the disk. Without records in the batch, either
// segments have to be read or the partition ends at the offset.
type memoryRead struct {
	batch    Batch
	segments []segmentView // in order
	changed  chan struct{} // closed when the partition goes on
}

// readMemory reads from the tail when it holds the offset.
func (l *Embedded) readMemory(partition int32, from int64, maxBytes int) (memoryRead, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return memoryRead{}, ErrClosed
	}
	p := &l.parts[partition]
	b := Batch{Next: from, End: p.end, Start: p.trim.Start}
	if err := checkOffset(partition, from, b.Start, b.End); err != nil {
		return memoryRead{}, err
	}
	l.tail.noteRead(partition, from)
	if from == b.End {
		return memoryRead{batch: b, changed: p.changed}, nil
	}
	if recs, crc, ok := l.tail.readFrom(partition, from, maxBytes); ok {
		b.Records, b.Next, b.Last.CRC = recs, from+int64(len(recs)), crc
		return memoryRead{batch: b}, nil
	}
	return memoryRead{batch: b, segments: l.segmentsFrom(partition, from)}, nil
}

// segmentView is a segment as it stood under the lock.
type segmentView struct {
	*segment
	pos  int64 // where reading begins
	size int64
}

// segmentsFrom returns the segments that hold the partition from an offset on. A read spans two
// segments at most; the next read goes on. It is called with mu held.
func (l *Embedded) segmentsFrom(partition int32, from int64) []segmentView {
	i, _ := slices.BinarySearchFunc(l.segments, from, func(s *segment, from int64) int {
		if int(partition) >= len(s.next) || s.next[partition] <= from {
			return -1
		}
		return 1
	})
	var out []segmentView
	for _, s := range l.segments[i:min(len(l.segments), i+2)] {
		if s.next[partition] > s.first[partition] {
			out = append(out, segmentView{segment: s, pos: s.seekFrame(partition, from), size: s.size})
		}
	}
	return out
}

// readDisk reads records from segments, from an offset below end on, about maxBytes but at least
// one. crc is the checksum of the last record's frame.
func (l *Embedded) readDisk(segs []segmentView, partition int32, from, end int64, maxBytes int) (
	out []Record, crc uint32, err error) {
	bytes := 0
	for _, s := range segs {
		sc := newScanner(s.file, l.seed, s.pos, s.size)
		for sc.pos < sc.end && (len(out) == 0 || bytes < maxBytes) {
			f, body, err := nextFrameOf(sc, s.segment, partition, from+int64(len(out)))
			if err != nil {
				return nil, 0, err
			}
			if body == nil {
				break
			}
			n := len(out)
			if out, err = decodeRecords(out, f, body, from+int64(n)); err != nil {
				return nil, 0, &CorruptError{File: s.name, Offset: sc.pos, Reason: err.Error()}
			}
			for i := n; i < len(out); i++ {
				bytes += out[i].countedBytes()
				if i > 0 && bytes > maxBytes {
					return out[:i:i], crc, nil
				}
				crc = f.crc
			}
			sc.skipFrame(f)
		}
	}
	if len(out) == 0 {
		return nil, 0, fmt.Errorf("BUG: no record of partition %d at %d before %d in %d segments",
			partition, from, end, len(segs))
	}
	return out, crc, nil
}

// nextFrameOf moves to the first frame of a partition that ends behind offset, and returns it with
// its body, which is the caller's. The body is nil when there is no such frame.
func nextFrameOf(sc *scanner, s *segment, partition int32, offset int64) (frame, []byte, error) {
	corrupt := func(reason string) error { return &CorruptError{File: s.name, Offset: sc.pos, Reason: reason} }
	for {
		if sc.pos = s.skipHoles(sc.pos); sc.pos >= sc.end {
			return frame{}, nil, nil
		}
		f, ok, err := sc.readHeader(64 << 10)
		if errors.Is(err, errCut) || err == nil && !ok {
			return frame{}, nil, corrupt("the frame header has another checksum")
		}
		if err != nil {
			return frame{}, nil, fmt.Errorf("read log segment %s: %w", s.name, err)
		}
		if f.partition != partition || f.first+int64(f.count) <= offset {
			sc.skipFrame(f)
			continue
		}
		body, ok, err := sc.readBody(f, 0)
		if errors.Is(err, errCut) || err == nil && !ok {
			return frame{}, nil, corrupt("the frame has another checksum")
		}
		if err != nil {
			return frame{}, nil, fmt.Errorf("read log segment %s: %w", s.name, err)
		}
		return f, slices.Clone(body), nil
	}
}

// Fingerprint returns the checksum of the frame in which a record was written.
func (l *Embedded) Fingerprint(ctx context.Context, partition int32, offset int64) (Fingerprint, error) {
	if err := checkPartition(partition, len(l.parts)); err != nil {
		return Fingerprint{}, err
	}
	for {
		if err := ctx.Err(); err != nil {
			return Fingerprint{}, err
		}
		crc, err := l.frameCRC(partition, offset)
		if !errors.Is(err, os.ErrClosed) {
			return Fingerprint{CRC: crc}, err
		}
	}
}

// frameCRC looks for the checksum of a record's frame among the trim marks, in the tail, and then
// on disk.
func (l *Embedded) frameCRC(partition int32, offset int64) (uint32, error) {
	l.mu.RLock()
	if l.closed {
		l.mu.RUnlock()
		return 0, ErrClosed
	}
	p := &l.parts[partition]
	start, end := p.trim.Start, p.end
	if offset >= 0 && offset == start-1 && !p.trim.Unknown {
		defer l.mu.RUnlock()
		return p.trim.CRC, nil
	}
	if offset < start || offset >= end {
		l.mu.RUnlock()
		return 0, fmt.Errorf("fingerprint partition %d at %d of [%d, %d): %w",
			partition, offset, start, end, ErrOutOfRange)
	}
	if frames, i, ok := l.tail.findFrame(partition, offset); ok {
		defer l.mu.RUnlock()
		return frames[i].crc, nil
	}
	segs := l.segmentsFrom(partition, offset)
	l.mu.RUnlock()
	for _, s := range segs {
		sc := newScanner(s.file, l.seed, s.pos, s.size)
		f, body, err := nextFrameOf(sc, s.segment, partition, offset)
		if err != nil {
			return 0, err
		}
		if body != nil {
			return f.crc, nil
		}
	}
	return 0, fmt.Errorf("BUG: no frame of partition %d holds %d of [%d, %d)", partition, offset, start, end)
}
