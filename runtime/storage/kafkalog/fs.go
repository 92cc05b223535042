package kafkalog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/troupe-tracing/troupe/runtime/storage/localdisk"
)

// FS is the part of a file system that the embedded log uses. Tests put faults behind it.
type FS interface {
	Mkdir(dir string) error // one folder; its parent exists
	ReadDir(dir string) (names []string, err error)
	ReadFile(name string) ([]byte, error)
	OpenFile(name string, flag int) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	SyncDir(dir string) error                        // makes created, renamed and removed names durable
	Space(dir string) (free, total int64, err error) // of the disk of a folder, in bytes
}

// File is an open segment.
type File interface {
	io.ReaderAt
	io.WriterAt
	Size() (int64, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

type osFS struct{ localdisk.Real }

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	s, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return s.Size(), nil
}

func (osFS) ReadDir(dir string) ([]string, error) {
	es, err := os.ReadDir(dir)
	names := make([]string, 0, len(es))
	for _, e := range es {
		names = append(names, e.Name())
	}
	return names, err
}

func (osFS) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }

func (osFS) OpenFile(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, localdisk.FileMode)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) Remove(name string) error     { return os.Remove(name) }

func (osFS) Space(dir string) (free, total int64, err error) { return localdisk.Space(dir) }

// lockDir takes the directory for this process. The lock ends with the process, also by kill -9.
func lockDir(dir string) (*os.File, error) {
	f, err := localdisk.Lock(filepath.Join(dir, "lock"))
	if errors.Is(err, localdisk.ErrLocked) {
		err = ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("lock log directory %s: %w", dir, err)
	}
	return f, nil
}
