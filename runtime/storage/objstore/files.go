package objstore

import (
	"container/list"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// openFiles is how many files of objects stay open: a small range read costs a fifth of one that
// opens its file first.
const openFiles = 256

// files keeps the objects read last open. An object that another process deletes is gone at its
// next read.
type files struct {
	mu    sync.Mutex
	limit int
	at    map[string]*list.Element // of *file, by name
	order *list.List               // last used first
}

type file struct {
	*os.File
	name  string
	users int
	gone  bool // out of the list; closed by its last user
}

// unlinked reports whether the file has no name any more.
func (f *file) unlinked() bool {
	var s unix.Stat_t
	return unix.Fstat(int(f.Fd()), &s) == nil && s.Nlink == 0
}

func newFiles(limit int) *files {
	return &files{limit: limit, at: map[string]*list.Element{}, order: list.New()}
}

// get returns an open file, opened by open where it is not kept. put follows.
func (c *files) get(name string, open func() (*os.File, error)) (*file, error) {
	c.mu.Lock()
	if e := c.at[name]; e != nil {
		defer c.mu.Unlock()
		return c.use(e), nil
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
		return c.use(e), nil
	}
	e := c.order.PushFront(&file{File: f, name: name})
	c.at[name] = e
	kept := c.use(e)
	for c.order.Len() > c.limit {
		c.remove(c.order.Back())
	}
	return kept, nil
}

func (c *files) use(e *list.Element) *file {
	c.order.MoveToFront(e)
	f := e.Value.(*file)
	f.users++
	return f
}

func (c *files) put(f *file) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.users--; f.users == 0 && f.gone {
		f.Close()
	}
}

func (c *files) remove(e *list.Element) {
	f := e.Value.(*file)
	c.order.Remove(e)
	delete(c.at, f.name)
	if f.gone = true; f.users == 0 {
		f.Close()
	}
}

// drop forgets an object.
func (c *files) drop(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.at[name]; e != nil {
		c.remove(e)
	}
}

// clear forgets all.
func (c *files) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.order.Len() > 0 {
		c.remove(c.order.Back())
	}
}
