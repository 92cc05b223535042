package kafkalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
)

const manifestName = "log.json"

// manifest is the file log.json: what the log is and which segments it must have. It is replaced whole, by rename.
type manifest struct {
	Format     int        `json:"format"`
	Epoch      string     `json:"epoch"`
	Partitions int        `json:"partitions"`
	First      uint64     `json:"firstSegment"` // older files are left over from a trim
	Last       uint64     `json:"lastSegment"`  // a missing one up to here is a loss; First-1 when there is none yet
	CleanEnd   int64      `json:"cleanEnd"`     // size of the last segment when the log was closed; 0 while it is open
	Trims      []trimMark `json:"trims"`
}

// trimMark is the start of a partition and the checksum of the record before it.
type trimMark struct {
	Start int64  `json:"start"`
	CRC   uint32 `json:"crc"`
}

type manifestFile struct {
	Log json.RawMessage `json:"log"`
	CRC uint32          `json:"crc32c"` // of log
}

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
		return nil, fmt.Errorf("read log manifest %s: format %d is newer than %d, the newest this program knows", name, m.Format, formatVersion)
	}
	if m.Partitions < 1 || m.Partitions > maxPartitions || len(m.Trims) != m.Partitions || m.First < 1 || m.Last+1 < m.First {
		return nil, &CorruptError{File: name, Reason: "the manifest contradicts itself"}
	}
	return &m, nil
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

// saveManifest writes the manifest. On a full disk it gives up the reserve: a trim, which frees space, needs a manifest first.
func (l *Embedded) saveManifest() error {
	err := writeManifest(l.cfg.FS, l.dir, &l.manifest)
	if err != nil && noSpace(err) && l.cfg.FS.Remove(filepath.Join(l.dir, reserveName)) == nil {
		err = writeManifest(l.cfg.FS, l.dir, &l.manifest)
	}
	return err
}

// reserve makes the file that saveManifest gives up, where it is missing. Without space there is none, until the next trim.
func (l *Embedded) reserve() {
	name := filepath.Join(l.dir, reserveName)
	f, err := l.cfg.FS.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR)
	if err != nil {
		return
	}
	_, err = f.WriteAt(make([]byte, reserveBytes), 0)
	if err = errors.Join(err, f.Close()); err != nil {
		l.cfg.FS.Remove(name) // half a reserve is none
	}
}
