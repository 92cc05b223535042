package kafkalog

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// EmbeddedConfig configures OpenEmbedded. Zero values mean the defaults named here.
type EmbeddedConfig struct {
	Partitions   int              // 4, or what the directory has; may grow, never shrink
	SegmentBytes int64            // 64 MiB: a segment is closed when it is larger; at most MaxBytes/4
	MaxBytes     int64            // 4 GiB: appends beyond this size of the directory are ErrFull
	TailBytes    int64            // 64 MiB: newest records kept in memory for readers in this process; negative: none
	NoSync       bool             // acknowledged records survive the process but not the machine
	Clock        func() time.Time // time.Now: the time records without one get
	FS           FS               // the operating system's
}

func (c EmbeddedConfig) withDefaults() EmbeddedConfig {
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.SegmentBytes, 64<<20)
	def(&c.MaxBytes, 4<<30)
	def(&c.TailBytes, 64<<20)
	c.SegmentBytes = max(min(c.SegmentBytes, c.MaxBytes/4), 4096)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.FS == nil {
		c.FS = osFS{}
	}
	return c
}

// Embedded is the log in segment files of a local directory. One goroutine writes: it takes all appends that wait, over all
// partitions, writes them at once and syncs once. Source: docs/adr/0002-embedded-log.md.
type Embedded struct {
	dir   string
	cfg   EmbeddedConfig
	epoch [16]byte
	seed  uint32 // of frame checksums
	lock  *os.File

	queueMu sync.Mutex
	queue   []*appendCall
	wakeup  chan struct{} // one token: the queue is not empty
	done    chan struct{} // the writer has ended
	closing bool          // guarded by queueMu: no more calls are queued

	// ioMu is held by whoever changes files: a group commit, a trim, Close. It is taken before mu.
	ioMu     sync.Mutex
	manifest manifest
	commit   uint64
	full     bool   // the disk was full when the log was opened: there is no segment to append to yet
	out      []byte // the group being written, reused

	mu       sync.RWMutex
	segments []*segment // in order; the last is written to
	parts    []embeddedPartition
	tail     tail
	size     int64
	closed   bool
	failed   error // sticky
	cut      *CutTail
}

type embeddedPartition struct {
	trim    trimMark
	end     int64
	changed chan struct{} // closed and replaced when end or closed changes
}

// CutTail is what OpenEmbedded removed from the end of the newest segment: a write that was cut off before it was acknowledged.
type CutTail struct {
	File   string
	Offset int64
	Bytes  int64
}

