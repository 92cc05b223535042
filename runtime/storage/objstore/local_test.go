package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/troupe-tracing/troupe/runtime/storage/localdisk"
)

// An object is acknowledged only when its bytes, its name, and the names of all folders above it
// are durable, in this order.
func TestLocalOrder(t *testing.T) {
	root := t.TempDir()
	l := openLocal(t, root)
	var did []string
	real := l.syscalls
	l.syscalls = fileCalls{
		write: func(f *os.File, b []byte) (int, error) { did = append(did, "write"); return real.write(f, b) },
		sync:  func(f *os.File) error { did = append(did, "sync"); return real.sync(f) },
		link: func(from, to string) error {
			did = append(did, "link "+filepath.Base(to))
			return real.link(from, to)
		},
		syncDir: func(dir string) error {
			rel, err := filepath.Rel(root, dir)
			require.NoError(t, err)
			did = append(did, "sync "+rel)
			return real.syncDir(dir)
		},
	}
	put(t, l, "tenant/block/meta.json", "{}")
	want := []string{"write", "sync", "link meta.json", "sync tenant/block", "sync tenant", "sync ."}
	require.Equal(t, want, did)
	did = nil
	require.NoError(t, l.Delete(t.Context(), "tenant/block/meta.json"))
	require.Equal(t, []string{"sync ."}, did, "folders that became empty went too")
}

// Whatever of the writing fails, the error says what, nothing stays, and the name is free for
// another try.
func TestLocalFaults(t *testing.T) {
	for _, c := range []struct {
		what  string
		fail  func(c *fileCalls, err error)
		err   error
		is    error
		stays bool // the object may be there: what failed came after its link
	}{
		{"a full disk", func(c *fileCalls, err error) { c.write = func(*os.File, []byte) (int, error) { return 0, err } }, unix.ENOSPC, ErrFull, false},
		{"a quota", func(c *fileCalls, err error) { c.sync = func(*os.File) error { return err } }, unix.EDQUOT, ErrFull, false},
		{"a failed sync", func(c *fileCalls, err error) { c.sync = func(*os.File) error { return err } }, unix.EIO, unix.EIO, false},
		{"a failed link", func(c *fileCalls, err error) { c.link = func(string, string) error { return err } }, unix.EMLINK, unix.EMLINK, false},
		{"a read-only disk", func(c *fileCalls, err error) { c.link = func(string, string) error { return err } }, unix.EROFS, unix.EROFS, false},
		{"a failed sync of a folder", func(c *fileCalls, err error) { c.syncDir = func(string) error { return err } }, unix.EIO, unix.EIO, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			l := openLocal(t, t.TempDir())
			real := l.syscalls
			c.fail(&l.syscalls, c.err)
			_, err := l.Create(t.Context(), "a/b", strings.NewReader("x"))
			require.ErrorIs(t, err, c.is)
			require.ErrorContains(t, err, "create object a/b")
			require.ErrorContains(t, err, c.err.Error())
			left, err := os.ReadDir(l.tmp)
			require.NoError(t, err)
			require.Empty(t, left)
			l.syscalls = real
			if c.stays {
				require.Equal(t, "x", get(t, l, "a/b"))
				return
			}
			require.Empty(t, listed(t, l, ""))
			put(t, l, "a/b", "y")
		})
	}
}

// A bucket that cannot be opened says where and why.
func TestLocalNotWritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	_, err := OpenLocal(filepath.Join(file, "bucket"))
	require.ErrorContains(t, err, file)
	require.ErrorIs(t, err, unix.ENOTDIR)
	require.ErrorContains(t, explainError(&fs.PathError{Op: "mkdir", Path: "/x", Err: unix.EACCES}), "not writable by user "+strconv.Itoa(os.Getuid()))
	require.ErrorContains(t, explainError(&fs.PathError{Op: "mkdir", Path: "/x", Err: unix.EROFS}), "not writable")
}

