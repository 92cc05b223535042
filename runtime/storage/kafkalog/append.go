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
	fileBytes int64 // of all frames
	done      chan struct{}
	next      int64 // set before done is closed
	err       error // set before done is closed
}

// pendingFrame is a frame that is encoded and checked by the caller, so that only copying is left
// to the writer.
type pendingFrame struct {
	recs          []Record
	recordHeaders []byte // of all records, encoded
	headerEnds    []int  // end of each record's header in recordHeaders
	frame
}

func encodeFrame(partition int32, recs []Record) pendingFrame {
	f := pendingFrame{
		recs:          recs,
		recordHeaders: make([]byte, 0, 24*len(recs)),
		headerEnds:    make([]int, len(recs)),
	}
	var crc uint32
	var length int
	for i := range recs {
		r := &recs[i]
		from := len(f.recordHeaders)
		f.recordHeaders = appendRecordHeader(f.recordHeaders, r)
		f.headerEnds[i] = len(f.recordHeaders)
		crc = crc32.Update(crc, castagnoli, f.recordHeaders[from:])
		crc = crc32.Update(crc, castagnoli, []byte(r.Tenant))
		crc = crc32.Update(crc, castagnoli, []byte(r.Format))
		crc = crc32.Update(crc, castagnoli, r.Value)
		length += len(f.recordHeaders) - from + len(r.Tenant) + len(r.Format) + len(r.Value)
	}
	f.frame = frame{length: uint32(length), crc: crc, partition: partition, count: uint32(len(recs))}
	return f
}

// appendTo appends the whole frame to b.
func (f *pendingFrame) appendTo(b []byte, seed uint32) []byte {
	n := len(b)
	b = append(b, make([]byte, frameHeader)...)
	f.encodeTo(b[n:], seed)
	from := 0
	for i := range f.recs {
		r := &f.recs[i]
		b = append(b, f.recordHeaders[from:f.headerEnds[i]]...)
		from = f.headerEnds[i]
		b = append(b, r.Tenant...)
		b = append(b, r.Format...)
		b = append(b, r.Value...)
	}
	return b
}

// newCall checks and encodes the records of one partition. Records without a time get the present
// one.
func (l *Embedded) newCall(partition int32, recs []Record) (*appendCall, error) {
	if err := checkPartition(partition, len(l.parts)); err != nil {
		return nil, err
	}
	if err := checkRecords(recs); err != nil {
		return nil, err
	}
	c := &appendCall{partition: partition, done: make(chan struct{})}
	recs = slices.Clone(recs) // so that they can be changed; values are shared
	now := l.cfg.Clock()
	from, bytes := 0, 0
	for i := range recs {
		if recs[i].Time.IsZero() {
			recs[i].Time = now
		}
		if n := recs[i].countedBytes(); i > from && bytes+n > frameBytes {
			c.frames = append(c.frames, encodeFrame(partition, recs[from:i:i]))
			from, bytes = i, 0
		}
		bytes += recs[i].countedBytes()
	}
	if from < len(recs) {
		c.frames = append(c.frames, encodeFrame(partition, recs[from:]))
	}
	for i := range c.frames {
		c.fileBytes += frameHeader + int64(c.frames[i].length)
	}
	return c, nil
}

// Append writes the records in one group commit with those that other callers append meanwhile.
// When ctx ends first, the records may or may not be written. The log keeps the values of recs for
// readers, so they must not be changed afterwards.
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
	l.queue.mu.Lock()
	if l.queue.closing {
		l.queue.mu.Unlock()
		return nil, ErrClosed
	}
	l.queue.calls = append(l.queue.calls, calls...)
	l.queue.mu.Unlock()
	l.wakeWriter()
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

func (l *Embedded) wakeWriter() {
	select {
	case l.queue.wakeup <- struct{}{}:
	default:
	}
}

// runWriter is the goroutine that commits. It ends when the log is closing and the queue is empty.
func (l *Embedded) runWriter() {
	defer close(l.queue.written)
	for range l.queue.wakeup {
		for {
			group, closing := l.queue.takeGroup()
			if len(group) == 0 && closing {
				return
			}
			if len(group) == 0 {
				break
			}
			l.files.mu.Lock()
			l.commitGroup(group)
			l.files.mu.Unlock()
			for _, c := range group {
				close(c.done)
			}
		}
	}
}

// takeGroup takes the calls of the next commit from the queue, none when it is empty.
func (q *appendQueue) takeGroup() (group []*appendCall, closing bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, bytes := 0, int64(0)
	for n < len(q.calls) && (n == 0 || bytes+q.calls[n].fileBytes <= groupBytes) {
		bytes += q.calls[n].fileBytes
		n++
	}
	group = slices.Clone(q.calls[:n])
	q.calls = slices.Delete(q.calls, 0, n)
	return group, q.closing
}

