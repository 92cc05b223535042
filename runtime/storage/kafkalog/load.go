package kafkalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// listSegments returns the sequence numbers of the segment files, sorted.
func (l *Embedded) listSegments() ([]uint64, error) {
	names, err := l.cfg.FS.ReadDir(l.dir)
	if err != nil {
		return nil, fmt.Errorf("list log directory: %w", err)
	}
	var seqs []uint64
	for _, n := range names {
		if s, ok := strings.CutSuffix(n, ".seg"); ok && len(s) == 20 {
			if seq, err := strconv.ParseUint(s, 10, 64); err == nil {
				seqs = append(seqs, seq)
			}
		}
	}
	slices.Sort(seqs)
	return seqs, nil
}

// loader is a log while its segments are read. It passes over damage by which no record is lost
// that is not trimmed: the next frame of a partition, the next segment, or the manifest of a log
// that was closed shows how far a partition went.
type loader struct {
	*Embedded
	// By partition, the first damage since its last good frame. While there is one, the end of the
	// partition is not known.
	damage       []*CorruptError
	startUnknown []bool // by partition: where it begins is not known either
}

// loadSegments reads all segments. It removes files outside of [First, Last] of the manifest, which
// hold nothing that was acknowledged.
func (l *loader) loadSegments(files []uint64) error {
	m := &l.files.manifest
	for _, seq := range files {
		if seq < m.First || seq > m.Last {
			if err := l.cfg.FS.Remove(filepath.Join(l.dir, segmentName(seq))); err != nil {
				return fmt.Errorf("remove left-over log segment: %w", err)
			}
		}
	}
	for seq := m.First; seq <= m.Last; seq++ {
		name := filepath.Join(l.dir, segmentName(seq))
		f, err := l.cfg.FS.OpenFile(name, os.O_RDWR)
		if errors.Is(err, fs.ErrNotExist) {
			l.noteDamage(&CorruptError{File: name, Reason: "the segment is missing"}, 0)
			continue
		}
		if err != nil {
			return fmt.Errorf("open log segment: %w", err)
		}
		s := &segment{seq: seq, name: name, file: f}
		l.segments = append(l.segments, s)
		if err := l.loadSegment(s, seq == m.Last); err != nil {
			return err
		}
		l.size += s.size
	}
	return l.checkEnds()
}

// noteDamage notes a damaged part of a file. In each partition it may be the cause of a loss.
func (l *loader) noteDamage(e *CorruptError, size int64) {
	for p := range l.damage {
		if l.damage[p] == nil {
			l.damage[p] = e
		}
		if len(l.segments) == 0 {
			l.startUnknown[p] = true
		}
	}
	l.opened.passed = append(l.opened.passed, PassedOver{File: e.File, Offset: e.Offset, Bytes: size, Reason: e.Reason})
}

// advanceEnd moves the end of a partition to the offset to, where the bytes at a position of a file
// show that it goes on. The records between must be trimmed, and lost to a damage that is known.
func (l *loader) advanceEnd(p int, to int64, file string, pos int64) error {
	q := &l.parts[p]
	switch lost := l.damage[p]; {
	case to == q.end:
	case l.startUnknown[p] && to <= q.trim.Start:
	case lost != nil && to > q.end && to <= q.trim.Start:
	case lost != nil && to > q.end:
		return lost
	default:
		reason := fmt.Sprintf("partition %d goes on at %d, want %d", p, to, q.end)
		return &CorruptError{File: file, Offset: pos, Reason: reason}
	}
	q.end, l.damage[p], l.startUnknown[p] = to, nil, false
	return nil
}

// checkEnds checks how far each partition goes, when all segments are read.
func (l *loader) checkEnds() error {
	m := &l.files.manifest
	file := filepath.Join(l.dir, manifestName)
	for p := range l.parts {
		q := &l.parts[p]
		switch {
		case m.CleanEnd > 0 && p < len(m.Ends):
			if err := l.advanceEnd(p, m.Ends[p], file, 0); err != nil {
				return err
			}
		case l.damage[p] != nil:
			return l.damage[p] // whether it was the end of the partition cannot be known
		}
		if q.end < q.trim.Start {
			if l.opened.cut != nil {
				file = l.opened.cut.File
			}
			reason := fmt.Sprintf("partition %d ends at %d and was trimmed to %d", p, q.end, q.trim.Start)
			return &CorruptError{File: file, Reason: reason}
		}
	}
	return nil
}

