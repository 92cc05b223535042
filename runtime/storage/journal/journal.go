// Package journal keeps a sequence of entries in a bucket, one object for each, and snapshots of
// the state that they lead to.
//
// Entry n is the object <prefix>n, and a snapshot of the state after entry n is <prefix>snapshot/n,
// both with 20 digits. Because a bucket creates an object only once, the second of two writers of
// one number gets ErrTaken. There is no other lock.
package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// The errors of a journal.
var (
	// ErrTaken means that another writer has written this sequence number, or a later one.
	ErrTaken = errors.New("sequence number is taken")
	// ErrCorrupt means that an entry is damaged or missing. The state after it cannot be known.
	ErrCorrupt = errors.New("journal is corrupt")
	// ErrTooLarge means that an entry or a snapshot is too large to be read again. Nothing was
	// written.
	ErrTooLarge = errors.New("too large for the journal")
)

// maxObject bounds an object of the journal, when it is written and when it is read.
const maxObject = 1 << 30

// keptSnapshots is how many snapshots stay, with the entries after the oldest of them. A reader
// that has found a snapshot also finds the entries after it, and when it is damaged, the one before
// it takes its place.
const keptSnapshots = 2

// Journal is a sequence of entries 1, 2, … in a bucket. It is safe for concurrent use.
type Journal struct {
	bucket        objstore.Bucket
	prefix        string
	partBytes     int   // a larger snapshot is written in parts of this size
	snapshotBytes int64 // largest snapshot
}

// New makes a Journal of the objects below prefix, such as "catalog/".
func New(b objstore.Bucket, prefix string) *Journal {
	return &Journal{bucket: b, prefix: prefix, partBytes: partBytes, snapshotBytes: maxSnapshot}
}

// Loaded is the content of a journal: the newest snapshot and the entries after it.
type Loaded struct {
	Snapshot    []byte // nil: none
	SnapshotSeq uint64
	Entries     [][]byte // SnapshotSeq+1 … Last
	Last        uint64   // 0: there is no journal
	Damaged     []string // snapshots that could not be read and are not needed
}

func (j *Journal) entryName(seq uint64) string { return fmt.Sprintf("%s%020d", j.prefix, seq) }

func (j *Journal) snapshotName(seq uint64) string {
	return fmt.Sprintf("%ssnapshot/%020d", j.prefix, seq)
}

// errMoved means that entries were removed while they were being read.
var errMoved = errors.New("journal moved on")

// Load reads the journal. It passes over a snapshot that is damaged or missing if all entries since
// the one before it are there. ErrCorrupt names the entry that is damaged or missing.
func (j *Journal) Load(ctx context.Context) (Loaded, error) {
	for range 3 {
		l, err := j.loadOnce(ctx)
		if !errors.Is(err, errMoved) {
			return l, err
		}
	}
	return Loaded{}, fmt.Errorf("load journal %s: entries go while they are read: %w", j.prefix, ErrCorrupt)
}

func (j *Journal) loadOnce(ctx context.Context) (l Loaded, err error) {
	snapshots, err := j.listNumbers(ctx, j.prefix+"snapshot/")
	if err != nil {
		return l, err
	}
	for i := len(snapshots) - 1; i >= 0 && l.Snapshot == nil; i-- {
		s, err := j.readSnapshot(ctx, snapshots[i])
		switch {
		case err == nil:
			l.Snapshot, l.SnapshotSeq, l.Last = s.data, snapshots[i], snapshots[i]
		case isLost(err):
			l.Damaged = append(l.Damaged, err.Error())
		default:
			return l, err
		}
	}
	entries, err := j.listNumbers(ctx, j.prefix)
	if err != nil {
		return l, err
	}
	after := slices.DeleteFunc(entries, func(seq uint64) bool { return seq <= l.SnapshotSeq })
	read := j.readEntries(ctx, after)
	for i, seq := range after {
		if seq != l.Last+1 || errors.Is(read[i].err, objstore.ErrNotFound) {
			return l, j.explainMissing(ctx, l, seq)
		}
		if err := read[i].err; errors.Is(err, objstore.ErrTooLarge) {
			return l, fmt.Errorf("%w: %w", err, ErrCorrupt)
		} else if err != nil {
			return l, err
		}
		l.Entries = append(l.Entries, read[i].data)
		l.Last = seq
	}
	if l.Last == 0 && len(l.Damaged) > 0 {
		return l, fmt.Errorf("load journal %s: no snapshot is whole and no entry is there: %w: %s",
			j.prefix, ErrCorrupt, strings.Join(l.Damaged, "; "))
	}
	return l, j.settleNewest(ctx, l)
}

// entriesAtOnce bounds how many entries are read at the same time.
const entriesAtOnce = 16

// readEntry is what came of reading an entry.
type readEntry struct {
	data []byte
	err  error
}

