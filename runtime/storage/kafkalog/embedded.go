package kafkalog

import (
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
	// KeepFreeBytes is what is kept free at most on the disk, for blocks of what the log holds:
	// appends beyond are ErrDiskFull. 0: nothing, which is right where the blocks lie on another
	// disk.
	KeepFreeBytes int64
	NoSync        bool             // acknowledged records survive the process but not the machine
	Clock         func() time.Time // time.Now: the time records without one get
	FS            FS               // the operating system's
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

// Embedded is the log in segment files of a local directory. One goroutine writes: it takes all
// appends that wait, over all partitions, writes them at once and syncs once. Source:
// docs/adr/0002-embedded-log.md.
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
	passed   []PassedOver
}

type embeddedPartition struct {
	trim    trimMark
	end     int64
	changed chan struct{} // closed and replaced when end or closed changes
}

// CutTail is what OpenEmbedded removed from the end of the newest segment: a write that was cut off
// before it was acknowledged.
type CutTail struct {
	File   string
	Offset int64
	Bytes  int64
}

// PassedOver is a part of a file that is damaged and that OpenEmbedded did without: all that was
// lost with it is below the trim line, which means that it is in blocks, or the same can be read
// elsewhere.
type PassedOver struct {
	File   string
	Offset int64
	Bytes  int64 // 0: the whole file
	Reason string
}

// OpenEmbedded opens the log in dir and makes it where there is none, with a new epoch. It reads
// and checks every byte of the log, in bounded memory. Errors: ErrLocked, ErrCorrupt (a
// *CorruptError), a newer format, fewer partitions than there are.
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
	if len(files) > 0 && (m == nil && err == nil || errors.Is(err, ErrCorrupt)) {
		m, err = l.remakeManifest(files, err)
	}
	if err != nil {
		return err
	}
	if m == nil {
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
	if err := (&loading{Embedded: l, damage: make([]*CorruptError, want), unplaced: make([]bool, want)}).load(files); err != nil {
		return err
	}
	// The log goes on in a new segment: what a torn write left can then never lie before an
	// acknowledged record in one file.
	l.manifest.Partitions, l.manifest.CleanEnd, l.manifest.Ends = want, 0, nil
	if err := l.roll(); err != nil {
		if localdisk.NoSpace(err) && len(l.segments) > 0 && want == m.Partitions {
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
	return m, nil
}

func segmentName(seq uint64) string { return fmt.Sprintf("%020d.seg", seq) }

func (l *Embedded) active() *segment { return l.segments[len(l.segments)-1] }

// roll begins a new segment. It is durable, name and all, before the manifest lists it, and listed
// before it is written to. Called with ioMu held, or while opening.
func (l *Embedded) roll() error {
	next := l.ends()
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
		// A manifest that lists the segment may have been renamed into place before its error; then
		// the file has to stay. An unlisted file is removed when the log is opened.
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

func (l *Embedded) ends() []int64 {
	out := make([]int64, len(l.parts))
	for p := range l.parts {
		out[p] = l.parts[p].end
	}
	return out
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

// PassedOver returns what was damaged when the log was opened and is not needed.
func (l *Embedded) PassedOver() []PassedOver { return l.passed }

// Cut returns what was removed from the end of the log when it was opened, nil for nothing. It was
// never acknowledged.
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

// Close ends waiting calls with ErrClosed, finishes the commit under way and releases the
// directory.
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
			l.manifest.Ends = l.ends()
			err = l.saveManifest()
		}
	}
	l.release()
	return err
}