// loadHeader reads from the segment's header where each partition begins in it. A damaged header is
// noted, and then each partition begins where it ended before.
func (l *loader) loadHeader(s *segment) error {
	lastCommit, first, err := decodeSegmentHeader(s.file, s.name, l.epoch, s.seq)
	var bad *CorruptError
	if err == nil && len(first) > len(l.parts) {
		reason := fmt.Sprintf("segment has %d partitions of %d", len(first), len(l.parts))
		err = &CorruptError{File: s.name, Reason: reason}
	}
	if errors.As(err, &bad) {
		if len(l.segments) == 1 {
			for p := range l.startUnknown {
				l.startUnknown[p] = true
			}
		}
		l.noteDamage(bad, 0)
		s.first = l.partitionEnds()
		return nil
	}
	if err != nil {
		return err
	}
	l.files.commit = max(l.files.commit, lastCommit)
	for p, n := range first {
		if len(l.segments) == 1 && l.damage[p] == nil {
			l.parts[p].end = n
		}
		if err := l.advanceEnd(p, n, s.name, 0); err != nil {
			return err
		}
	}
	s.first, s.size = first, segmentHeaderLen(len(first))
	return nil
}

// loadSegment reads one segment, of which only the file is known. last reports whether it is the
// newest.
func (l *loader) loadSegment(s *segment, last bool) error {
	size, err := s.file.Size()
	if err != nil {
		return fmt.Errorf("read log segment %s: %w", s.name, err)
	}
	if err := l.loadHeader(s); err != nil {
		return err
	}
	s.next, s.index = slices.Clone(s.first), make([][]indexEntry, len(s.first))
	clean := l.files.manifest.CleanEnd
	if last && clean > 0 && size != clean {
		reason := fmt.Sprintf("segment has %d bytes and had %d when the log was closed", size, clean)
		defer l.noteDamage(&CorruptError{File: s.name, Offset: min(size, clean), Reason: reason}, size-min(size, clean))
		size = min(size, clean)
	}
	r := &segmentLoader{
		loader:     l,
		seg:        s,
		sc:         newScanner(s.file, l.seed, s.size, size),
		unclosed:   last && clean == 0,
		lastCommit: s.size,
	}
	return r.loadFrames()
}

// segmentLoader is a segment while its frames are read. A commit counts when all its frames are
// there; until then they wait.
type segmentLoader struct {
	*loader
	seg        *segment
	sc         *scanner
	unclosed   bool  // the log was not closed, so that the segment may end in a torn write
	lastCommit int64 // where the last whole commit begins

	places     []indexEntry // of the frames that wait
	waiting    []frame
	framesLeft uint32 // still to come of their commit
}

// loadFrames reads all frames of the segment.
func (r *segmentLoader) loadFrames() error {
	if r.seg.size == 0 { // the header is damaged: the first frame has to be found
		if err := r.passOverDamage(frameCheck{}); err != nil {
			return err
		}
	}
	for r.sc.pos < r.sc.end {
		c, err := r.checkNext()
		if err != nil {
			return fmt.Errorf("read log segment %s at byte %d: %w", r.seg.name, r.sc.pos, err)
		}
		if c.reason == "" {
			if err := r.takeFrame(c.frame); err != nil {
				return err
			}
			continue
		}
		torn := false
		if r.unclosed {
			if torn, err = r.isTorn(r.sc); err != nil {
				return fmt.Errorf("read log segment %s: %w", r.seg.name, err)
			}
		}
		if torn {
			return r.settleTail(r.seg, r.lastCommit, r.sc.end)
		}
		if err := r.passOverDamage(c); err != nil {
			return err
		}
	}
	if r.unclosed {
		return r.settleTail(r.seg, r.lastCommit, r.sc.end)
	}
	if r.framesLeft > 0 {
		reason := fmt.Sprintf("the file ends %d frames before its last commit does", r.framesLeft)
		r.noteDamage(&CorruptError{File: r.seg.name, Offset: r.seg.size, Reason: reason}, 0)
		return r.keepWaiting()
	}
	return nil
}