// commitGroup writes and syncs the calls of a group and then shows them to readers. It sets err of
// the calls that are not written. It is called with files.mu held.
func (l *Embedded) commitGroup(group []*appendCall) {
	if l.failed != nil {
		refuseCalls(group, l.failed)
		return
	}
	bytes := l.admitCalls(group)
	if err := l.makeRoom(bytes); err != nil {
		refuseCalls(group, err)
		return
	}
	next := l.encodeGroup(group)
	if len(l.files.group) == 0 {
		return
	}
	s := l.activeSegment()
	if err := l.writeGroup(s, l.files.group); err != nil {
		refuseCalls(group, err)
		return
	}
	l.files.commit++
	l.publishGroup(s, group, next)
	if cap(l.files.group) > 2*groupBytes {
		l.files.group = nil // one giant append must not keep its memory
	}
}

// refuseCalls sets err of the calls that have none yet.
func refuseCalls(group []*appendCall, err error) {
	for _, c := range group {
		if c.err == nil {
			c.err = err
		}
	}
}

// admitCalls refuses the calls for which the log or the disk has no space. It returns the bytes of
// the others.
func (l *Embedded) admitCalls(group []*appendCall) (bytes int64) {
	for _, c := range group {
		// Only this goroutine and trims, which hold files.mu, change size.
		if l.size+bytes+c.fileBytes > l.cfg.MaxBytes {
			c.err = fmt.Errorf("append %d bytes to log of %d of at most %d: %w",
				c.fileBytes, l.size, l.cfg.MaxBytes, ErrFull)
			continue
		}
		if c.err = l.checkSpace(bytes + c.fileBytes); c.err == nil {
			bytes += c.fileBytes
		}
	}
	return bytes
}

// makeRoom begins a new segment when the active one would become too large.
func (l *Embedded) makeRoom(bytes int64) error {
	s := l.activeSegment()
	isEmpty := s.size <= segmentHeaderLen(len(s.first))
	if !l.files.needsSegment && (isEmpty || s.size+bytes <= l.cfg.SegmentBytes) {
		return nil
	}
	err := l.beginSegment()
	switch {
	case err == nil:
		return nil
	case localdisk.NoSpace(err):
		return fmt.Errorf("begin log segment in %s: %w: %w", l.dir, ErrDiskFull, err)
	}
	l.markFailed(fmt.Errorf("begin log segment in %s: %w", l.dir, err))
	return l.failed
}

// encodeGroup encodes the calls without an error into files.group, and sets their offsets and
// commit. It returns the next offset of each partition after the group.
func (l *Embedded) encodeGroup(group []*appendCall) (next []int64) {
	next = l.partitionEnds()
	l.files.group = l.files.group[:0]
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
			f.commit, f.first, f.left = l.files.commit+1, next[c.partition], left
			for j := range f.recs {
				f.recs[j].Offset = f.first + int64(j)
			}
			next[c.partition] += int64(f.count)
			l.files.group = f.appendTo(l.files.group, l.seed)
		}
		c.next = next[c.partition]
	}
	return next
}

// writeGroup writes b at the end of s and syncs. After an error s ends where it ended before, or
// the log has failed.
func (l *Embedded) writeGroup(s *segment, b []byte) error {
	_, err := s.file.WriteAt(b, s.size)
	if err == nil && !l.cfg.NoSync {
		err = s.file.Sync()
	} else if err != nil && !localdisk.NoSpace(err) {
		err = fmt.Errorf("write: %w", err)
	}
	if err == nil {
		return nil
	}
	// The written part is cut off again. When the disk was full that heals the file: no page whose
	// write has failed stays in it.
	cut := s.file.Truncate(s.size)
	if localdisk.NoSpace(err) && cut == nil {
		if cut = s.file.Sync(); cut == nil {
			return fmt.Errorf("append to log segment %s: %w: %w", s.name, ErrDiskFull, err)
		}
	}
	l.markFailed(fmt.Errorf("append to log segment %s: %w", s.name, errors.Join(err, cut)))
	return l.failed
}

// markFailed ends all appends until the log is opened again.
func (l *Embedded) markFailed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = fmt.Errorf("%w: %w", ErrFailed, err)
}

// publishGroup makes a durable group visible to readers.
func (l *Embedded) publishGroup(s *segment, group []*appendCall, next []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	pos := s.size
	for _, c := range group {
		if c.err != nil {
			continue
		}
		for i := range c.frames {
			f := &c.frames[i]
			s.addFrame(f.frame, pos)
			l.tail.addFrame(f.recs, f.frame)
			pos += frameHeader + int64(f.length)
		}
	}
	l.size += int64(len(l.files.group))
	for p := range l.parts {
		if q := &l.parts[p]; next[p] != q.end {
			q.end = next[p]
			close(q.changed)
			q.changed = make(chan struct{})
		}
	}
}