// OpenEmbedded opens the log in dir and makes it where there is none, with a new epoch. It reads and checks every byte of the log,
// in bounded memory. Errors: ErrLocked, ErrCorrupt (a *CorruptError), a newer format, fewer partitions than there are.
func OpenEmbedded(dir string, cfg EmbeddedConfig) (*Embedded, error) {
	cfg = cfg.withDefaults()
	if cfg.Partitions < 0 || cfg.Partitions > maxPartitions {
		return nil, fmt.Errorf("open log %s: %d partitions, want 1 to %d", dir, cfg.Partitions, maxPartitions)
	}
	if err := cfg.FS.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("create log directory %s: %w", dir, err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	l := &Embedded{dir: dir, cfg: cfg, lock: lock, wakeup: make(chan struct{}, 1), done: make(chan struct{})}
	if err := l.open(); err != nil {
		l.release()
		return nil, err
	}
	go l.write()
	return l, nil
}

func (l *Embedded) release() {
	for _, s := range l.segments {
		s.file.Close()
	}
	l.lock.Close()
}

func (l *Embedded) open() error {
	files, err := l.list()
	if err != nil {
		return err
	}
	m, err := readManifest(l.cfg.FS, l.dir)
	if err != nil {
		return err
	}
	if m == nil {
		if len(files) > 0 {
			return &CorruptError{File: filepath.Join(l.dir, manifestName), Reason: fmt.Sprintf("the manifest is missing beside %d segments", len(files))}
		}
		if m, err = l.create(); err != nil {
			return err
		}
	}
	l.manifest = *m
	id, err := hex.DecodeString(m.Epoch)
	if err != nil || len(id) != len(l.epoch) {
		return &CorruptError{File: filepath.Join(l.dir, manifestName), Reason: "the manifest has no epoch"}
	}
	copy(l.epoch[:], id)
	l.seed = crc32.Checksum(id, castagnoli)
	want := l.cfg.Partitions
	if want == 0 {
		want = m.Partitions
	}
	if want < m.Partitions {
		return fmt.Errorf("open log %s: it has %d partitions and cannot shrink to %d", l.dir, m.Partitions, want)
	}
	l.parts = make([]embeddedPartition, want)
	for p := range l.parts {
		l.parts[p].changed = make(chan struct{})
		if p < m.Partitions {
			l.parts[p].trim = m.Trims[p]
			l.parts[p].end = m.Trims[p].Start
		}
	}
	l.tail = newTail(want, l.cfg.TailBytes)
	if err := l.load(files); err != nil {
		return err
	}
	// The log goes on in a new segment: what a torn write left can then never lie before an acknowledged record in one file.
	l.manifest.Partitions, l.manifest.CleanEnd = want, 0
	if err := l.roll(); err != nil {
		if noSpace(err) && len(l.segments) > 0 && want == m.Partitions {
			l.full = true // readers and trims go on; the first append tries again
			return nil
		}
		return fmt.Errorf("begin log segment in %s: %w", l.dir, err)
	}
	return l.dropTrimmed()
}

func (l *Embedded) create() (*manifest, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("choose log epoch: %w", err)
	}
	n := l.cfg.Partitions
	if n == 0 {
		n = 4
	}
	m := &manifest{Format: formatVersion, Epoch: hex.EncodeToString(id[:]), Partitions: n, First: 1, Trims: make([]trimMark, n)}
	if err := writeManifest(l.cfg.FS, l.dir, m); err != nil {
		return nil, err
	}
	// The directory itself has to be there after power loss too.
	if err := l.cfg.FS.SyncDir(filepath.Dir(filepath.Clean(l.dir))); err != nil {
		return nil, fmt.Errorf("sync parent of log directory %s: %w", l.dir, err)
	}
	return m, nil
}

func segmentName(seq uint64) string { return fmt.Sprintf("%020d.seg", seq) }

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

// load reads all segments. Files outside [First, Last] of the manifest hold nothing that was acknowledged: they are removed.
func (l *Embedded) load(files []uint64) error {
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
			return &CorruptError{File: name, Reason: "the segment is missing"}
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
	for p := range l.parts {
		if t := l.parts[p].trim.Start; l.parts[p].end < t {
			return &CorruptError{File: filepath.Join(l.dir, manifestName), Reason: fmt.Sprintf("partition %d ends at %d and was trimmed to %d", p, l.parts[p].end, t)}
		}
	}
	return nil
}

