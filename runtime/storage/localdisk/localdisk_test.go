package localdisk

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// recorder notes which folders were made and synced, and fails where it is told to.
type recorder struct {
	Real
	made   []string
	synced map[string]bool
	fail   map[string]error // by folder that is synced
}

func (r *recorder) Mkdir(dir string) error {
	r.made = append(r.made, dir)
	return r.Real.Mkdir(dir)
}

func (r *recorder) SyncDir(dir string) error {
	if err := r.fail[dir]; err != nil {
		return err
	}
	r.synced[dir] = true
	return nil
}

// Every folder of the path is durable in its parent, whoever has made it.
func TestMakeFolders(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "a", "b", "c")
	r := &recorder{synced: map[string]bool{}}
	require.NoError(t, MakeFolders(r, dir))
	require.Equal(t, []string{filepath.Join(root, "a"), filepath.Join(root, "a", "b"), dir}, r.made)
	s, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, FolderMode, s.Mode().Perm())
	again := &recorder{synced: map[string]bool{}}
	require.NoError(t, MakeFolders(again, dir))
	require.Empty(t, again.made)
	for _, did := range []*recorder{r, again} {
		for at := dir; filepath.Dir(at) != at; at = filepath.Dir(at) {
			require.True(t, did.synced[filepath.Dir(at)], "the name of %s in its parent is not synced", at)
		}
	}
}

// A folder of somebody else need not be synced; one that was made here must be, and a broken disk
// is an error.
func TestMakeFoldersFaults(t *testing.T) {
	root := t.TempDir()
	above := filepath.Dir(root)
	foreign := &recorder{synced: map[string]bool{}, fail: map[string]error{above: unix.EACCES}}
	require.NoError(t, MakeFolders(foreign, filepath.Join(root, "a")))
	broken := &recorder{synced: map[string]bool{}, fail: map[string]error{above: unix.EIO}}
	require.ErrorIs(t, MakeFolders(broken, filepath.Join(root, "a")), unix.EIO)
	mine := &recorder{synced: map[string]bool{}, fail: map[string]error{root: unix.EACCES}}
	require.ErrorIs(t, MakeFolders(mine, filepath.Join(root, "b")), fs.ErrPermission)
	file := filepath.Join(root, "file")
	require.NoError(t, os.WriteFile(file, nil, FileMode))
	require.ErrorIs(t, MakeFolders(Real{}, file), unix.ENOTDIR)
	require.ErrorIs(t, MakeFolders(Real{}, filepath.Join(file, "below")), unix.ENOTDIR)
}

func TestLock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	f, err := Lock(name)
	require.NoError(t, err)
	_, err = Lock(name)
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, f.Close())
	f, err = Lock(name)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func TestSpace(t *testing.T) {
	dir := t.TempDir()
	free, total, err := Space(dir)
	require.NoError(t, err)
	require.Positive(t, free)
	require.GreaterOrEqual(t, total, free)
	_, _, err = Space(filepath.Join(dir, "missing"))
	require.ErrorContains(t, err, "missing")
	same, err := SameDisk(dir, filepath.Dir(dir))
	require.NoError(t, err)
	require.True(t, same)
	same, err = SameDisk(dir, "/proc")
	require.NoError(t, err)
	require.False(t, same)
}
