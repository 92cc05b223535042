// Package localdisk has the parts of using a local file system that the log and the bucket share:
// folders whose names survive a power cut, locks that end with their process, and the free space.
package localdisk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The modes of all folders and files. Only the node's user may read them, because of what spans may
// hold.
const (
	FolderMode fs.FileMode = 0o700
	FileMode   fs.FileMode = 0o600
)

// ErrLocked means that another process holds a lock.
var ErrLocked = errors.New("it is in use by another process")

// Folders is the part of a file system that MakeFolders needs. Tests record its calls and put
// faults behind them.
type Folders interface {
	Mkdir(dir string) error   // makes one folder; its parent exists
	SyncDir(dir string) error // makes the names in a folder durable
}

// Real is the operating system's file system.
type Real struct{}

// Mkdir makes a folder that only the node's user can enter.
func (Real) Mkdir(dir string) error { return os.Mkdir(dir, FolderMode) }

// SyncDir makes the names in a folder durable.
func (Real) SyncDir(dir string) error { return SyncDir(dir) }

// MakeFolders makes a folder and the missing ones above it, and returns when the names of all of
// them are durable. A folder that exists already may have been made a moment ago by a process that
// ended before it synced the name. So the folders above it are synced as well, as far as the node's
// user may open them.
func MakeFolders(f Folders, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	made, err := makeMissing(f, dir)
	if err != nil {
		return err
	}
	for at := dir; filepath.Dir(at) != at; at = filepath.Dir(at) {
		err := f.SyncDir(filepath.Dir(at))
		if err != nil && (made > 0 || !isSkippable(err)) {
			return fmt.Errorf("sync the folder of %s: %w", at, err)
		}
		made--
	}
	return nil
}

// makeMissing makes the folders that are missing. It returns how many it has made, which are the
// lowest ones.
func makeMissing(f Folders, dir string) (made int, err error) {
	s, err := os.Stat(dir)
	switch {
	case err == nil && s.IsDir():
		return 0, nil
	case err == nil:
		return 0, &fs.PathError{Op: "mkdir", Path: dir, Err: unix.ENOTDIR}
	case !errors.Is(err, fs.ErrNotExist):
		return 0, err
	}
	if parent := filepath.Dir(dir); parent != dir {
		if made, err = makeMissing(f, parent); err != nil {
			return 0, err
		}
	}
	if err := f.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return 0, err
	}
	return made + 1, nil
}

// isSkippable reports whether a folder could not be synced because it belongs to somebody else or
// its file system cannot sync folders. Other errors are those of a disk that fails.
func isSkippable(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EROFS)
}

// SyncDir makes created, renamed and removed names in a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Lock takes a lock file for this process, and makes the file if it is missing. The lock ends with
// the process, however that ends, or when the file is closed. Error: ErrLocked.
func Lock(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, FileMode)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, err
	}
	return f, nil
}

// Space returns how many bytes the node's user may still use on the disk of a folder, and the size
// of the disk.
func Space(dir string) (free, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("ask for the free space of %s: %w", dir, err)
	}
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize), nil
}

// SameDisk reports whether two folders lie on one file system.
func SameDisk(a, b string) (bool, error) {
	var x, y unix.Stat_t
	if err := unix.Stat(a, &x); err != nil {
		return false, fmt.Errorf("find the disk of %s: %w", a, err)
	}
	if err := unix.Stat(b, &y); err != nil {
		return false, fmt.Errorf("find the disk of %s: %w", b, err)
	}
	return x.Dev == y.Dev, nil
}

// NoSpace reports whether the error is that of a full disk, which heals, unlike a broken one.
func NoSpace(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
