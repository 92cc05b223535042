package kafkalog

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/troupe-tracing/troupe/runtime/storage/localdisk"
)

// EmbeddedConfig configures OpenEmbedded. Zero values mean the defaults named here.
type EmbeddedConfig struct {
	Partitions   int   // 4, or what the directory has; may grow, never shrink
	SegmentBytes int64 // 64 MiB: a segment is closed when it is larger; at most MaxBytes/4
	MaxBytes     int64 // 4 GiB: appends beyond this size of the directory are ErrFull
	TailBytes    int64 // 64 MiB: newest records kept in memory for readers in this process; negative: none
	// KeepFreeBytes is the most that is kept free on the disk, so that blocks of the log's records
	// can be written: appends beyond are ErrDiskFull. 0 keeps nothing free, which is right when the
	// blocks lie on another disk.
	KeepFreeBytes int64
	NoSync        bool             // acknowledged records survive the process but not the machine
	Clock         func() time.Time // time.Now: gives records without a time their time
	FS            FS               // the operating system's
}

func (c EmbeddedConfig) withDefaults() EmbeddedConfig {
	c.SegmentBytes = cmp.Or(c.SegmentBytes, 64<<20)
	c.MaxBytes = cmp.Or(c.MaxBytes, 4<<30)
	c.TailBytes = cmp.Or(c.TailBytes, 64<<20)
	c.SegmentBytes = max(min(c.SegmentBytes, c.MaxBytes/4), 4096)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.FS == nil {
		c.FS = osFS{}
	}
	return c
}

// Embedded is the log in segment files of a local directory. One goroutine writes: it takes all
// appends that wait, over all partitions, writes them at once and syncs once. Source:
// docs/adr/0002-embedded-log.md.
type Embedded struct {
	dir   string
	cfg   EmbeddedConfig
	epoch [16]byte
	seed  uint32 // of frame checksums
	lock  *os.File

	queue appendQueue
	files writeState

	mu       sync.RWMutex
	segments []*segment // in order; the last is the active one, which is written to
	parts    []embeddedPartition
	tail     tail
	size     int64 // bytes of all segments
	closed   bool
	failed   error // set once

	opened openReport
}

// appendQueue holds the appends that wait for the writer.
type appendQueue struct {
	mu      sync.Mutex
	calls   []*appendCall
	closing bool          // no more calls are queued
	wakeup  chan struct{} // one token: there are calls, or the log is closing
	written chan struct{} // closed when the writer has ended
}

// writeState is the part of the log that changes with its files. Its lock is held over a whole
// group commit, trim or Close, and is taken before Embedded.mu.
type writeState struct {
	mu       sync.Mutex
	manifest manifest
	commit   uint64 // number of the newest
	// The disk was full when the log was opened, so there is no segment to append to yet.
	needsSegment bool
	group        []byte // the group being written; reused
}

// openReport is what OpenEmbedded found.
type openReport struct {
	cut    *CutTail
	passed []PassedOver
}

type embeddedPartition struct {
	trim    trimMark
	end     int64
	changed chan struct{} // closed and replaced when end or closed changes
}

// CutTail is the part that OpenEmbedded removed from the end of the newest segment: a write that
// was cut off before it was acknowledged.
type CutTail struct {
	File   string
	Offset int64
	Bytes  int64
}

// PassedOver is a damaged part of a file that OpenEmbedded could do without: everything in it is
// below the trim line, and so in blocks, or can be read elsewhere.
type PassedOver struct {
	File   string
	Offset int64
	Bytes  int64 // 0: the whole file
	Reason string
}

