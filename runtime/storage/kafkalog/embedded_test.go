package kafkalog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func open(t testing.TB, dir string, cfg EmbeddedConfig) *Embedded {
	t.Helper()
	l, err := OpenEmbedded(dir, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// abandon lets a log go the way a killed process does: nothing is flushed, marked or closed
// properly.
func abandon(l *Embedded) {
	l.files.mu.Lock()
	l.failed = ErrFailed // keeps Close from marking a clean end
	l.files.mu.Unlock()
	l.Close()
}

func segmentFiles(t testing.TB, dir string) []string {
	t.Helper()
	fs, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	require.NoError(t, err)
	return fs
}

func change(t testing.TB, name string, f func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, f(b), 0o644))
}

func fill(t testing.TB, l Log, n int) {
	t.Helper()
	for i := range n {
		appendAll(t, l, int32(i%l.Partitions()), fmt.Sprintf("record %d %s", i, strings.Repeat("x", 500)))
	}
}

// Only one log opens a directory; the second one is told which.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, EmbeddedConfig{})
	_, err := OpenEmbedded(dir, EmbeddedConfig{})
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, dir)
	require.NoError(t, l.Close())
	open(t, dir, EmbeddedConfig{})
}

// A new file set is a new epoch; the same one keeps its epoch.
func TestEpoch(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, EmbeddedConfig{})
	first := l.Epoch()
	fill(t, l, 4)
	require.NoError(t, l.Close())
	l = open(t, dir, EmbeddedConfig{})
	require.Equal(t, first, l.Epoch())
	require.NoError(t, l.Close())
	require.NoError(t, os.RemoveAll(dir))
	l = open(t, dir, EmbeddedConfig{})
	require.NotEqual(t, first, l.Epoch())
	require.Empty(t, readAll(t, l, 0, 0, 1))
}

// Partitions may be added and keep their records; taking some away is refused.
func TestGrow(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, EmbeddedConfig{Partitions: 2})
	appendAll(t, l, 1, "old")
	require.NoError(t, l.Close())
	l = open(t, dir, EmbeddedConfig{Partitions: 5, TailBytes: -1})
	appendAll(t, l, 4, "new")
	appendAll(t, l, 1, "newer")
	require.NoError(t, l.Close())
	l = open(t, dir, EmbeddedConfig{})
	require.Equal(t, 5, l.Partitions())
	require.Equal(t, []string{"old", "newer"}, values(readAll(t, l, 1, 0, 1)))
	require.Equal(t, []string{"new"}, values(readAll(t, l, 4, 0, 1)))
	require.NoError(t, l.Close())
	_, err := OpenEmbedded(dir, EmbeddedConfig{Partitions: 4})
	require.ErrorContains(t, err, "cannot shrink")
}

// A log of a newer program is refused by its format, not taken for a broken one.
func TestNewerFormat(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, EmbeddedConfig{})
	l.files.manifest.Format = formatVersion + 1
	require.NoError(t, l.Close())
	_, err := OpenEmbedded(dir, EmbeddedConfig{})
	require.ErrorContains(t, err, "newer")
	require.NotErrorIs(t, err, ErrCorrupt)
}

// A directory that cannot be written to is named.
func TestNotWritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	_, err := OpenEmbedded(filepath.Join(file, "log"), EmbeddedConfig{})
	require.ErrorContains(t, err, file)
}