// Folders and files are for the node's user only, whatever makes them.
func TestLocalModes(t *testing.T) {
	root := filepath.Join(t.TempDir(), "not", "there", "yet")
	l := openLocal(t, root)
	require.NoError(t, l.Claim())
	put(t, l, "tenant/block/meta.json", "{}")
	require.NoError(t, filepath.WalkDir(filepath.Dir(filepath.Dir(root)), func(name string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		s, err := d.Info()
		require.NoError(t, err)
		require.Zero(t, s.Mode().Perm()&0o077, "%s has mode %s", name, s.Mode())
		return nil
	}))
}

// Of several nodes one has the bucket; a process that only reads or writes objects needs no claim.
func TestLocalClaim(t *testing.T) {
	root := t.TempDir()
	one, two := openLocal(t, root), openLocal(t, root)
	require.NoError(t, one.Claim())
	err := two.Claim()
	require.ErrorIs(t, err, localdisk.ErrLocked)
	require.ErrorContains(t, err, root)
	put(t, two, "a", "1")
	require.Equal(t, []string{"a:1"}, listed(t, one, ""), "the lock is no object")
	require.NoError(t, one.Close())
	require.NoError(t, two.Claim())
}

// A bucket that is looked at stays as it is, and what is no bucket is said to be none.
func TestLocalView(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{root, filepath.Join(root, "missing")} {
		_, err := ViewLocal(dir)
		require.ErrorIs(t, err, ErrNoBucket)
		require.ErrorContains(t, err, dir)
	}
	require.NoDirExists(t, filepath.Join(root, "missing"))
	l := openLocal(t, root)
	put(t, l, "tenant/block/meta.json", "{}")
	require.NoError(t, l.Close())
	before := tree(t, root)
	v, err := ViewLocal(root)
	require.NoError(t, err)
	require.Equal(t, "{}", get(t, v, "tenant/block/meta.json"))
	_, err = v.Create(t.Context(), "b", strings.NewReader("x"))
	require.ErrorIs(t, err, ErrReadOnly)
	require.ErrorIs(t, v.Delete(t.Context(), "tenant/block/meta.json"), ErrReadOnly)
	require.NoError(t, v.Settle(t.Context(), "tenant/block/meta.json"))
	require.NoError(t, v.Close())
	require.Equal(t, before, tree(t, root))
}

func tree(t *testing.T, root string) (names []string) {
	require.NoError(t, filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	}))
	return names
}

// Objects below a symbolic link would be found by name and be in no list, so there must be none; a
// link to a file is no object.
func TestLocalRefusesLinks(t *testing.T) {
	elsewhere := t.TempDir()
	for _, name := range []string{"catalog", "tenant/block", "catalog/snapshot", "tenant/gone"} {
		root := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700))
		to := elsewhere
		if strings.HasSuffix(name, "gone") {
			to = filepath.Join(elsewhere, "missing")
		}
		require.NoError(t, os.Symlink(to, filepath.Join(root, name)))
		_, err := OpenLocal(root)
		require.ErrorContains(t, err, filepath.Join(root, name)+" is a symbolic link")
	}
	root := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(elsewhere, root))
	openLocal(t, root) // the bucket itself may lie elsewhere
}

// An object whose folder could not be synced is relied on only once it is: by who tries to create
// it again, and by who finds it.
func TestLocalSyncsWhatItFinds(t *testing.T) {
	l := openLocal(t, t.TempDir())
	real := l.syscalls
	l.syscalls.syncDir = func(string) error { return unix.EIO }
	_, err := l.Create(t.Context(), "a/b", strings.NewReader("x"))
	require.ErrorIs(t, err, unix.EIO)
	_, err = l.Create(t.Context(), "a/b", strings.NewReader("x"))
	require.ErrorIs(t, err, unix.EIO, "not ErrExists: the name may go with the power")
	require.ErrorIs(t, Settle(t.Context(), NewFaulty(l, nil), "a/b"), unix.EIO)
	var synced []string
	l.syscalls.syncDir = func(dir string) error { synced = append(synced, filepath.Base(dir)); return real.syncDir(dir) }
	_, err = l.Create(t.Context(), "a/b", strings.NewReader("x"))
	require.ErrorIs(t, err, ErrExists)
	require.Equal(t, []string{"a", filepath.Base(l.root)}, synced)
	require.NoError(t, Settle(t.Context(), l, "a/b"))
	require.Len(t, synced, 4)
	require.NoError(t, Settle(t.Context(), NewMemory(), "a/b"))
}