// takeFrame adds the frame at the scanner's position to those that wait, and keeps them all when
// their commit is whole.
func (r *segmentLoader) takeFrame(f frame) error {
	r.places = append(r.places, indexEntry{f.first, r.sc.pos})
	r.waiting = append(r.waiting, f)
	r.framesLeft = f.left
	r.sc.skipFrame(f)
	if r.framesLeft > 0 {
		return nil
	}
	return r.keepWaiting()
}

// keepWaiting adds the frames that wait to the segment.
func (r *segmentLoader) keepWaiting() error {
	if len(r.waiting) == 0 {
		return nil
	}
	r.files.commit = max(r.files.commit, r.waiting[0].commit)
	r.lastCommit = r.places[0].pos
	for i, f := range r.waiting {
		p := int(f.partition)
		unplaced := r.startUnknown[p]
		if err := r.advanceEnd(p, f.first, r.seg.name, r.places[i].pos); err != nil {
			return err
		}
		if unplaced {
			r.seg.first[p] = f.first
		}
		r.seg.addFrame(f, r.places[i].pos)
		r.parts[p].end = r.seg.next[p]
	}
	r.places, r.waiting = r.places[:0], r.waiting[:0]
	r.framesLeft = 0
	return nil
}

// passOverDamage goes on behind the damage at the scanner's position. A whole frame header there
// shows which records are lost. The frames before it of the same commit are kept: the commit was
// durable once, and what is missing of it shows later. Without a reason the damage was noted
// before.
func (r *segmentLoader) passOverDamage(c frameCheck) error {
	if err := r.keepWaiting(); err != nil {
		return err
	}
	from := r.sc.pos
	damage := &CorruptError{File: r.seg.name, Offset: from, Reason: c.reason}
	if c.headerWhole && r.isNext(c.frame) {
		if err := r.passOverFrame(c.frame, damage); err != nil {
			return err
		}
	} else {
		at := from
		if c.reason != "" {
			at++ // no whole frame begins here
		}
		next, err := r.findFrame(at)
		if err != nil {
			return fmt.Errorf("read log segment %s: %w", r.seg.name, err)
		}
		r.sc.pos = next
		if c.reason != "" {
			r.noteDamage(damage, next-from)
		}
	}
	r.seg.holes = append(r.seg.holes, hole{from, r.sc.pos})
	r.seg.size = r.sc.pos
	return nil
}

// isNext reports whether the frame goes on where its partition ends, with nothing lost before it.
func (r *segmentLoader) isNext(f frame) bool {
	p := int(f.partition)
	return p < len(r.seg.first) && f.first == r.parts[p].end && r.damage[p] == nil
}

// passOverFrame goes on behind a frame whose records are lost. They must be trimmed.
func (r *segmentLoader) passOverFrame(f frame, damage *CorruptError) error {
	p := int(f.partition)
	end := f.first + int64(f.count)
	if r.parts[p].trim.Start < end {
		return damage
	}
	r.sc.skipFrame(f)
	r.parts[p].end, r.seg.next[p] = end, end
	r.opened.passed = append(r.opened.passed, PassedOver{
		File:   damage.File,
		Offset: damage.Offset,
		Bytes:  r.sc.pos - damage.Offset,
		Reason: damage.Reason,
	})
	return nil
}

// findFrame returns the position of the first whole frame at or behind pos, or the end of the file
// when there is none.
func (r *segmentLoader) findFrame(pos int64) (int64, error) {
	var magic [4]byte
	binary.LittleEndian.PutUint32(magic[:], frameMagic)
	const window = 1 << 20
	for at := pos; at+frameHeader <= r.sc.end; {
		n := int(min(window, r.sc.end-at))
		b, err := r.sc.peekBytes(at, n, n)
		if err != nil {
			return 0, err
		}
		i := bytes.Index(b, magic[:])
		switch {
		case i < 0 && n < window:
			return r.sc.end, nil
		case i < 0:
			at += int64(n - len(magic) + 1)
			continue
		}
		at += int64(i)
		whole, err := r.isWhole(at)
		if err != nil {
			return 0, err
		}
		if whole {
			return at, nil
		}
		at++
	}
	return r.sc.end, nil
}