// Whatever number of bytes of the last commit reached the disk, it is cut off, all before it stays,
// and the log goes on.
func TestTornTail(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	l := open(t, dir, EmbeddedConfig{Partitions: 2})
	appendAll(t, l, 0, "kept")
	size := l.activeSegment().size
	_, err := AppendAll(ctx, l, map[int32][]Record{0: recs("torn"), 1: recs(strings.Repeat("torn", 500))})
	require.NoError(t, err)
	file, full := l.activeSegment().name, l.activeSegment().size
	abandon(l)
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Len(t, whole, int(full))
	manifest, err := os.ReadFile(filepath.Join(dir, manifestName))
	require.NoError(t, err)
	for n := size; n <= full; n++ {
		if n-size > 200 && full-n > 100 && n%37 != 0 {
			continue
		}
		sub := filepath.Join(dir, fmt.Sprint(n))
		require.NoError(t, os.Mkdir(sub, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(sub, manifestName), manifest, 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(sub, filepath.Base(file)), whole[:n], 0o644))
		l := open(t, sub, EmbeddedConfig{})
		want := []string{"kept"}
		if n == full {
			want = append(want, "torn")
			require.Nil(t, l.Cut())
		} else if n > size {
			require.Equal(t, CutTail{File: filepath.Join(sub, filepath.Base(file)), Offset: size, Bytes: n - size}, *l.Cut())
		}
		require.Equal(t, want, values(readAll(t, l, 0, 0, 1)))
		appendAll(t, l, 0, "after")
		abandon(l)
		l = open(t, sub, EmbeddedConfig{})
		require.Equal(t, append(want, "after"), values(readAll(t, l, 0, 0, 1)))
		require.NoError(t, l.Close())
	}
}

// Power loss may leave zeros where the last commit was not written. That is a torn tail; zeros in
// an earlier commit are not.
func TestZeroedSectors(t *testing.T) {
	for _, last := range []bool{true, false} {
		dir := t.TempDir()
		l := open(t, dir, EmbeddedConfig{Partitions: 1})
		appendAll(t, l, 0, "kept")
		from := l.activeSegment().size
		appendAll(t, l, 0, strings.Repeat("x", 3*sectorBytes))
		if !last {
			appendAll(t, l, 0, "later")
		}
		name := l.activeSegment().name
		abandon(l)
		change(t, name, func(b []byte) []byte {
			clear(b[sectorBytes : 2*sectorBytes])
			return b
		})
		l, err := OpenEmbedded(dir, EmbeddedConfig{})
		if !last {
			var c *CorruptError
			require.ErrorAs(t, err, &c)
			require.Equal(t, name, c.File)
			require.Equal(t, from, c.Offset)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, []string{"kept"}, values(readAll(t, l, 0, 0, 1)))
		require.NoError(t, l.Close())
	}
}

// A flipped bit, wherever it lies in any segment, of a log that was closed or killed, costs no
// record silently: where one is lost it is an error that names the file and the place.
func TestFlippedByte(t *testing.T) {
	for _, clean := range []bool{true, false} {
		t.Run(fmt.Sprintf("clean=%v", clean), func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir, EmbeddedConfig{SegmentBytes: 4 << 10})
			fill(t, l, 20)
			if clean {
				require.NoError(t, l.Close())
			} else {
				abandon(l)
			}
			files := segmentFiles(t, dir)
			require.Greater(t, len(files), 2)
			for _, name := range files {
				whole, err := os.ReadFile(name)
				require.NoError(t, err)
				for i := 0; i < len(whole); i += 29 {
					sub := filepath.Join(t.TempDir(), "log")
					require.NoError(t, os.CopyFS(sub, os.DirFS(dir)))
					name := filepath.Join(sub, filepath.Base(name))
					change(t, name, func(b []byte) []byte {
						b[i] ^= 1 << (i % 8)
						return b
					})
					l, err := OpenEmbedded(sub, EmbeddedConfig{FS: hasty{}})
					if err == nil {
						require.Equal(t, name, l.PassedOver()[0].File)
						require.Equal(t, 20, count(t, l), "%s byte %d", name, i)
						require.NoError(t, l.Close())
						continue
					}
					var c *CorruptError
					require.ErrorAs(t, err, &c, "%s byte %d", name, i)
					require.Equal(t, name, c.File)
					require.LessOrEqual(t, c.Offset, int64(i))
				}
			}
			l = open(t, dir, EmbeddedConfig{})
			require.Equal(t, 20, count(t, l))
			require.Empty(t, l.PassedOver())
		})
	}
}