func (l *Embedded) loadSegment(s *segment, last bool) error {
	size, err := s.file.Size()
	if err != nil {
		return fmt.Errorf("read log segment %s: %w", s.name, err)
	}
	lastCommit, first, err := decodeSegmentHeader(s.file, s.name, l.epoch, s.seq)
	if err != nil {
		return err
	}
	s.first, l.commit = first, max(l.commit, lastCommit)
	if len(s.first) > len(l.parts) {
		return &CorruptError{File: s.name, Reason: fmt.Sprintf("segment has %d partitions of %d", len(s.first), len(l.parts))}
	}
	for p, n := range s.first {
		if len(l.segments) == 1 {
			l.parts[p].end = n
		}
		if n != l.parts[p].end {
			return &CorruptError{File: s.name, Reason: fmt.Sprintf("partition %d goes on at %d, want %d", p, n, l.parts[p].end)}
		}
	}
	s.next, s.index = slices.Clone(s.first), make([][]indexEntry, len(s.first))
	s.size = segmentHeaderLen(len(s.first))
	if m := &l.manifest; last && m.CleanEnd > 0 && size != m.CleanEnd {
		return &CorruptError{File: s.name, Offset: min(size, m.CleanEnd), Reason: fmt.Sprintf("segment has %d bytes and had %d when the log was closed", size, m.CleanEnd)}
	}
	sc := newScanner(s.file, l.seed, s.size, size)
	last = last && l.manifest.CleanEnd == 0 // only a log that was not closed may end in a torn write
	// A commit counts when all its frames are there; until then they wait here.
	var commit []indexEntry
	var frames []frame
	begin, left := s.size, uint32(0) // of the last whole commit; frames still to come of the open one
	next := slices.Clone(s.first)
	for sc.pos < sc.end {
		f, reason, err := l.nextFrame(sc, next)
		if err != nil {
			return fmt.Errorf("read log segment %s at byte %d: %w", s.name, sc.pos, err)
		}
		if reason == "" && left > 0 && (f.commit != frames[0].commit || f.left != left-1) {
			reason = "a frame of the commit before is missing"
		}
		if reason != "" {
			if !last {
				return &CorruptError{File: s.name, Offset: sc.pos, Reason: reason}
			}
			if err := l.mustBeTorn(sc, s, reason); err != nil {
				return err
			}
			return l.settle(s, begin, sc.end)
		}
		commit, frames = append(commit, indexEntry{f.first, sc.pos}), append(frames, f)
		left, next[f.partition] = f.left, f.first+int64(f.count)
		sc.skip(f)
		if left > 0 {
			continue
		}
		l.commit, begin = f.commit, commit[0].pos
		for i, f := range frames {
			s.note(f, commit[i].pos)
			l.parts[f.partition].end = s.next[f.partition]
		}
		commit, frames = commit[:0], frames[:0]
	}
	if !last {
		if left > 0 {
			return &CorruptError{File: s.name, Offset: s.size, Reason: fmt.Sprintf("the file ends %d frames before its last commit does", left)}
		}
		return nil
	}
	return l.settle(s, begin, sc.end)
}

// nextFrame checks the frame at the scanner's position. A reason tells what is wrong with it.
func (l *Embedded) nextFrame(sc *scanner, next []int64) (f frame, reason string, err error) {
	const readAhead = 1 << 20
	f, ok, err := sc.header(readAhead)
	switch {
	case errors.Is(err, errCut):
		return f, "the file ends inside a frame header", nil
	case err != nil:
		return f, "", err
	case !ok:
		return f, "the frame header has another checksum", nil
	}
	_, ok, err = sc.body(f, readAhead)
	switch {
	case errors.Is(err, errCut):
		return f, "the file ends inside a frame", nil
	case err != nil:
		return f, "", err
	case !ok:
		return f, "the frame has another checksum", nil
	case int(f.partition) >= len(next) || f.partition < 0:
		return f, fmt.Sprintf("the frame is of partition %d of %d", f.partition, len(next)), nil
	case f.first != next[f.partition]:
		return f, fmt.Sprintf("partition %d goes on at %d, want %d", f.partition, f.first, next[f.partition]), nil
	case f.commit < l.commit:
		return f, fmt.Sprintf("commit %d follows commit %d", f.commit, l.commit), nil
	}
	return f, "", nil
}

// mustBeTorn refuses what is broken at the scanner's position of the newest segment unless it can be a write that was cut off.
func (l *Embedded) mustBeTorn(sc *scanner, s *segment, reason string) error {
	broken := l.commit + 1 // a commit beyond it was written after this one was synced
	later, err := laterCommit(sc, sc.pos, broken)
	if err != nil {
		return fmt.Errorf("read log segment %s: %w", s.name, err)
	}
	is, err := torn(sc, sc.pos)
	if err != nil {
		return fmt.Errorf("read log segment %s: %w", s.name, err)
	}
	if later || !is {
		return &CorruptError{File: s.name, Offset: sc.pos, Reason: reason}
	}
	return nil
}