// isWhole reports whether a frame with the right checksums begins at pos.
func (r *segmentLoader) isWhole(pos int64) (bool, error) {
	sc := newScanner(r.seg.file, r.seed, pos, r.sc.end)
	f, ok, err := sc.readHeader(frameHeader)
	if err == nil && ok {
		_, ok, err = sc.readBody(f, 0)
	}
	if errors.Is(err, errCut) {
		return false, nil
	}
	return ok, err
}

// frameCheck is a frame and what is wrong with it.
type frameCheck struct {
	frame       frame
	headerWhole bool   // the header can be relied on, even if the body is broken
	reason      string // empty: the frame is good
}

// checkNext checks the frame at the scanner's position, also against the frames that wait.
func (r *segmentLoader) checkNext() (frameCheck, error) {
	c, err := r.checkFrame()
	if err != nil || c.reason != "" || r.framesLeft == 0 {
		return c, err
	}
	if c.frame.commit != r.waiting[0].commit || c.frame.left != r.framesLeft-1 {
		return frameCheck{reason: "a frame of the commit before is missing"}, nil
	}
	return c, nil
}

// checkFrame checks the frame at the scanner's position by itself.
func (r *segmentLoader) checkFrame() (frameCheck, error) {
	const readAhead = 1 << 20
	f, ok, err := r.sc.readHeader(readAhead)
	switch {
	case errors.Is(err, errCut):
		return frameCheck{reason: "the file ends inside a frame header"}, nil
	case err != nil:
		return frameCheck{}, err
	case !ok:
		return frameCheck{reason: "the frame header has another checksum"}, nil
	case int(f.partition) >= len(r.seg.first) || f.partition < 0:
		return frameCheck{reason: fmt.Sprintf("the frame is of partition %d of %d", f.partition, len(r.seg.first))}, nil
	}
	_, ok, err = r.sc.readBody(f, readAhead)
	switch {
	case errors.Is(err, errCut):
		return frameCheck{reason: "the file ends inside a frame"}, nil
	case err != nil:
		return frameCheck{}, err
	case !ok:
		return frameCheck{frame: f, headerWhole: true, reason: "the frame has another checksum"}, nil
	case f.commit < r.files.commit:
		return frameCheck{reason: fmt.Sprintf("commit %d follows commit %d", f.commit, r.files.commit)}, nil
	}
	return frameCheck{frame: f, headerWhole: true}, nil
}

// isTorn reports whether the damage at the scanner's position in the newest segment can be a write
// that was cut off.
func (l *loader) isTorn(sc *scanner) (bool, error) {
	broken := l.files.commit + 1 // a commit beyond it was written after this one was synced
	later, err := hasLaterCommit(sc, sc.pos, broken)
	if err != nil || later {
		return false, err
	}
	return isTornWrite(sc, sc.pos)
}

// settleTail cuts off the bytes behind the last whole commit, which were never acknowledged, and
// makes that commit durable. It was read from the page cache and may never have reached the disk.
// After a sync that failed the kernel takes its pages for clean, so they are written again before
// they are synced.
func (l *loader) settleTail(s *segment, begin, end int64) error {
	if end > s.size {
		if err := s.file.Truncate(s.size); err != nil {
			return fmt.Errorf("cut torn tail of log segment %s: %w", s.name, err)
		}
		l.opened.cut = &CutTail{File: s.name, Offset: s.size, Bytes: end - s.size}
	}
	b := make([]byte, 1<<20)
	for pos := begin; pos < s.size; {
		n := min(int64(len(b)), s.size-pos)
		if _, err := s.file.ReadAt(b[:n], pos); err != nil {
			return fmt.Errorf("read log segment %s: %w", s.name, err)
		}
		if _, err := s.file.WriteAt(b[:n], pos); err != nil {
			return fmt.Errorf("write log segment %s: %w", s.name, err)
		}
		pos += n
	}
	if l.cfg.NoSync {
		return nil
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync log segment %s: %w", s.name, err)
	}
	return nil
}