// count is how many records can be read.
func count(t *testing.T, l *Embedded) (n int) {
	for p := range int32(l.Partitions()) {
		start, _, err := l.Bounds(t.Context(), p)
		require.NoError(t, err)
		n += len(readAll(t, l, p, start, 1<<20))
	}
	return n
}

// A byte that flips while the log is open is an error of the read that meets it.
func TestFlippedByteWhileOpen(t *testing.T) {
	l := open(t, t.TempDir(), EmbeddedConfig{Partitions: 1, TailBytes: -1})
	appendAll(t, l, 0, "good")
	pos := l.activeSegment().size
	appendAll(t, l, 0, "bad")
	change(t, l.activeSegment().name, func(b []byte) []byte {
		b[len(b)-1] ^= 1
		return b
	})
	b, err := l.Read(t.Context(), 0, 0, 1, 0)
	require.NoError(t, err)
	require.Equal(t, []string{"good"}, values(b.Records))
	_, err = l.Read(t.Context(), 0, 1, 1, 0)
	var c *CorruptError
	require.ErrorAs(t, err, &c)
	require.Equal(t, pos, c.Offset)
}

// A segment that is not there any more is a loss and said to be one; so are a closed log that
// became shorter, and a manifest that is gone where no segment tells what it was.
func TestMissingFile(t *testing.T) {
	build := func(t *testing.T) (string, []string) {
		dir := t.TempDir()
		l := open(t, dir, EmbeddedConfig{SegmentBytes: 4 << 10})
		fill(t, l, 20)
		require.NoError(t, l.Close())
		return dir, segmentFiles(t, dir)
	}
	_, all := build(t)
	for i := range all {
		dir, files := build(t)
		require.NoError(t, os.Remove(files[i]))
		_, err := OpenEmbedded(dir, EmbeddedConfig{})
		require.ErrorIs(t, err, ErrCorrupt)
		require.ErrorContains(t, err, files[i])
	}
	dir, files := build(t)
	change(t, files[len(files)-1], func(b []byte) []byte { return b[:len(b)-1] })
	_, err := OpenEmbedded(dir, EmbeddedConfig{})
	require.ErrorIs(t, err, ErrCorrupt)
	dir, files = build(t)
	for _, f := range files {
		require.NoError(t, os.Truncate(f, 20))
	}
	require.NoError(t, os.Remove(filepath.Join(dir, manifestName)))
	_, err = OpenEmbedded(dir, EmbeddedConfig{})
	require.ErrorIs(t, err, ErrCorrupt)
	require.ErrorContains(t, err, "the manifest is missing beside")
}

// Segments go when every partition's records in them are trimmed, the position of each partition
// never does.
func TestTrimSegments(t *testing.T) {
	dir := t.TempDir()
	cfg := EmbeddedConfig{SegmentBytes: 8 << 10}
	l := open(t, dir, cfg)
	fill(t, l, 200)
	before := l.Size()
	for p := range int32(3) {
		require.NoError(t, l.Trim(t.Context(), p, 50))
	}
	require.Equal(t, before, l.Size(), "partition 3 still needs them")
	require.NoError(t, l.Trim(t.Context(), 3, 50))
	require.Less(t, l.Size(), int64(1000))
	require.Len(t, segmentFiles(t, dir), 1)
	for _, end := range []func(){func() { abandon(l) }, func() { require.NoError(t, l.Close()) }} {
		end()
		l = open(t, dir, cfg)
		for p := range int32(4) {
			s, e, err := l.Bounds(t.Context(), p)
			require.NoError(t, err)
			require.Equal(t, [2]int64{50, 50}, [2]int64{s, e})
		}
	}
	require.Equal(t, int64(51), appendAll(t, l, 2, "next"))
	require.Len(t, segmentFiles(t, dir), 1, "empty segments of earlier starts are gone")
}

