package kafkalog

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/troupe-tracing/troupe/runtime/storage/localdisk"
)

const manifestName = "log.json"

// manifest is the content of the file log.json: what the log is, and which segments it must have.
// The file is replaced whole, by a rename.
type manifest struct {
	Format     int    `json:"format"`
	Epoch      string `json:"epoch"`
	Partitions int    `json:"partitions"`
	// The segments [First, Last] must be there. Files before them are left over from a trim. Last
	// is First-1 when there is none yet.
	First    uint64 `json:"firstSegment"`
	Last     uint64 `json:"lastSegment"`
	CleanEnd int64  `json:"cleanEnd"` // size of the last segment when the log was closed; 0 while it is open
	// Ends is, by partition, the next offset when the log was closed, and nil while it is open.
	Ends   []int64    `json:"ends"`
	Bucket string     `json:"bucket"` // identity of the bucket that takes the blocks; empty: not known yet
	Trims  []trimMark `json:"trims"`
}

// trimMark is the start of a partition and the checksum of the record before it.
type trimMark struct {
	Start   int64  `json:"start"`
	CRC     uint32 `json:"crc"`
	Unknown bool   `json:"unknown,omitempty"` // the checksum was lost with a manifest
}

// manifestFile is the manifest with its checksum, as it is stored.
type manifestFile struct {
	Log json.RawMessage `json:"log"`
	CRC uint32          `json:"crc32c"` // of log
}

// readManifest returns nil without an error when there is no manifest.
func readManifest(fsys FS, dir string) (*manifest, error) {
	name := filepath.Join(dir, manifestName)
	b, err := fsys.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read log manifest: %w", err)
	}
	var f manifestFile
	var m manifest
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, &CorruptError{File: name, Reason: err.Error()}
	}
	if crc32.Checksum(f.Log, castagnoli) != f.CRC {
		return nil, &CorruptError{File: name, Reason: "the manifest has another checksum"}
	}
	if err := json.Unmarshal(f.Log, &m); err != nil {
		return nil, &CorruptError{File: name, Reason: err.Error()}
	}
	if m.Format > formatVersion {
		return nil, fmt.Errorf("read log manifest %s: format %d is newer than %d, the newest this program knows",
			name, m.Format, formatVersion)
	}
	partsWrong := m.Partitions < 1 || m.Partitions > maxPartitions || len(m.Trims) != m.Partitions
	if partsWrong || m.First < 1 || m.Last+1 < m.First {
		return nil, &CorruptError{File: name, Reason: "the manifest contradicts itself"}
	}
	return &m, nil
}

// remakeManifest makes a manifest that is missing or damaged anew from the segments. The trim marks
// are forgotten, which only shows records again that are in blocks. Nothing can be known about
// segments that are missing as well. PassedOver tells the cause and the loss.
func (l *Embedded) remakeManifest(files []uint64, cause error) (*manifest, error) {
	name := filepath.Join(l.dir, manifestName)
	bad := &CorruptError{File: name, Reason: fmt.Sprintf("the manifest is missing beside %d segments", len(files))}
	errors.As(cause, &bad)
	m := &manifest{Format: formatVersion, First: files[0], Last: files[len(files)-1]}
	var trims []trimMark
	for _, seq := range files {
		f, err := l.cfg.FS.OpenFile(filepath.Join(l.dir, segmentName(seq)), os.O_RDWR)
		if err != nil {
			return nil, fmt.Errorf("open log segment: %w", err)
		}
		epoch, first, err := peekSegmentHeader(f, segmentName(seq))
		f.Close()
		if errors.Is(err, ErrCorrupt) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if m.Epoch == "" {
			m.Epoch = hex.EncodeToString(epoch[:])
			for _, n := range first {
				trims = append(trims, trimMark{Start: n, Unknown: n > 0})
			}
		}
		m.Partitions = max(m.Partitions, len(first))
	}
	if m.Epoch == "" {
		return nil, bad
	}
	m.Trims = append(trims, make([]trimMark, m.Partitions-len(trims))...)
	l.opened.passed = append(l.opened.passed, PassedOver{
		File:   name,
		Reason: bad.Reason + "; it was made anew from the segments",
	})
	return m, writeManifest(l.cfg.FS, l.dir, m)
}

func writeManifest(fsys FS, dir string, m *manifest) error {
	log, err := json.Marshal(m)
	if err != nil {
		return err
	}
	b, err := json.Marshal(manifestFile{Log: log, CRC: crc32.Checksum(log, castagnoli)})
	if err != nil {
		return err
	}
	name := filepath.Join(dir, manifestName)
	f, err := fsys.OpenFile(name+".tmp", os.O_CREATE|os.O_TRUNC|os.O_RDWR)
	if err != nil {
		return fmt.Errorf("write log manifest: %w", err)
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fsys.Rename(name+".tmp", name)
	}
	if err == nil {
		err = fsys.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("write log manifest: %w", err)
	}
	return nil
}

const (
	reserveName  = "reserve"
	reserveBytes = 256 << 10
)

// saveManifest writes the manifest. On a full disk it gives up the reserve, because a trim, which
// frees space, must write a manifest first.
func (l *Embedded) saveManifest() error {
	err := writeManifest(l.cfg.FS, l.dir, &l.files.manifest)
	if err != nil && localdisk.NoSpace(err) && l.giveUpReserve() {
		err = writeManifest(l.cfg.FS, l.dir, &l.files.manifest)
	}
	return err
}

func (l *Embedded) reserveFile() string { return filepath.Join(l.dir, reserveName) }

// makeReserve makes the file that saveManifest gives up, if it is missing. When there is no space
// for it, the next trim tries again.
func (l *Embedded) makeReserve() {
	name := l.reserveFile()
	f, err := l.cfg.FS.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR)
	if err != nil {
		return
	}
	_, err = f.WriteAt(make([]byte, reserveBytes), 0)
	if err = errors.Join(err, f.Close()); err != nil {
		l.cfg.FS.Remove(name) // half a reserve is none
	}
}

// Bucket returns the identity of the bucket that takes the log's blocks. It is empty until
// SetBucket.
func (l *Embedded) Bucket() string {
	l.files.mu.Lock()
	defer l.files.mu.Unlock()
	return l.files.manifest.Bucket
}

// SetBucket notes the identity of the bucket durably.
func (l *Embedded) SetBucket(id string) error {
	l.files.mu.Lock()
	defer l.files.mu.Unlock()
	old := l.files.manifest.Bucket
	l.files.manifest.Bucket = id
	if err := l.saveManifest(); err != nil {
		l.files.manifest.Bucket = old
		return err
	}
	return nil
}
