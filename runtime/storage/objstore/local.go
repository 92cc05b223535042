package objstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Local is a bucket in a folder of this machine: an object is a file of its name. Several processes may use one folder.
//
// An object is written to a file of another name, synced, linked to its own name, which only one writer can, and acknowledged when all folders
// above it are synced.
type Local struct {
	root  string
	tmp   string   // files of objects not yet finished; only ours
	lock  *os.File // held while tmp is in use
	files *files
	calls calls
}

// calls are the system calls by which an object becomes durable. Tests put faults behind them.
type calls struct {
	write   func(f *os.File, b []byte) (int, error)
	sync    func(f *os.File) error
	link    func(from, to string) error
	syncDir func(dir string) error
}

// unfinished is the folder below the root for objects that are being written.
const unfinished = "+unfinished"

// OpenLocal opens the bucket in the folder root, which is made where it is not there. What ended processes left unfinished is removed.
func OpenLocal(root string) (*Local, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", root, err)
	}
	l := &Local{root: root, files: newFiles(openFiles), calls: calls{write: (*os.File).Write, sync: (*os.File).Sync, link: os.Link, syncDir: syncDir}}
	if err := l.makeRoot(filepath.Join(root, unfinished)); err != nil {
		return nil, fmt.Errorf("open bucket: %w", cause(err))
	}
	if err := l.begin(); err != nil {
		return nil, fmt.Errorf("open bucket: %w", cause(err))
	}
	l.sweep()
	return l, nil
}

// makeRoot makes a folder and those above it, each durable in its parent.
func (l *Local) makeRoot(dir string) error {
	if s, err := os.Stat(dir); err == nil && s.IsDir() {
		return nil
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := l.makeRoot(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return l.calls.syncDir(filepath.Dir(dir))
}

// begin makes and locks a folder of our own for unfinished objects. The lock ends with the process, however it ends.
func (l *Local) begin() error {
	for {
		dir := filepath.Join(l.root, unfinished, rand.Text())
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		f, free := tryLock(dir)
		if free {
			l.tmp, l.lock = dir, f
			return nil
		}
		if _, err := os.Stat(dir); err == nil { // nobody but a sweep may hold it, and that removes it
			return fmt.Errorf("lock %s: locks do not work on this file system", dir)
		}
	}
}

// tryLock locks a folder. It is not free when another process has it or has removed it meanwhile.
func tryLock(dir string) (f *os.File, free bool) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, false
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		held, err1 := f.Stat()
		named, err2 := os.Stat(dir)
		if err1 == nil && err2 == nil && os.SameFile(held, named) {
			return f, true
		}
	}
	f.Close()
	return nil, false
}

// sweep removes the unfinished objects of processes that have ended.
func (l *Local) sweep() {
	dirs, _ := os.ReadDir(filepath.Join(l.root, unfinished))
	for _, d := range dirs {
		dir := filepath.Join(l.root, unfinished, d.Name())
		if dir == l.tmp {
			continue
		}
		if f, free := tryLock(dir); free {
			os.RemoveAll(dir)
			f.Close()
		}
	}
}

// Close ends the use of the folder for unfinished objects; the bucket must not be used after.
func (l *Local) Close() error {
	l.files.clear()
	return errors.Join(os.RemoveAll(l.tmp), l.lock.Close())
}

func (l *Local) path(name string) string { return filepath.Join(l.root, filepath.FromSlash(name)) }

func (l *Local) Create(ctx context.Context, name string, r io.Reader) (int64, error) {
	if err := check(ctx, "create", name); err != nil {
		return 0, err
	}
	n, err := l.create(ctx, name, r)
	if err != nil {
		return 0, fmt.Errorf("create object %s: %w", name, cause(err))
	}
	return n, nil
}