// At its size limit the log refuses what does not fit and takes it after a trim.
func TestSizeLimit(t *testing.T) {
	l := open(t, t.TempDir(), EmbeddedConfig{Partitions: 1, MaxBytes: 40 << 10})
	big := strings.Repeat("x", 3000)
	n := int64(0)
	for {
		next, err := l.Append(t.Context(), 0, recs(big))
		if err != nil {
			require.ErrorIs(t, err, ErrFull)
			break
		}
		n = next
	}
	require.Greater(t, n, int64(8))
	require.LessOrEqual(t, l.Size(), int64(40<<10))
	require.Len(t, readAll(t, l, 0, 0, 1<<20), int(n))
	require.NoError(t, l.Trim(t.Context(), 0, n))
	require.Equal(t, n+1, appendAll(t, l, 0, big))
}

// faultFS fails on demand and counts syncs. Space is what may still be written; negative is without
// limit.
type faultFS struct {
	osFS
	mu    sync.Mutex
	sync  error
	dir   error
	write error
	space int64
	syncs int
	names map[string]bool // created since their directory was synced
}

type faultFile struct {
	File
	fs *faultFS
}

func (f *faultFS) OpenFile(name string, flag int) (File, error) {
	_, err := os.Stat(name)
	file, e := f.osFS.OpenFile(name, flag)
	if e != nil {
		return nil, e
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.names[name] = true
	}
	return faultFile{file, f}, nil
}

func (f *faultFS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.names, from)
	return f.osFS.Rename(from, to)
}

func (f *faultFS) Remove(name string) error {
	s, err := os.Stat(name)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.space >= 0 {
		f.space += s.Size()
	}
	delete(f.names, name)
	return f.osFS.Remove(name)
}

func (f *faultFS) SyncDir(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dir != nil {
		return f.dir
	}
	for n := range f.names {
		if filepath.Dir(n) == filepath.Clean(dir) {
			delete(f.names, n)
		}
	}
	return f.osFS.SyncDir(dir)
}

func (f faultFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.write != nil {
		return 0, f.fs.write
	}
	size, err := f.File.Size()
	if err != nil {
		return 0, err
	}
	grows := max(0, off+int64(len(b))-size)
	if f.fs.space < 0 || f.fs.space >= grows {
		if f.fs.space >= 0 {
			f.fs.space -= grows
		}
		return f.File.WriteAt(b, off)
	}
	n, _ := f.File.WriteAt(b[:int64(len(b))-grows+f.fs.space], off)
	f.fs.space = 0
	return n, fmt.Errorf("write: %w", unix.ENOSPC)
}

func (f faultFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	old, err := f.File.Size()
	if err == nil && f.fs.space >= 0 && old > size {
		f.fs.space += old - size
	}
	return f.File.Truncate(size)
}

func (f faultFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.fs.syncs++
	if f.fs.sync != nil {
		return f.fs.sync
	}
	return f.File.Sync()
}

// Space is of a disk of 1 MiB.
func (f *faultFS) Space(string) (free, total int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.space < 0 {
		return 1 << 30, 1 << 20, nil
	}
	return f.space, 1 << 20, nil
}

func newFaultFS() *faultFS { return &faultFS{space: -1, names: map[string]bool{}} }

func (f *faultFS) set(c func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c()
}

// After a failed write or sync nothing is acknowledged until the log is opened again, and what was
// acknowledged before is there then.
func TestFailedSync(t *testing.T) {
	broken := errors.New("input/output error")
	for name, fail := range map[string]func(*faultFS){
		"sync": func(f *faultFS) { f.sync = broken }, "write": func(f *faultFS) { f.write = broken },
	} {
		t.Run(name, func(t *testing.T) {
			fs := newFaultFS()
			dir := t.TempDir()
			l := open(t, dir, EmbeddedConfig{FS: fs})
			appendAll(t, l, 0, "good")
			fs.set(func() { fail(fs) })
			_, err := l.Append(t.Context(), 0, recs("lost"))
			require.ErrorIs(t, err, ErrFailed)
			require.ErrorIs(t, err, broken)
			fs.set(func() { fs.sync, fs.write = nil, nil })
			_, err = l.Append(t.Context(), 1, recs("refused"))
			require.ErrorIs(t, err, ErrFailed)
			require.Equal(t, []string{"good"}, values(readAll(t, l, 0, 0, 1)), "readers go on")
			require.NoError(t, l.Close())
			l = open(t, dir, EmbeddedConfig{FS: fs})
			require.Equal(t, []string{"good"}, values(readAll(t, l, 0, 0, 1)))
			appendAll(t, l, 0, "again")
			require.Equal(t, []string{"good", "again"}, values(readAll(t, l, 0, 0, 1)))
		})
	}
}

