package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/storage/localdisk"
)

// Trim makes the new start durable, and removes every segment of which all records are trimmed.
// Offsets go on even when no record is left, because each segment begins with the next offset of
// every partition.
func (l *Embedded) Trim(ctx context.Context, partition int32, to int64) error {
	if err := checkPartition(partition, len(l.parts)); err != nil {
		return err
	}
	l.mu.RLock()
	p := &l.parts[partition]
	start, end, closed := p.trim.Start, p.end, l.closed
	l.mu.RUnlock()
	switch {
	case closed:
		return ErrClosed
	case to > end:
		return fmt.Errorf("trim partition %d to %d of [%d, %d): %w", partition, to, start, end, ErrOutOfRange)
	case to <= start:
		return nil
	}
	f, err := l.Fingerprint(ctx, partition, to-1) // it has to be known after the record is gone
	if err != nil {
		return fmt.Errorf("trim partition %d: %w", partition, err)
	}
	l.files.mu.Lock()
	defer l.files.mu.Unlock()
	l.mu.Lock()
	if l.closed || l.failed != nil || to <= p.trim.Start {
		defer l.mu.Unlock()
		if l.closed {
			return ErrClosed
		}
		return l.failed
	}
	p.trim = trimMark{Start: to, CRC: f.CRC}
	l.mu.Unlock()
	return l.dropTrimmed()
}

// dropTrimmed writes the trim marks to the manifest and removes the segments below all of them.
// It is called with files.mu held, or while opening.
func (l *Embedded) dropTrimmed() error {
	if l.shouldLeaveActive() {
		err := l.beginSegment()
		if localdisk.NoSpace(err) && l.giveUpReserve() {
			err = l.beginSegment()
		}
		if err != nil && !localdisk.NoSpace(err) {
			l.markFailed(err)
			return fmt.Errorf("begin log segment in %s: %w", l.dir, err)
		}
	}
	n := 0
	for n < len(l.segments)-1 && l.isTrimmed(l.segments[n]) {
		n++
	}
	oldFirst := l.files.manifest.First
	l.files.manifest.First = l.segments[n].seq
	l.files.manifest.Trims = l.trimMarks()
	if err := l.saveManifest(); err != nil {
		// Either manifest may be the one that is read next; the files of both are there.
		l.files.manifest.First = oldFirst
		return err
	}
	old := slices.Clone(l.segments[:n])
	l.mu.Lock()
	l.segments = slices.Clone(l.segments[n:])
	for _, s := range old {
		l.size -= s.size
	}
	l.mu.Unlock()
	var err error
	for _, s := range old {
		s.file.Close()
		// The manifest no longer lists the file, so if it stays here it is removed when the log is
		// opened.
		err = errors.Join(err, l.cfg.FS.Remove(s.name))
	}
	if err != nil {
		return fmt.Errorf("remove trimmed log segments: %w", err)
	}
	l.makeReserve()
	return nil
}

// shouldLeaveActive reports whether the active segment should be removed with the others. When all
// of it is trimmed, it is left if it has a good part of a segment's bytes, so that an idle log
// gives its space back, or any record and the disk has no space.
func (l *Embedded) shouldLeaveActive() bool {
	s := l.activeSegment()
	if !l.isTrimmed(s) {
		return false
	}
	hasRecords := s.size > segmentHeaderLen(len(s.first))
	return s.size > l.cfg.SegmentBytes/8 || hasRecords && l.checkSpace(s.size) != nil
}

// isTrimmed reports whether every record of s is trimmed.
func (l *Embedded) isTrimmed(s *segment) bool {
	for p, next := range s.next {
		if next > l.parts[p].trim.Start {
			return false
		}
	}
	return true
}