func (l *Local) create(ctx context.Context, name string, r io.Reader) (n int64, err error) {
	path := l.path(name)
	if _, err := os.Lstat(path); err == nil { // spares the writing; the link decides
		return 0, ErrExists
	}
	f, err := os.CreateTemp(l.tmp, "")
	if err != nil {
		return 0, err
	}
	defer func() {
		if e := os.Remove(f.Name()); err == nil && e != nil {
			err = e
		}
	}()
	n, err = copyTo(ctx, writerFunc(func(b []byte) (int, error) { return l.calls.write(f, b) }), r)
	if err == nil {
		err = l.calls.sync(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	if err := l.link(f.Name(), path); err != nil {
		return 0, err
	}
	return n, l.syncTo(filepath.Dir(path))
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// link gives a finished file its name. A folder that a Delete removes meanwhile is made again.
func (l *Local) link(from, to string) error {
	for {
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		err := l.calls.link(from, to)
		switch {
		case errors.Is(err, fs.ErrExist):
			return ErrExists
		case errors.Is(err, fs.ErrNotExist):
			if _, err := os.Lstat(from); err != nil {
				return err // it is not the folder that is missing
			}
		default:
			return err
		}
	}
}

// syncTo makes the names in a folder, and those of the folders above it, durable. Whether another call or process has made a folder and not synced it yet
// cannot be known, so all are synced; one that has not changed costs little.
func (l *Local) syncTo(dir string) error {
	for {
		if err := l.calls.syncDir(dir); err != nil {
			return err
		}
		if dir == l.root {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (l *Local) open(ctx context.Context, name string) (*os.File, error) {
	if err := check(ctx, "read", name); err != nil {
		return nil, err
	}
	f, err := os.Open(l.path(name))
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
		return nil, fmt.Errorf("read object %s: %w", name, ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("read object %s: %w", name, err)
	}
	return f, nil
}

func (l *Local) Read(ctx context.Context, name string, max int64) ([]byte, error) {
	f, err := l.open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s, err := f.Stat()
	if err == nil && s.IsDir() {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read object %s: %w", name, err)
	}
	if s.Size() > max {
		return nil, tooLarge(name, s.Size(), max)
	}
	b := make([]byte, s.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("read object %s: %w", name, err)
	}
	return b, nil
}

func (l *Local) ReadRange(ctx context.Context, name string, off int64, buf []byte) (int, error) {
	f, err := l.files.get(name, func() (*os.File, error) { return l.open(ctx, name) })
	if err != nil {
		return 0, err
	}
	defer l.files.put(f)
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("read object %s: %w", name, err)
	}
	n, err := f.ReadAt(buf, off)
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return n, nil
	case errors.Is(err, unix.EISDIR):
		err = ErrNotFound
	}
	return 0, fmt.Errorf("read object %s at %d: %w", name, off, err)
}

func (l *Local) List(ctx context.Context, prefix string, f func(Info) error) error {
	return l.list(ctx, "", prefix, f)
}

// list visits the folder dir, which is empty or ends with a slash.
func (l *Local) list(ctx context.Context, dir, prefix string, f func(Info) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(l.root, filepath.FromSlash(dir)))
	if errors.Is(err, fs.ErrNotExist) && dir != "" {
		return nil // gone meanwhile
	}
	if err != nil {
		return fmt.Errorf("list objects %s: %w", dir, err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		if names[i] = dir + e.Name(); e.IsDir() {
			names[i] += "/" // so that the order is that of the whole names
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if dir == "" && strings.HasPrefix(name, "+") {
			continue
		}
		if strings.HasSuffix(name, "/") {
			if strings.HasPrefix(name, prefix) || strings.HasPrefix(prefix, name) {
				if err := l.list(ctx, name, prefix, f); err != nil {
					return err
				}
			}
			continue
		}
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		s, err := os.Lstat(l.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("list objects: %w", err)
		}
		if !s.Mode().IsRegular() || CheckName(name) != nil {
			continue // not ours
		}
		if err := f(Info{Name: name, Size: s.Size()}); err != nil {
			return err
		}
	}
	return nil
}

func (l *Local) Delete(ctx context.Context, name string) error {
	if err := check(ctx, "delete", name); err != nil {
		return err
	}
	path := l.path(name)
	l.files.drop(name)
	err := unix.Unlink(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EISDIR) {
		return nil
	}
	for dir := filepath.Dir(path); err == nil; dir = filepath.Dir(dir) {
		if dir == l.root || os.Remove(dir) != nil { // a folder that still holds something stays
			err = l.calls.syncDir(dir)
			break
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete object %s: %w", name, err)
	}
	return nil
}

// cause makes what an operator can act on a part of the error.
func cause(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS):
		return fmt.Errorf("not writable by user %d: %w", os.Getuid(), err)
	}
	return err
}