// A full disk refuses appends, keeps what was acknowledged, also over a restart, lets a trim free
// space, and then takes appends again.
func TestDiskFull(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart=%v", restart), func(t *testing.T) {
			fs := newFaultFS()
			dir := t.TempDir()
			cfg := EmbeddedConfig{Partitions: 1, FS: fs, SegmentBytes: 8 << 10}
			l := open(t, dir, cfg)
			fs.set(func() { fs.space = 30_000 })
			n := int64(0)
			for {
				next, err := l.Append(t.Context(), 0, recs(strings.Repeat("x", 900)))
				if err != nil {
					require.ErrorIs(t, err, ErrFull)
					require.NotErrorIs(t, err, ErrFailed)
					break
				}
				n = next
			}
			require.Greater(t, n, int64(10))
			fs.set(func() { fs.space = 0 })
			if restart {
				abandon(l)
				l = open(t, dir, cfg)
			}
			_, err := l.Append(t.Context(), 0, recs(strings.Repeat("x", 900)))
			require.ErrorIs(t, err, ErrFull)
			require.Len(t, readAll(t, l, 0, 0, 1<<20), int(n))
			require.NoError(t, l.Trim(t.Context(), 0, n))
			require.Equal(t, n+1, appendAll(t, l, 0, "after"))
			abandon(l)
			l = open(t, dir, cfg)
			require.Equal(t, []string{"after"}, values(readAll(t, l, 0, n, 1)))
		})
	}
}

// Nothing is acknowledged in a file whose directory entry is not durable, and a directory that
// cannot be synced fails the log.
func TestDirectoryEntries(t *testing.T) {
	fs := newFaultFS()
	l := open(t, t.TempDir(), EmbeddedConfig{FS: fs, SegmentBytes: 4 << 10})
	for i := range 40 {
		fill(t, l, 1)
		fs.set(func() {
			for n := range fs.names {
				require.NotEqual(t, ".seg", filepath.Ext(n), "append %d", i)
			}
		})
	}
	require.Greater(t, len(l.segments), 3)
	fs.set(func() { fs.dir = errors.New("input/output error") })
	var err error
	for err == nil {
		_, err = l.Append(t.Context(), 0, recs(strings.Repeat("x", 900)))
	}
	require.ErrorIs(t, err, ErrFailed)
}

// Appends of many callers share syncs.
func TestGroupCommit(t *testing.T) {
	fs := newFaultFS()
	l := open(t, t.TempDir(), EmbeddedConfig{FS: fs})
	l.files.mu.Lock() // the writer is held up, so callers gather
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			if _, err := l.Append(context.Background(), int32(i%4), recs("x")); err != nil {
				t.Error(err)
			}
		})
	}
	for queued := 0; queued < 20; {
		l.queue.mu.Lock()
		queued = len(l.queue.calls)
		l.queue.mu.Unlock()
	}
	fs.set(func() { fs.syncs = 0 })
	l.files.mu.Unlock()
	wg.Wait()
	require.Less(t, fs.syncs, 14)
}