// An object that somebody removes by hand is gone at the next read, also where its file is still
// open.
func TestLocalRemovedByHand(t *testing.T) {
	l := openLocal(t, t.TempDir())
	put(t, l, "a/b", "x")
	buf := make([]byte, 1)
	_, err := l.ReadRange(t.Context(), "a/b", 0, buf)
	require.NoError(t, err)
	require.NoError(t, os.Remove(l.pathOf("a/b")))
	_, err = l.ReadRange(t.Context(), "a/b", 0, buf)
	require.ErrorIs(t, err, ErrNotFound)
	put(t, l, "a/b", "y")
	_, err = l.ReadRange(t.Context(), "a/b", 0, buf)
	require.NoError(t, err)
	require.Equal(t, "y", string(buf))
}

// Opening a bucket removes what ended processes left unfinished, and nothing of one that lives.
func TestLocalSweep(t *testing.T) {
	root := t.TempDir()
	alive := openLocal(t, root)
	require.NoError(t, os.WriteFile(filepath.Join(alive.tmp, "writing"), []byte("x"), 0o644))
	dead := filepath.Join(root, unfinished, "dead")
	require.NoError(t, os.Mkdir(dead, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dead, "left"), []byte("x"), 0o644))
	other := openLocal(t, root)
	require.NoDirExists(t, dead)
	require.FileExists(t, filepath.Join(alive.tmp, "writing"))
	require.NotEqual(t, alive.tmp, other.tmp)
	put(t, alive, "a", "1")
	require.Equal(t, "1", get(t, other, "a"))
	_, err := other.Create(t.Context(), "a", strings.NewReader("2"))
	require.ErrorIs(t, err, ErrExists)
	require.NoError(t, alive.Close())
	require.NoDirExists(t, alive.tmp)
	require.Equal(t, []string{"a:1"}, listed(t, other, ""), "what is unfinished is in no list")
}

// Files that are no objects are left alone.
func TestLocalForeignFiles(t *testing.T) {
	root := t.TempDir()
	l := openLocal(t, root)
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(root, "link")))
	require.NoError(t, os.WriteFile(filepath.Join(root, "bad\nname"), nil, 0o644))
	put(t, l, "a", "1")
	require.Equal(t, []string{"a:1"}, listed(t, l, ""))
}

// Files that are read often stay open, at most so many; one that is dropped while it is read is
// closed by its last reader.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	opened := 0
	c := newFileCache(2)
	get := func(name string) *file {
		f, err := c.openFile(name, func() (*os.File, error) { opened++; return os.Create(filepath.Join(dir, name)) })
		require.NoError(t, err)
		return f
	}
	a := get("a")
	c.releaseFile(a)
	require.Same(t, a, get("a"))
	c.releaseFile(get("b"))
	require.Equal(t, 2, opened)
	c.releaseFile(get("c")) // a is the last used of the three, and in use
	_, err := a.Stat()
	require.NoError(t, err)
	c.releaseFile(a)
	_, err = a.Stat()
	require.ErrorIs(t, err, os.ErrClosed)
	b := get("b")
	require.Equal(t, 3, opened)
	c.forgetFile("b")
	_, err = b.Stat()
	require.NoError(t, err)
	c.releaseFile(b)
	_, err = b.Stat()
	require.ErrorIs(t, err, os.ErrClosed)
	c.forgetAll()
	require.Zero(t, c.order.Len())
	require.Empty(t, c.at)
}

