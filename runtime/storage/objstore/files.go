package objstore

import (
	"container/list"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// openFiles is how many files of objects stay open. A small range read from an open file costs a
// fifth of one that opens its file first.
const openFiles = 256

// fileCache keeps the files of the objects that were read last open. It is safe for concurrent use.
type fileCache struct {
	mu    sync.Mutex
	limit int
	at    map[string]*list.Element // of *file, by name
	order *list.List               // last used first
}

// file is an open file of an object.
type file struct {
	*os.File
	name  string
	users int
	gone  bool // no longer in the cache; its last user closes it
}

// isUnlinked reports whether the file has no name any more.
func (f *file) isUnlinked() bool {
	var s unix.Stat_t
	return unix.Fstat(int(f.Fd()), &s) == nil && s.Nlink == 0
}

func newFileCache(limit int) *fileCache {
	return &fileCache{limit: limit, at: map[string]*list.Element{}, order: list.New()}
}

// openFile returns the open file of an object. It calls open if the cache has none. The caller
// calls releaseFile when it has read.
func (c *fileCache) openFile(name string, open func() (*os.File, error)) (*file, error) {
	c.mu.Lock()
	if e := c.at[name]; e != nil {
		defer c.mu.Unlock()
		return c.useFile(e), nil
	}
	c.mu.Unlock()
	f, err := open()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.at[name]; e != nil { // another reader was faster
		f.Close()
		return c.useFile(e), nil
	}
	e := c.order.PushFront(&file{File: f, name: name})
	c.at[name] = e
	kept := c.useFile(e)
	for c.order.Len() > c.limit {
		c.removeFile(c.order.Back())
	}
	return kept, nil
}

// useFile notes a use of a file. It is called with mu held.
func (c *fileCache) useFile(e *list.Element) *file {
	c.order.MoveToFront(e)
	f := e.Value.(*file)
	f.users++
	return f
}

// releaseFile ends the use of a file by one caller.
func (c *fileCache) releaseFile(f *file) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.users--
	if f.users == 0 && f.gone {
		f.Close()
	}
}

// removeFile takes a file out of the cache. It is called with mu held.
func (c *fileCache) removeFile(e *list.Element) {
	f := e.Value.(*file)
	c.order.Remove(e)
	delete(c.at, f.name)
	f.gone = true
	if f.users == 0 {
		f.Close()
	}
}

// forgetFile forgets the file of an object, if there is one.
func (c *fileCache) forgetFile(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.at[name]; e != nil {
		c.removeFile(e)
	}
}

// forgetAll forgets all files.
func (c *fileCache) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.order.Len() > 0 {
		c.removeFile(c.order.Back())
	}
}
