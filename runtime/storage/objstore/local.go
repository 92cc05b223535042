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

	"github.com/troupe-tracing/troupe/runtime/storage/localdisk"
)

// Local is a bucket in a folder of this machine. An object is a file of its name. Several processes
// may use one folder, but only one node, which claims it.
//
// An object is written to a file of another name, synced, and linked to its own name, which only
// one writer can do. It is acknowledged when all folders above it are synced.
type Local struct {
	root     string
	tmp      string   // folder of our unfinished objects; empty: the bucket is only read
	lock     *os.File // held while tmp is in use
	claim    *os.File // held by a node; nil: not claimed
	files    *fileCache
	syscalls fileCalls
}

// fileCalls are the system calls by which an object becomes durable. Tests put faults behind them.
type fileCalls struct {
	write   func(f *os.File, b []byte) (int, error)
	sync    func(f *os.File) error
	link    func(from, to string) error
	syncDir func(dir string) error
}

// The names below the root that are the bucket's own: the folder of objects that are being written,
// and the lock of a node.
const (
	unfinished = "+unfinished"
	claimName  = "+lock"
)

// Mkdir and SyncDir make calls the file system of localdisk.MakeFolders.
func (c fileCalls) Mkdir(dir string) error   { return localdisk.Real{}.Mkdir(dir) }
func (c fileCalls) SyncDir(dir string) error { return c.syncDir(dir) }

// ErrReadOnly is returned by the changing methods of a bucket that ViewLocal has opened.
var ErrReadOnly = errors.New("the bucket was opened to be read only")

// ErrNoBucket is the error of a folder that holds no bucket.
var ErrNoBucket = errors.New("this is not the folder of a bucket")

// OpenLocal opens the bucket in the folder root, and makes the folder if it is missing. It removes
// the unfinished objects of processes that have ended. A symbolic link to a folder below the root
// is an error, because objects in it would be found by name and in no list.
func OpenLocal(root string) (*Local, error) {
	l, err := newLocal(root)
	if err != nil {
		return nil, err
	}
	if err := localdisk.MakeFolders(l.syscalls, filepath.Join(l.root, unfinished)); err != nil {
		return nil, fmt.Errorf("open bucket: %w", explainError(err))
	}
	if err := l.refuseLinks(); err != nil {
		return nil, fmt.Errorf("open bucket: %w", explainError(err))
	}
	if err := l.beginUnfinished(); err != nil {
		return nil, fmt.Errorf("open bucket: %w", explainError(err))
	}
	l.sweepUnfinished()
	return l, nil
}

// ViewLocal opens the bucket in the folder root for reading, and changes nothing there. It returns
// ErrNoBucket for a folder that is missing or holds no objects of a bucket.
func ViewLocal(root string) (*Local, error) {
	l, err := newLocal(root)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(l.root)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
		return nil, fmt.Errorf("open bucket %s: %w: there is no such folder", root, ErrNoBucket)
	case err != nil:
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	for _, e := range entries {
		switch e.Name() {
		case unfinished, identityName, "catalog": // a copy may have no more than the last
			return l, nil
		}
	}
	return nil, fmt.Errorf("open bucket %s: %w: no node has written to it", root, ErrNoBucket)
}

// ViewFolder opens any folder for reading, as if it were a bucket: that of another program, or a
// copy.
func ViewFolder(root string) (*Local, error) {
	l, err := newLocal(root)
	if err != nil {
		return nil, err
	}
	if s, err := os.Stat(l.root); err != nil || !s.IsDir() {
		return nil, fmt.Errorf("open %s: %w: there is no such folder", root, ErrNoBucket)
	}
	return l, nil
}

func newLocal(root string) (*Local, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", root, err)
	}
	return &Local{
		root:  abs,
		files: newFileCache(openFiles),
		syscalls: fileCalls{
			write:   (*os.File).Write,
			sync:    (*os.File).Sync,
			link:    os.Link,
			syncDir: localdisk.SyncDir,
		},
	}, nil
}