// Objects that are read while others come and go are whole or not there.
func TestLocalReadWhileDeleted(t *testing.T) {
	l := openLocal(t, t.TempDir())
	l.files.limit = 2
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			buf := make([]byte, 10)
			for i := range 200 {
				name := fmt.Sprintf("x/%d", (w+i)%5)
				n, err := l.ReadRange(context.Background(), name, 2, buf)
				if err == nil && string(buf[:n]) != "234" || err != nil && !errors.Is(err, ErrNotFound) {
					t.Errorf("%d bytes, %v", n, err)
				}
				if _, err := l.Create(context.Background(), name, strings.NewReader("01234")); err != nil && !errors.Is(err, ErrExists) && !errors.Is(err, fs.ErrNotExist) {
					t.Error(err)
				}
				if i%3 == 0 {
					if err := l.Delete(context.Background(), name); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}

// A folder that is removed while an object is created in it is made again.
func TestLocalFolderGoes(t *testing.T) {
	l := openLocal(t, t.TempDir())
	link, n := l.syscalls.link, 0
	l.syscalls.link = func(from, to string) error {
		if n++; n <= 3 {
			require.NoError(t, os.RemoveAll(filepath.Dir(to)))
		}
		return link(from, to)
	}
	put(t, l, "a/b/c", "x")
	require.Equal(t, "x", get(t, l, "a/b/c"))
	l.syscalls.link = func(from, to string) error { return errors.Join(os.Remove(from), link(from, to)) }
	_, err := l.Create(t.Context(), "a/b/d", strings.NewReader("x"))
	require.ErrorIs(t, err, fs.ErrNotExist, "a file that is lost is an error, not a loop")
}

const childDir = "TROUPE_TEST_BUCKET"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	os.Exit(m.Run())
}

// child creates objects until it is killed and prints the name of each that is acknowledged.
func child(dir string) {
	l, err := OpenLocal(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		name := fmt.Sprintf("%d/%d/object", os.Getpid(), i)
		if _, err := l.Create(context.Background(), name, bytes.NewReader(content(i))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(name, i)
	}
}

func content(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 1+(i*7919)%300_000) }

// What a killed process had acknowledged is there and whole; what it had not is whole or not there;
// what it left unfinished is removed.
func TestLocalKill(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		acked := map[string]int{}
		for range 40 {
			var name string
			var i int
			_, err := fmt.Fscanln(out, &name, &i)
			require.NoError(t, err)
			acked[name] = i
		}
		require.NoError(t, cmd.Process.Kill())
		cmd.Wait()
		l := openLocal(t, dir)
		for name, i := range acked {
			got, err := l.Read(t.Context(), name, 1<<20)
			require.NoError(t, err)
			require.True(t, bytes.Equal(content(i), got), "%s", name)
		}
		require.NoError(t, l.List(t.Context(), strconv.Itoa(cmd.Process.Pid)+"/", func(o Info) error {
			i, err := strconv.Atoi(strings.Split(o.Name, "/")[1])
			require.NoError(t, err)
			got, err := l.Read(t.Context(), o.Name, 1<<20)
			require.NoError(t, err)
			require.True(t, bytes.Equal(content(i), got), "%s", o.Name)
			return nil
		}))
		left, err := os.ReadDir(filepath.Join(dir, unfinished))
		require.NoError(t, err)
		require.Len(t, left, 1, "our own")
		require.NoError(t, l.Close())
	}
}

// Small reads at many places are what queries do.
func BenchmarkLocalReadRange(b *testing.B) {
	l := openLocal(b, b.TempDir())
	const objects = 200
	for i := range objects {
		put(b, l, fmt.Sprintf("tenant/%d/spans.parquet", i), strings.Repeat("x", 1<<16))
	}
	for _, size := range []int{512, 16 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			buf := make([]byte, size)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := l.ReadRange(b.Context(), fmt.Sprintf("tenant/%d/spans.parquet", i/10%objects), int64(i%10)*4096, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Creating a small object is what the journal does for each commit.
func BenchmarkLocalCreate(b *testing.B) {
	l := openLocal(b, b.TempDir())
	for i := 0; b.Loop(); i++ {
		put(b, l, fmt.Sprintf("catalog/%020d", i), "entry")
	}
}