// A reader in the process gets the value that was appended, not a copy of it.
func TestTailByPointer(t *testing.T) {
	l := open(t, t.TempDir(), EmbeddedConfig{Partitions: 1, TailBytes: 10_000})
	r := recs(strings.Repeat("x", 2000))
	_, err := l.Append(t.Context(), 0, r)
	require.NoError(t, err)
	got := readAll(t, l, 0, 0, 1)
	require.Same(t, &r[0].Value[0], &got[0].Value[0])
	for range 9 {
		appendAll(t, l, 0, strings.Repeat("x", 2000))
		require.LessOrEqual(t, l.tail.used, int64(10_000))
	}
	got = readAll(t, l, 0, 0, 5000)
	require.Len(t, got, 10)
	require.NotSame(t, &r[0].Value[0], &got[0].Value[0], "the oldest come from disk")
}

// The tail lets go of what was read when the partition goes on, and of nothing that was not, and
// whoever reads again reads from disk.
func TestTailLetsGoOfWhatWasRead(t *testing.T) {
	l := open(t, t.TempDir(), EmbeddedConfig{Partitions: 2, TailBytes: 1 << 20})
	r := recs(strings.Repeat("x", 2000))
	appendAll(t, l, 1, strings.Repeat("y", 2000))
	one := l.tail.used
	_, err := l.Append(t.Context(), 0, r)
	require.NoError(t, err)
	appendAll(t, l, 0, strings.Repeat("x", 2000))
	require.Equal(t, 3*one, l.tail.used)
	readAll(t, l, 0, 0, 2) // it ends by asking for what comes next
	appendAll(t, l, 0, strings.Repeat("x", 2000))
	require.Equal(t, 2*one, l.tail.used, "one of each partition")
	got := readAll(t, l, 0, 0, 3)
	require.Equal(t, r[0].Value, got[0].Value)
	require.NotSame(t, &r[0].Value[0], &got[0].Value[0])
}

const childDir = "KAFKALOG_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	os.Exit(m.Run())
}

// child appends until it is killed and prints each acknowledged partition, offset and value's
// length.
func child(dir string) {
	l, err := OpenEmbedded(dir, EmbeddedConfig{SegmentBytes: 1 << 20})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for c := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				v := strings.Repeat(string(rune('a'+c)), 1+(i*7919)%40_000)
				n, err := l.Append(context.Background(), int32((c+i)%4), recs(v))
				if err != nil {
					return
				}
				mu.Lock()
				fmt.Println((c+i)%4, n-1, len(v), v[:1])
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// What a process had acknowledged when it was killed is there, at the offset it was acknowledged
// with.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	type at struct {
		p      int32
		offset int64
	}
	acked := map[at]string{}
	for round := range 4 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		sc := bufio.NewScanner(out)
		for n := 0; sc.Scan(); n++ {
			f := strings.Fields(sc.Text())
			if len(f) != 4 {
				break // the last line was cut off
			}
			p, _ := strconv.Atoi(f[0])
			o, _ := strconv.ParseInt(f[1], 10, 64)
			key := at{int32(p), o}
			require.NotContains(t, acked, key, "an offset was used twice")
			acked[key] = f[2] + f[3]
			if n == 150+100*round {
				require.NoError(t, cmd.Process.Kill())
			}
		}
		require.Error(t, cmd.Wait())
		l := open(t, dir, EmbeddedConfig{TailBytes: -1})
		found := 0
		for p := range int32(4) {
			for _, r := range readAll(t, l, p, 0, 1<<20) {
				if want, ok := acked[at{p, r.Offset}]; ok {
					found++
					require.Equal(t, want, fmt.Sprint(len(r.Value))+string(r.Value[:1]))
				}
			}
		}
		require.Equal(t, len(acked), found)
		if round == 2 {
			abandon(l)
		} else {
			require.NoError(t, l.Close())
		}
	}
}

// Bytes of any content are records or an error.
func FuzzDecodeRecords(f *testing.F) {
	r := rec("tenant", "value")
	b := appendRecordHeader(nil, &r)
	f.Add(append(append(append(b, r.Tenant...), r.Format...), r.Value...), uint32(1))
	f.Fuzz(func(t *testing.T, b []byte, count uint32) {
		rs, err := decodeRecords(nil, frame{count: count % 1000}, b, 0)
		if err == nil {
			require.Len(t, rs, int(count%1000))
		}
	})
}
