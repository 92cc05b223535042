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

func (l *Embedded) list() ([]uint64, error) {
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

// loading is a log while its segments are read. Damage is passed over where no record is lost with
// it that is not trimmed: the next frame of a partition, the next segment, or the manifest of a log
// that was closed tells how far a partition went.
type loading struct {
	*Embedded
	// by partition: the first damage since its last good frame, behind which its end is not known
	damage   []*CorruptError
	unplaced []bool // by partition: where it begins is not known either
}

// load reads all segments. Files outside [First, Last] of the manifest hold nothing that was
// acknowledged: they are removed.
func (l *loading) load(files []uint64) error {
	m := &l.manifest
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
			l.note(&CorruptError{File: name, Reason: "the segment is missing"}, 0)
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
	return l.finish()
}

// note keeps in mind that something is damaged. Of each partition it may be the cause of a loss.
func (l *loading) note(e *CorruptError, size int64) {
	for p := range l.damage {
		if l.damage[p] == nil {
			l.damage[p] = e
		}
		if len(l.segments) == 0 {
			l.unplaced[p] = true
		}
	}
	l.passed = append(l.passed, PassedOver{File: e.File, Offset: e.Offset, Bytes: size, Reason: e.Reason})
}

// advance moves the end of a partition to an offset where it is said to go on.
func (l *loading) advance(p int, to int64, file string, at int64) error {
	q := &l.parts[p]
	switch lost := l.damage[p]; {
	case to == q.end:
	case l.unplaced[p] && to <= q.trim.Start:
	case lost != nil && to > q.end && to <= q.trim.Start:
	case lost != nil && to > q.end:
		return lost
	default:
		return &CorruptError{File: file, Offset: at, Reason: fmt.Sprintf("partition %d goes on at %d, want %d", p, to, q.end)}
	}
	q.end, l.damage[p], l.unplaced[p] = to, nil, false
	return nil
}

// finish checks how far each partition goes.
func (l *loading) finish() error {
	m, file := &l.manifest, filepath.Join(l.dir, manifestName)
	for p := range l.parts {
		q := &l.parts[p]
		switch {
		case m.CleanEnd > 0 && p < len(m.Ends):
			if err := l.advance(p, m.Ends[p], file, 0); err != nil {
				return err
			}
		case l.damage[p] != nil:
			return l.damage[p] // whether it was the end of the partition cannot be known
		}
		if q.end < q.trim.Start {
			if l.cut != nil {
				file = l.cut.File
			}
			return &CorruptError{File: file, Reason: fmt.Sprintf("partition %d ends at %d and was trimmed to %d", p, q.end, q.trim.Start)}
		}
	}
	return nil
}

// loadHeader reads where each partition begins in the segment, or notes that this is damaged.
func (l *loading) loadHeader(s *segment) error {
	lastCommit, first, err := decodeSegmentHeader(s.file, s.name, l.epoch, s.seq)
	var bad *CorruptError
	if err == nil && len(first) > len(l.parts) {
		err = &CorruptError{File: s.name, Reason: fmt.Sprintf("segment has %d partitions of %d", len(first), len(l.parts))}
	}
	if errors.As(err, &bad) {
		if len(l.segments) == 1 {
			for p := range l.unplaced {
				l.unplaced[p] = true
			}
		}
		l.note(bad, 0)
		s.first = l.ends()
		return nil
	}
	if err != nil {
		return err
	}
	l.commit = max(l.commit, lastCommit)
	for p, n := range first {
		if len(l.segments) == 1 && l.damage[p] == nil {
			l.parts[p].end = n
		}
		if err := l.advance(p, n, s.name, 0); err != nil {
			return err
		}
	}
	s.first, s.size = first, segmentHeaderLen(len(first))
	return nil
}

func (l *loading) loadSegment(s *segment, last bool) error {
	size, err := s.file.Size()
	if err != nil {
		return fmt.Errorf("read log segment %s: %w", s.name, err)
	}
	if err := l.loadHeader(s); err != nil {
		return err
	}
	s.next, s.index = slices.Clone(s.first), make([][]indexEntry, len(s.first))
	clean := l.manifest.CleanEnd
	if last && clean > 0 && size != clean {
		reason := fmt.Sprintf("segment has %d bytes and had %d when the log was closed", size, clean)
		defer l.note(&CorruptError{File: s.name, Offset: min(size, clean), Reason: reason}, size-min(size, clean))
		size = min(size, clean)
	}
	r := &reading{loading: l, s: s, sc: newScanner(s.file, l.seed, s.size, size), open: last && clean == 0, begin: s.size}
	return r.frames()
}

// reading is a segment while its frames are read. A commit counts when all its frames are there;
// until then they wait.
type reading struct {
	*loading
	s     *segment
	sc    *scanner
	open  bool  // it was not closed, so that it may end in a torn write
	begin int64 // of the last whole commit

	places []indexEntry // of the frames that wait
	wait   []frame
	left   uint32 // frames still to come of their commit
}

func (r *reading) frames() error {
	if r.s.size == 0 { // the header is damaged: the first frame has to be found
		if err := r.passOver("", nil); err != nil {
			return err
		}
	}
	for r.sc.pos < r.sc.end {
		f, whole, reason, err := r.nextFrame()
		if err != nil {
			return fmt.Errorf("read log segment %s at byte %d: %w", r.s.name, r.sc.pos, err)
		}
		if reason == "" && r.left > 0 && (f.commit != r.wait[0].commit || f.left != r.left-1) {
			reason, whole = "a frame of the commit before is missing", false
		}
		if reason != "" {
			torn := false
			if r.open {
				if torn, err = r.isTorn(r.sc); err != nil {
					return fmt.Errorf("read log segment %s: %w", r.s.name, err)
				}
			}
			if torn {
				return r.settle(r.s, r.begin, r.sc.end)
			}
			known := &f
			if !whole {
				known = nil
			}
			if err := r.passOver(reason, known); err != nil {
				return err
			}
			continue
		}
		r.places, r.wait = append(r.places, indexEntry{f.first, r.sc.pos}), append(r.wait, f)
		r.left = f.left
		r.sc.skip(f)
		if r.left == 0 {
			if err := r.keep(); err != nil {
				return err
			}
		}
	}
	if !r.open {
		if r.left > 0 {
			r.note(&CorruptError{File: r.s.name, Offset: r.s.size, Reason: fmt.Sprintf("the file ends %d frames before its last commit does", r.left)}, 0)
			return r.keep()
		}
		return nil
	}
	return r.settle(r.s, r.begin, r.sc.end)
}

// keep takes the frames that wait into the segment.
func (r *reading) keep() error {
	if len(r.wait) == 0 {
		return nil
	}
	r.commit = max(r.commit, r.wait[0].commit)
	r.begin = r.places[0].pos
	for i, f := range r.wait {
		p := int(f.partition)
		unplaced := r.unplaced[p]
		if err := r.advance(p, f.first, r.s.name, r.places[i].pos); err != nil {
			return err
		}
		if unplaced {
			r.s.first[p] = f.first
		}
		r.s.note(f, r.places[i].pos)
		r.parts[p].end = r.s.next[p]
	}
	r.places, r.wait, r.left = r.places[:0], r.wait[:0], 0
	return nil
}

// passOver goes on behind damage at the scanner's position. f is the frame there where its header
// is whole: then it is known what was lost. The frames before it of the same commit are kept: the
// commit was durable once, and what is missing of it shows later.
func (r *reading) passOver(reason string, f *frame) error {
	if err := r.keep(); err != nil {
		return err
	}
	from := r.sc.pos
	e := &CorruptError{File: r.s.name, Offset: from, Reason: reason}
	if f != nil && int(f.partition) < len(r.s.first) && f.first == r.parts[f.partition].end && r.damage[f.partition] == nil {
		p := int(f.partition)
		if r.parts[p].trim.Start < f.first+int64(f.count) {
			return e
		}
		r.sc.skip(*f)
		r.parts[p].end, r.s.next[p] = f.first+int64(f.count), f.first+int64(f.count)
		r.passed = append(r.passed, PassedOver{File: e.File, Offset: from, Bytes: r.sc.pos - from, Reason: reason})
	} else {
		at := from
		if reason != "" {
			at++ // what is there is no whole frame
		}
		next, err := r.findFrame(at)
		if err != nil {
			return fmt.Errorf("read log segment %s: %w", r.s.name, err)
		}
		r.sc.pos = next
		if reason != "" {
			r.note(e, next-from)
		}
	}
	r.s.holes = append(r.s.holes, hole{from, r.sc.pos})
	r.s.size = r.sc.pos
	return nil
}

// findFrame looks for a whole frame from pos on and returns where it begins; the end of the file
// when there is none.
func (r *reading) findFrame(pos int64) (int64, error) {
	var magic [4]byte
	binary.LittleEndian.PutUint32(magic[:], frameMagic)
	const window = 1 << 20
	for at := pos; at+frameHeader <= r.sc.end; {
		n := int(min(window, r.sc.end-at))
		b, err := r.sc.peek(at, n, n)
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

func (r *reading) isWhole(pos int64) (bool, error) {
	sc := newScanner(r.s.file, r.seed, pos, r.sc.end)
	f, ok, err := sc.header(frameHeader)
	if err == nil && ok {
		_, ok, err = sc.body(f, 0)
	}
	if errors.Is(err, errCut) {
		return false, nil
	}
	return ok, err
}

// nextFrame checks the frame at the scanner's position. A reason tells what is wrong with it; whole
// says that its header can be relied on all the same.
func (r *reading) nextFrame() (f frame, whole bool, reason string, err error) {
	const readAhead = 1 << 20
	f, ok, err := r.sc.header(readAhead)
	switch {
	case errors.Is(err, errCut):
		return f, false, "the file ends inside a frame header", nil
	case err != nil:
		return f, false, "", err
	case !ok:
		return f, false, "the frame header has another checksum", nil
	case int(f.partition) >= len(r.s.first) || f.partition < 0:
		return f, false, fmt.Sprintf("the frame is of partition %d of %d", f.partition, len(r.s.first)), nil
	}
	_, ok, err = r.sc.body(f, readAhead)
	switch {
	case errors.Is(err, errCut):
		return f, false, "the file ends inside a frame", nil
	case err != nil:
		return f, false, "", err
	case !ok:
		return f, true, "the frame has another checksum", nil
	case f.commit < r.commit:
		return f, false, fmt.Sprintf("commit %d follows commit %d", f.commit, r.commit), nil
	}
	return f, true, "", nil
}

// isTorn reports whether what is broken at the scanner's position of the newest segment can be a
// write that was cut off.
func (l *loading) isTorn(sc *scanner) (bool, error) {
	broken := l.commit + 1 // a commit beyond it was written after this one was synced
	later, err := laterCommit(sc, sc.pos, broken)
	if err != nil || later {
		return false, err
	}
	return torn(sc, sc.pos)
}

// settle cuts what follows the last whole commit, which was never acknowledged, and makes that
// commit durable. It was read from the page cache and may never have reached the disk, and after a
// sync that failed the kernel holds its pages for clean: so they are written again before they are
// synced.
func (l *loading) settle(s *segment, begin, end int64) error {
	if end > s.size {
		if err := s.file.Truncate(s.size); err != nil {
			return fmt.Errorf("cut torn tail of log segment %s: %w", s.name, err)
		}
		l.cut = &CutTail{File: s.name, Offset: s.size, Bytes: end - s.size}
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