// settle cuts what follows the last whole commit, which was never acknowledged, and makes that commit durable. It was read from the
// page cache and may never have reached the disk, and after a sync that failed the kernel holds its pages for clean: so they are
// written again before they are synced.
func (l *Embedded) settle(s *segment, begin, end int64) error {
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

func (l *Embedded) active() *segment { return l.segments[len(l.segments)-1] }

// roll begins a new segment. It is durable, name and all, before the manifest lists it, and listed before it is written to.
// Called with ioMu held, or while opening.
func (l *Embedded) roll() error {
	next := make([]int64, len(l.parts))
	for p := range l.parts {
		next[p] = l.parts[p].end
	}
	seq := l.manifest.Last + 1
	name := filepath.Join(l.dir, segmentName(seq))
	f, err := l.cfg.FS.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_RDWR)
	if err != nil {
		return err
	}
	head := encodeSegmentHeader(l.epoch, seq, l.commit, next)
	if _, err = f.WriteAt(head, 0); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = l.cfg.FS.SyncDir(l.dir)
	}
	if err == nil {
		old := l.manifest
		l.manifest.Last = seq
		l.manifest.Trims = l.trims()
		if err = l.saveManifest(); err != nil {
			l.manifest = old
		}
	}
	if err != nil {
		// A manifest that lists the segment may have been renamed into place before its error; then the file has to stay. An
		// unlisted file is removed when the log is opened.
		return errors.Join(err, f.Close())
	}
	s := &segment{seq: seq, name: name, file: f, first: next, next: slices.Clone(next), size: int64(len(head)), index: make([][]indexEntry, len(next))}
	l.full = false
	l.mu.Lock()
	l.segments = append(l.segments, s)
	l.size += s.size
	l.mu.Unlock()
	return nil
}

func (l *Embedded) trims() []trimMark {
	t := make([]trimMark, len(l.parts))
	for p := range l.parts {
		t[p] = l.parts[p].trim
	}
	return t
}

// Epoch is chosen by chance when the directory's first file is made.
func (l *Embedded) Epoch() string { return hex.EncodeToString(l.epoch[:]) }

func (l *Embedded) Partitions() int { return len(l.parts) }

// Size is the bytes of all segment files.
func (l *Embedded) Size() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.size
}

// Cut returns what was removed from the end of the log when it was opened, nil for nothing. It was never acknowledged.
func (l *Embedded) Cut() *CutTail { return l.cut }

func (l *Embedded) Bounds(ctx context.Context, partition int32) (start, end int64, err error) {
	if err := checkPartition(partition, len(l.parts)); err != nil {
		return 0, 0, err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return 0, 0, ErrClosed
	}
	p := &l.parts[partition]
	return p.trim.Start, p.end, ctx.Err()
}

// Close ends waiting calls with ErrClosed, finishes the commit under way and releases the directory.
func (l *Embedded) Close() error {
	l.queueMu.Lock()
	if l.closing {
		l.queueMu.Unlock()
		<-l.done
		return nil
	}
	l.closing = true
	l.queueMu.Unlock()
	l.signal()
	<-l.done
	l.ioMu.Lock()
	defer l.ioMu.Unlock()
	l.mu.Lock()
	l.closed = true
	for p := range l.parts {
		close(l.parts[p].changed)
		l.parts[p].changed = make(chan struct{})
	}
	l.mu.Unlock()
	var err error
	if l.failed == nil {
		s := l.active()
		if l.cfg.NoSync {
			err = s.file.Sync()
		}
		if err == nil {
			l.manifest.CleanEnd = s.size // also of a segment that nothing was appended to
			err = l.saveManifest()
		}
	}
	l.release()
	return err
}
