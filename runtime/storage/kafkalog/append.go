package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/storage/localdisk"
)

const (
	frameBytes = 8 << 20 // an append beyond this becomes several frames
	groupBytes = 8 << 20 // appends beyond this wait for the next commit
)

// appendCall is one caller's part of a group commit.
type appendCall struct {
	partition int32
	frames    []pendingFrame
	bytes     int64 // in the file
	done      chan struct{}
	next      int64 // set before done is closed
	err       error
}

// pendingFrame is encoded and checked by the caller, so that only copying is left to the writer.
type pendingFrame struct {
	recs []Record
	head []byte // the encoded heads of all records
	cuts []int  // end of each record's head in head
	frame
}

func encodeFrame(partition int32, recs []Record) pendingFrame {
	f := pendingFrame{recs: recs, head: make([]byte, 0, 24*len(recs)), cuts: make([]int, len(recs))}
	var crc uint32
	var length int
	for i := range recs {
		r := &recs[i]
		from := len(f.head)
		f.head = appendRecordHead(f.head, r)
		f.cuts[i] = len(f.head)
		crc = crc32.Update(crc, castagnoli, f.head[from:])
		crc = crc32.Update(crc, castagnoli, []byte(r.Tenant))
		crc = crc32.Update(crc, castagnoli, []byte(r.Format))
		crc = crc32.Update(crc, castagnoli, r.Value)
		length += len(f.head) - from + len(r.Tenant) + len(r.Format) + len(r.Value)
	}
	f.frame = frame{length: uint32(length), crc: crc, partition: partition, count: uint32(len(recs))}
	return f
}

func (f *pendingFrame) appendTo(b []byte, seed uint32) []byte {
	n := len(b)
	b = append(b, make([]byte, frameHeader)...)
	f.put(b[n:], seed)
	from := 0
	for i := range f.recs {
		r := &f.recs[i]
		b = append(b, f.head[from:f.cuts[i]]...)
		from = f.cuts[i]
		b = append(b, r.Tenant...)
		b = append(b, r.Format...)
		b = append(b, r.Value...)
	}
	return b
}

func (l *Embedded) newCall(partition int32, recs []Record) (*appendCall, error) {
	if err := checkPartition(partition, len(l.parts)); err != nil {
		return nil, err
	}
	if err := checkRecords(recs); err != nil {
		return nil, err
	}
	c := &appendCall{partition: partition, done: make(chan struct{})}
	recs = slices.Clone(recs) // the headers are ours from here on; values are shared
	now := l.cfg.Clock()
	from, bytes := 0, 0
	for i := range recs {
		if recs[i].Time.IsZero() {
			recs[i].Time = now
		}
		if n := recs[i].bytes(); i > from && bytes+n > frameBytes {
			c.frames = append(c.frames, encodeFrame(partition, recs[from:i:i]))
			from, bytes = i, 0
		}
		bytes += recs[i].bytes()
	}
	if from < len(recs) {
		c.frames = append(c.frames, encodeFrame(partition, recs[from:]))
	}
	for i := range c.frames {
		c.bytes += frameHeader + int64(c.frames[i].length)
	}
	return c, nil
}

// Append is group committed with whatever other callers append meanwhile. When ctx ends first, the
// records may or may not be written. The log keeps recs' values for readers: they must not be
// changed afterwards.
func (l *Embedded) Append(ctx context.Context, partition int32, recs []Record) (int64, error) {
	next, err := l.appendAll(ctx, map[int32][]Record{partition: recs})
	return next[partition], err
}

// appendAll queues all partitions at once, so that they share a commit.
func (l *Embedded) appendAll(ctx context.Context, recs map[int32][]Record) (map[int32]int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	calls := make([]*appendCall, 0, len(recs))
	for _, p := range slices.Sorted(maps.Keys(recs)) {
		c, err := l.newCall(p, recs[p])
		if err != nil {
			return nil, err
		}
		calls = append(calls, c)
	}
	if len(calls) == 0 {
		return nil, nil
	}
	l.queueMu.Lock()
	if l.closing {
		l.queueMu.Unlock()
		return nil, ErrClosed
	}
	l.queue = append(l.queue, calls...)
	l.queueMu.Unlock()
	l.signal()
	next := make(map[int32]int64, len(calls))
	var err error
	for _, c := range calls {
		select {
		case <-c.done:
		case <-ctx.Done():
			return next, errors.Join(err, ctx.Err())
		}
		if c.err != nil {
			err = errors.Join(err, c.err)
		} else {
			next[c.partition] = c.next
		}
	}
	return next, err
}

func (l *Embedded) signal() {
	select {
	case l.wakeup <- struct{}{}:
	default:
	}
}