// OpenEmbedded opens the log in dir. If there is none, it makes one with a new epoch. It reads and
// checks every byte of the log, in bounded memory. Errors: ErrLocked, ErrCorrupt (a *CorruptError),
// a newer format, fewer partitions than the log has.
func OpenEmbedded(dir string, cfg EmbeddedConfig) (*Embedded, error) {
	cfg = cfg.withDefaults()
	if cfg.Partitions < 0 || cfg.Partitions > maxPartitions {
		return nil, fmt.Errorf("open log %s: %d partitions, want 1 to %d", dir, cfg.Partitions, maxPartitions)
	}
	if err := localdisk.MakeFolders(cfg.FS, dir); err != nil {
		return nil, fmt.Errorf("create log directory %s: %w", dir, err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	l := &Embedded{dir: dir, cfg: cfg, lock: lock}
	l.queue.wakeup, l.queue.written = make(chan struct{}, 1), make(chan struct{})
	if err := l.openFiles(); err != nil {
		l.closeFiles()
		return nil, err
	}
	go l.runWriter()
	return l, nil
}

func (l *Embedded) closeFiles() {
	for _, s := range l.segments {
		s.file.Close()
	}
	l.lock.Close()
}

func (l *Embedded) openFiles() error {
	files, err := l.listSegments()
	if err != nil {
		return err
	}
	m, err := l.openManifest(files)
	if err != nil {
		return err
	}
	l.files.manifest = *m
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
	load := &loader{Embedded: l, damage: make([]*CorruptError, want), startUnknown: make([]bool, want)}
	if err := load.loadSegments(files); err != nil {
		return err
	}
	// The log goes on in a new segment, so that the rest of a torn write can never lie before an
	// acknowledged record of the same file.
	grown := want > m.Partitions
	l.files.manifest.Partitions, l.files.manifest.CleanEnd, l.files.manifest.Ends = want, 0, nil
	if err := l.beginSegment(); err != nil {
		if localdisk.NoSpace(err) && len(l.segments) > 0 && !grown {
			l.files.needsSegment = true // readers and trims go on; the first append tries again
			return nil
		}
		return fmt.Errorf("begin log segment in %s: %w", l.dir, err)
	}
	return l.dropTrimmed()
}

// openManifest reads the manifest. It makes it anew when it is lost or damaged, and makes the first
// one of an empty directory.
func (l *Embedded) openManifest(files []uint64) (*manifest, error) {
	m, err := readManifest(l.cfg.FS, l.dir)
	missing := m == nil && err == nil
	if len(files) > 0 && (missing || errors.Is(err, ErrCorrupt)) {
		return l.remakeManifest(files, err)
	}
	if missing {
		return l.createManifest()
	}
	return m, err
}

func (l *Embedded) createManifest() (*manifest, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("choose log epoch: %w", err)
	}
	n := l.cfg.Partitions
	if n == 0 {
		n = 4
	}
	m := &manifest{
		Format:     formatVersion,
		Epoch:      hex.EncodeToString(id[:]),
		Partitions: n,
		First:      1,
		Trims:      make([]trimMark, n),
	}
	if err := writeManifest(l.cfg.FS, l.dir, m); err != nil {
		return nil, err
	}
	return m, nil
}

// segmentName is the file name of a segment.
func segmentName(seq uint64) string { return fmt.Sprintf("%020d.seg", seq) }

func (l *Embedded) activeSegment() *segment { return l.segments[len(l.segments)-1] }

// beginSegment makes a new active segment. The file is durable, name and all, before the manifest
// lists it, and listed before it is written to. It is called with files.mu held, or while opening.
func (l *Embedded) beginSegment() error {
	next := l.partitionEnds()
	seq := l.files.manifest.Last + 1
	name := filepath.Join(l.dir, segmentName(seq))
	f, err := l.cfg.FS.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_RDWR)
	if err != nil {
		return err
	}
	head := encodeSegmentHeader(l.epoch, seq, l.files.commit, next)
	if _, err = f.WriteAt(head, 0); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = l.cfg.FS.SyncDir(l.dir)
	}
	if err == nil {
		old := l.files.manifest
		l.files.manifest.Last = seq
		l.files.manifest.Trims = l.trimMarks()
		if err = l.saveManifest(); err != nil {
			l.files.manifest = old
		}
	}
	if err != nil {
		// A manifest that lists the segment may have been renamed into place before its error, so
		// the file has to stay. A file that is not listed is removed when the log is opened.
		return errors.Join(err, f.Close())
	}
	s := &segment{
		seq:   seq,
		name:  name,
		file:  f,
		first: next,
		next:  slices.Clone(next),
		size:  int64(len(head)),
		index: make([][]indexEntry, len(next)),
	}
	l.files.needsSegment = false
	l.mu.Lock()
	l.segments = append(l.segments, s)
	l.size += s.size
	l.mu.Unlock()
	return nil
}

// partitionEnds returns the next offset of each partition.
func (l *Embedded) partitionEnds() []int64 {
	out := make([]int64, len(l.parts))
	for p := range l.parts {
		out[p] = l.parts[p].end
	}
	return out
}

// trimMarks returns the start of each partition.
func (l *Embedded) trimMarks() []trimMark {
	t := make([]trimMark, len(l.parts))
	for p := range l.parts {
		t[p] = l.parts[p].trim
	}
	return t
}

// Epoch returns the epoch, which was chosen by chance when the directory's first file was made.
func (l *Embedded) Epoch() string { return hex.EncodeToString(l.epoch[:]) }

// Partitions returns the number of partitions.
func (l *Embedded) Partitions() int { return len(l.parts) }

// Size returns the bytes of all segment files.
func (l *Embedded) Size() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.size
}

// PassedOver returns the damage that was found when the log was opened and that loses nothing.
func (l *Embedded) PassedOver() []PassedOver { return l.opened.passed }

// Cut returns the part that was removed from the end of the log when it was opened, or nil. It was
// never acknowledged.
func (l *Embedded) Cut() *CutTail { return l.opened.cut }

// Bounds returns the oldest offset that can be read, and the next one.
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

// Close ends waiting calls with ErrClosed, finishes the commit under way and releases the
// directory.
func (l *Embedded) Close() error {
	l.queue.mu.Lock()
	if l.queue.closing {
		l.queue.mu.Unlock()
		<-l.queue.written
		return nil
	}
	l.queue.closing = true
	l.queue.mu.Unlock()
	l.wakeWriter()
	<-l.queue.written
	l.files.mu.Lock()
	defer l.files.mu.Unlock()
	l.mu.Lock()
	l.closed = true
	for p := range l.parts {
		close(l.parts[p].changed)
		l.parts[p].changed = make(chan struct{})
	}
	l.mu.Unlock()
	var err error
	if l.failed == nil {
		s := l.activeSegment()
		if l.cfg.NoSync {
			err = s.file.Sync()
		}
		if err == nil {
			l.files.manifest.CleanEnd = s.size // also for a segment to which nothing was appended
			l.files.manifest.Ends = l.partitionEnds()
			err = l.saveManifest()
		}
	}
	l.closeFiles()
	return err
}