// refuseLinks looks for symbolic links among the folders of the catalog, the tenants and their
// blocks.
func (l *Local) refuseLinks() error {
	return l.refuseLinksIn(l.root, 2)
}

func (l *Local) refuseLinksIn(dir string, depth int) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) && dir != l.root {
		return nil // gone meanwhile
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if e.Type()&fs.ModeSymlink != 0 {
			if s, err := os.Stat(name); err != nil || s.IsDir() {
				return fmt.Errorf("%s is a symbolic link, and objects in it would be in no list: "+
					"mount what it points to there, or move its files", name)
			}
		}
		if e.IsDir() && depth > 1 && e.Name() != unfinished {
			if err := l.refuseLinksIn(name, depth-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// Claim takes the bucket for the node of this process, until Close or the end of the process. Two
// nodes with one bucket but two logs would undo each other's catalog. Error: localdisk.ErrLocked.
func (l *Local) Claim() (err error) {
	if l.claim, err = localdisk.Lock(filepath.Join(l.root, claimName)); err != nil {
		return fmt.Errorf("lock bucket %s: %w", l.root, explainError(err))
	}
	return nil
}

// beginUnfinished makes and locks a folder of our own for unfinished objects. The lock ends with
// the process, however it ends.
func (l *Local) beginUnfinished() error {
	for {
		dir := filepath.Join(l.root, unfinished, rand.Text())
		if err := os.Mkdir(dir, localdisk.FolderMode); err != nil {
			return err
		}
		f, free := tryLock(dir)
		if free {
			l.tmp, l.lock = dir, f
			return nil
		}
		if _, err := os.Stat(dir); err == nil { // only a sweep could hold the lock, and it removes dir
			return fmt.Errorf("lock %s: locks do not work on this file system", dir)
		}
	}
}

// tryLock locks a folder. free is false when another process has it, or has removed it meanwhile.
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

// sweepUnfinished removes the unfinished objects of processes that have ended.
func (l *Local) sweepUnfinished() {
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

// Close ends the use of the folder for unfinished objects. The bucket must not be used afterwards.
func (l *Local) Close() error {
	l.files.forgetAll()
	var err error
	if l.tmp != "" {
		err = errors.Join(os.RemoveAll(l.tmp), l.lock.Close())
	}
	if l.claim != nil {
		err = errors.Join(err, l.claim.Close())
	}
	return err
}

func (l *Local) pathOf(name string) string { return filepath.Join(l.root, filepath.FromSlash(name)) }

func (l *Local) Create(ctx context.Context, name string, r io.Reader) (int64, error) {
	if err := checkCall(ctx, "create", name); err != nil {
		return 0, err
	}
	if l.tmp == "" {
		return 0, fmt.Errorf("create object %s: %w", name, ErrReadOnly)
	}
	n, err := l.createFile(ctx, name, r)
	if err != nil {
		return 0, fmt.Errorf("create object %s: %w", name, explainError(err))
	}
	return n, nil
}

func (l *Local) createFile(ctx context.Context, name string, r io.Reader) (n int64, err error) {
	path := l.pathOf(name)
	if _, err := os.Lstat(path); err == nil { // saves the writing; otherwise the link decides
		return 0, l.settleExisting(path)
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
	n, err = copyTo(ctx, writerFunc(func(b []byte) (int, error) { return l.syscalls.write(f, b) }), r)
	if err == nil {
		err = l.syscalls.sync(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	switch err := l.linkFile(f.Name(), path); {
	case errors.Is(err, ErrExists):
		return 0, l.settleExisting(path)
	case err != nil:
		return 0, err
	}
	return n, l.syncTo(filepath.Dir(path))
}

// settleExisting makes the object that has the name durable and returns ErrExists. Its writer may
// have ended between the link and the sync, and the caller relies on the object after ErrExists.
func (l *Local) settleExisting(path string) error {
	if err := l.syncTo(filepath.Dir(path)); err != nil {
		return err
	}
	return ErrExists
}

// Settle makes the name of an object durable that was found although its Create may not have been
// acknowledged. The object's bytes were synced before it had the name.
func (l *Local) Settle(ctx context.Context, name string) error {
	if err := checkCall(ctx, "settle", name); err != nil || l.tmp == "" {
		return err
	}
	if err := l.syncTo(filepath.Dir(l.pathOf(name))); err != nil {
		return fmt.Errorf("settle object %s: %w", name, explainError(err))
	}
	return nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// linkFile gives a finished file its name. It makes a folder again that a Delete removes meanwhile.
func (l *Local) linkFile(from, to string) error {
	for {
		if err := os.MkdirAll(filepath.Dir(to), localdisk.FolderMode); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		err := l.syscalls.link(from, to)
		switch {
		case errors.Is(err, fs.ErrExist):
			return ErrExists
		case errors.Is(err, fs.ErrNotExist):
			if _, err := os.Lstat(from); err != nil {
				return err // the file is missing, not the folder
			}
		default:
			return err
		}
	}
}

// syncTo makes the names in a folder, and those of the folders above it, durable. Another call or
// process may have made a folder and not synced it yet, so all are synced. A folder that has not
// changed costs little.
func (l *Local) syncTo(dir string) error {
	for {
		if err := l.syscalls.syncDir(dir); err != nil {
			return err
		}
		if dir == l.root {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

func (l *Local) openObject(ctx context.Context, name string) (*os.File, error) {
	if err := checkCall(ctx, "read", name); err != nil {
		return nil, err
	}
	f, err := os.Open(l.pathOf(name))
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
		return nil, fmt.Errorf("read object %s: %w", name, ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("read object %s: %w", name, err)
	}
	return f, nil
}

func (l *Local) Read(ctx context.Context, name string, maxBytes int64) ([]byte, error) {
	f, err := l.openObject(ctx, name)
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
	if s.Size() > maxBytes {
		return nil, tooLarge(name, s.Size(), maxBytes)
	}
	b := make([]byte, s.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("read object %s: %w", name, err)
	}
	return b, nil
}

func (l *Local) ReadRange(ctx context.Context, name string, off int64, buf []byte) (int, error) {
	f, err := l.files.openFile(name, func() (*os.File, error) { return l.openObject(ctx, name) })
	if err != nil {
		return 0, err
	}
	defer l.files.releaseFile(f)
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("read object %s: %w", name, err)
	}
	if f.isUnlinked() { // by another process; our own Delete would have forgotten the file
		l.files.forgetFile(name)
		return 0, fmt.Errorf("read object %s: %w", name, ErrNotFound)
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
	return l.listFolder(ctx, "", prefix, f)
}

// listFolder lists the objects below the folder dir, which is empty or ends with a slash.
func (l *Local) listFolder(ctx context.Context, dir, prefix string, f func(Info) error) error {
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
		names[i] = dir + e.Name()
		if e.IsDir() {
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
				if err := l.listFolder(ctx, name, prefix, f); err != nil {
					return err
				}
			}
			continue
		}
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		s, err := os.Lstat(l.pathOf(name))
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
	if err := checkCall(ctx, "delete", name); err != nil {
		return err
	}
	if l.tmp == "" {
		return fmt.Errorf("delete object %s: %w", name, ErrReadOnly)
	}
	path := l.pathOf(name)
	l.files.forgetFile(name)
	err := unix.Unlink(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EISDIR) {
		return nil
	}
	for dir := filepath.Dir(path); err == nil; dir = filepath.Dir(dir) {
		if dir == l.root || os.Remove(dir) != nil { // a folder that is not empty stays
			err = l.syscalls.syncDir(dir)
			break
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete object %s: %w", name, err)
	}
	return nil
}

// explainError adds the cause that an operator can act on to an error.
func explainError(err error) error {
	switch {
	case localdisk.NoSpace(err):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS):
		return fmt.Errorf("not writable by user %d: %w", os.Getuid(), err)
	}
	return err
}