// write is the goroutine that commits. It ends when the log is closing and the queue is empty.
func (l *Embedded) write() {
	defer close(l.done)
	for range l.wakeup {
		for {
			l.queueMu.Lock()
			n, bytes := 0, int64(0)
			for n < len(l.queue) && (n == 0 || bytes+l.queue[n].bytes <= groupBytes) {
				bytes += l.queue[n].bytes
				n++
			}
			group := slices.Clone(l.queue[:n])
			l.queue = slices.Delete(l.queue, 0, n)
			closing := l.closing
			l.queueMu.Unlock()
			if n == 0 && closing {
				return
			}
			if n == 0 {
				break
			}
			l.ioMu.Lock()
			l.commitGroup(group)
			l.ioMu.Unlock()
			for _, c := range group {
				close(c.done)
			}
		}
	}
}

// commitGroup writes and syncs the calls of a group and then shows them to readers. Called with
// ioMu held.
func (l *Embedded) commitGroup(group []*appendCall) {
	refuse := func(err error) {
		for _, c := range group {
			if c.err == nil {
				c.err = err
			}
		}
	}
	if l.failed != nil {
		refuse(l.failed)
		return
	}
	var bytes int64
	for _, c := range group {
		// Only this goroutine and trims, which hold ioMu, change size.
		if l.size+bytes+c.bytes > l.cfg.MaxBytes {
			c.err = fmt.Errorf("append %d bytes to log of %d of at most %d: %w", c.bytes, l.size, l.cfg.MaxBytes, ErrFull)
			continue
		}
		if c.err = l.hasSpace(bytes + c.bytes); c.err != nil {
			continue
		}
		bytes += c.bytes
	}
	if s := l.active(); l.full || s.size > segmentHeaderLen(len(s.first)) && s.size+bytes > l.cfg.SegmentBytes {
		if err := l.roll(); err != nil {
			if localdisk.NoSpace(err) {
				refuse(fmt.Errorf("begin log segment in %s: %w: %w", l.dir, ErrDiskFull, err))
				return
			}
			l.fail(fmt.Errorf("begin log segment in %s: %w", l.dir, err))
			refuse(l.failed)
			return
		}
	}
	s := l.active()
	next := make([]int64, len(l.parts))
	for p := range l.parts {
		next[p] = l.parts[p].end
	}
	l.out = l.out[:0]
	left := uint32(0)
	for _, c := range group {
		if c.err == nil {
			left += uint32(len(c.frames))
		}
	}
	for _, c := range group {
		if c.err != nil {
			continue
		}
		for i := range c.frames {
			f := &c.frames[i]
			left--
			f.commit, f.first, f.left = l.commit+1, next[c.partition], left
			for j := range f.recs {
				f.recs[j].Offset = f.first + int64(j)
			}
			next[c.partition] += int64(f.count)
			l.out = f.appendTo(l.out, l.seed)
		}
		c.next = next[c.partition]
	}
	if len(l.out) == 0 {
		return
	}
	if err := l.put(s, l.out); err != nil {
		refuse(err)
		return
	}
	l.commit++
	l.publish(s, group, next)
	if cap(l.out) > 2*groupBytes {
		l.out = nil // one giant append must not keep its memory
	}
}

// put writes b at the end of s and syncs. After an error s ends where it ended before, or the log
// has failed.
func (l *Embedded) put(s *segment, b []byte) error {
	_, err := s.file.WriteAt(b, s.size)
	if err == nil && !l.cfg.NoSync {
		err = s.file.Sync()
	} else if err != nil && !localdisk.NoSpace(err) {
		err = fmt.Errorf("write: %w", err)
	}
	if err == nil {
		return nil
	}
	// What was written is cut off again. With the disk full that heals it: no page whose write
	// failed stays in the file.
	cut := s.file.Truncate(s.size)
	if localdisk.NoSpace(err) && cut == nil {
		if cut = s.file.Sync(); cut == nil {
			return fmt.Errorf("append to log segment %s: %w: %w", s.name, ErrDiskFull, err)
		}
	}
	l.fail(fmt.Errorf("append to log segment %s: %w", s.name, errors.Join(err, cut)))
	return l.failed
}

func (l *Embedded) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = fmt.Errorf("%w: %w", ErrFailed, err)
}

// publish makes a durable group visible to readers.
func (l *Embedded) publish(s *segment, group []*appendCall, next []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	pos := s.size
	for _, c := range group {
		if c.err != nil {
			continue
		}
		for i := range c.frames {
			f := &c.frames[i]
			s.note(f.frame, pos)
			l.tail.add(f.recs, f.frame)
			pos += frameHeader + int64(f.length)
		}
	}
	l.size += int64(len(l.out))
	for p := range l.parts {
		if q := &l.parts[p]; next[p] != q.end {
			q.end = next[p]
			close(q.changed)
			q.changed = make(chan struct{})
		}
	}
}