// readEntries reads entries at the same time.
func (j *Journal) readEntries(ctx context.Context, list []uint64) []readEntry {
	out := make([]readEntry, len(list))
	var g errgroup.Group
	g.SetLimit(entriesAtOnce)
	for i, seq := range list {
		g.Go(func() error {
			out[i].data, out[i].err = j.readObject(ctx, j.entryName(seq))
			return nil
		})
	}
	_ = g.Wait() // each entry has its own error
	return out
}

// settleNewest makes the newest object durable, because the reader relies on it, and its writer may
// have ended or failed before it was durable. All older ones were acknowledged before it was begun.
func (j *Journal) settleNewest(ctx context.Context, l Loaded) error {
	if l.Last == 0 {
		return nil
	}
	newest := j.entryName(l.Last)
	if l.Last == l.SnapshotSeq {
		newest = j.snapshotName(l.Last)
	}
	return objstore.Settle(ctx, j.bucket, newest)
}

// explainMissing returns the error of a missing entry: errMoved if a newer snapshot has made it
// needless meanwhile, otherwise ErrCorrupt. found is the entry that follows.
func (j *Journal) explainMissing(ctx context.Context, l Loaded, found uint64) error {
	newer, err := j.hasSnapshotOf(ctx, l.Last+1)
	if err != nil {
		return err
	}
	if newer && len(l.Damaged) == 0 {
		return errMoved
	}
	err = fmt.Errorf("load journal %s: entry %d is missing before entry %d: %w", j.prefix, l.Last+1, found, ErrCorrupt)
	if len(l.Damaged) > 0 {
		err = fmt.Errorf("%w; %s", err, strings.Join(l.Damaged, "; "))
	}
	return err
}

// hasSnapshotOf reports whether there is a snapshot of entry seq or a later one.
func (j *Journal) hasSnapshotOf(ctx context.Context, seq uint64) (bool, error) {
	snapshots, err := j.listNumbers(ctx, j.prefix+"snapshot/")
	return len(snapshots) > 0 && snapshots[len(snapshots)-1] >= seq, err
}

// listNumbers lists the numbers directly below a prefix, ascending. Other names are not ours.
func (j *Journal) listNumbers(ctx context.Context, prefix string) (out []uint64, err error) {
	err = j.bucket.List(ctx, prefix, func(o objstore.Info) error {
		digits := o.Name[len(prefix):]
		if seq, err := strconv.ParseUint(digits, 10, 64); err == nil && len(digits) == 20 && seq > 0 {
			out = append(out, seq)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list journal %s: %w", prefix, err)
	}
	return out, nil
}

// Append makes entry seq durable, or returns ErrTaken. After any other error the entry may or may
// not exist, which only Load tells.
func (j *Journal) Append(ctx context.Context, seq uint64, data []byte) error {
	if err := j.createObject(ctx, j.entryName(seq), data); err != nil {
		return err
	}
	// The number is also free when its entry was removed behind a snapshot, while this writer was
	// asleep.
	switch newer, err := j.hasSnapshotOf(ctx, seq); {
	case err != nil:
		return err
	case newer:
		return fmt.Errorf("create %s: a snapshot covers it: %w", j.entryName(seq), ErrTaken)
	}
	return nil
}

// magic begins an object, followed by the checksum of the data, and the data.
const magic = "trj1"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encodeObject(data []byte) []byte { return encodeAs(magic, data) }

func encodeAs(magic string, data []byte) []byte {
	b := make([]byte, 0, len(magic)+4+len(data))
	b = binary.LittleEndian.AppendUint32(append(b, magic...), crc32.Checksum(data, castagnoli))
	return append(b, data...)
}

func decodeObject(b []byte) ([]byte, error) { return decodeAs(magic, b) }

func decodeAs(magic string, b []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(b, []byte(magic))
	if !ok || len(rest) < 4 {
		return nil, fmt.Errorf("it has %d bytes and does not begin with %q: %w", len(b), magic, ErrCorrupt)
	}
	data := rest[4:]
	if want, got := binary.LittleEndian.Uint32(rest), crc32.Checksum(data, castagnoli); want != got {
		return nil, fmt.Errorf("checksum of %d bytes is %08x, want %08x: %w", len(data), got, want, ErrCorrupt)
	}
	return data, nil
}

// createObject encodes the data and creates an object.
func (j *Journal) createObject(ctx context.Context, name string, data []byte) error {
	if n := len(magic) + 4 + len(data); n > maxObject {
		return fmt.Errorf("create %s of %d bytes, limit %d: %w", name, n, maxObject, ErrTooLarge)
	}
	return j.createRaw(ctx, name, encodeObject(data))
}

// createRaw creates an object, or returns ErrTaken.
func (j *Journal) createRaw(ctx context.Context, name string, raw []byte) error {
	_, err := j.bucket.Create(ctx, name, bytes.NewReader(raw))
	if errors.Is(err, objstore.ErrExists) {
		return fmt.Errorf("create %s: %w", name, ErrTaken)
	}
	return err
}

// readObject returns the data of an object.
func (j *Journal) readObject(ctx context.Context, name string) ([]byte, error) {
	b, err := j.bucket.Read(ctx, name, maxObject)
	if err != nil {
		return nil, err
	}
	data, err := decodeObject(b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}
