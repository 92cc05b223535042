package kafkalog

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// hasty is a file system that syncs nothing, for tests that open a log very often.
type hasty struct{ osFS }

type hastyFile struct{ File }

func (h hasty) OpenFile(name string, flag int) (File, error) {
	f, err := h.osFS.OpenFile(name, flag)
	return hastyFile{f}, err
}

func (hasty) SyncDir(string) error { return nil }
func (hastyFile) Sync() error      { return nil }

// damages are what happens to a file at rest. Each returns false where it leaves the file as it
// was.
var damages = map[string]func(t *testing.T, name string, at int) bool{
	"remove": func(t *testing.T, name string, at int) bool {
		require.NoError(t, os.Remove(name))
		return at == 0
	},
	"flip": func(t *testing.T, name string, at int) bool {
		change(t, name, func(b []byte) []byte {
			b[at] ^= 1 << (at % 8)
			return b
		})
		return true
	},
	"truncate": func(t *testing.T, name string, at int) bool {
		require.NoError(t, os.Truncate(name, int64(at)))
		return true
	},
	"zero": func(t *testing.T, name string, at int) bool {
		change(t, name, func(b []byte) []byte {
			clear(b[at:min(at+100, len(b))])
			return b
		})
		return true
	},
	"duplicate": func(t *testing.T, name string, at int) bool {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(name), segmentName(90)), b, 0o600))
		require.NoError(t, os.WriteFile(name+".copy", b, 0o600))
		return at == 0
	},
}

// Whatever becomes of one file of a log at rest, every record above the trim line is read or the
// start is refused with the file's name; and where all is trimmed, because all of it is in blocks,
// the log opens.
func TestOneFileDamaged(t *testing.T) {
	for _, c := range []struct {
		what  string
		trims [4]int64 // of 20 records each
		clean bool
	}{
		{"closed, all in blocks", [4]int64{20, 20, 20, 20}, true},
		{"closed, some in blocks", [4]int64{20, 5, 10, 0}, true},
		{"killed, some in blocks", [4]int64{20, 5, 10, 20}, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir, EmbeddedConfig{SegmentBytes: 16 << 10})
			fill(t, l, 80)
			for p, to := range c.trims {
				require.NoError(t, l.Trim(t.Context(), int32(p), to))
			}
			want := count(t, l)
			if c.clean {
				require.NoError(t, l.Close())
			} else {
				abandon(l)
			}
			names, err := os.ReadDir(dir)
			require.NoError(t, err)
			refused, opened := 0, 0
			for _, n := range names {
				if n.Name() == "lock" || n.Name() == reserveName {
					continue
				}
				s, err := n.Info()
				require.NoError(t, err)
				for what, damage := range damages {
					for at := 0; at < int(s.Size()); at += 1 + int(s.Size())/23 {
						where := fmt.Sprintf("%s %s at %d of %d", what, n.Name(), at, s.Size())
						sub := filepath.Join(t.TempDir(), "log")
						require.NoError(t, os.CopyFS(sub, os.DirFS(dir)))
						if !damage(t, filepath.Join(sub, n.Name()), at) {
							break
						}
						l, err := OpenEmbedded(sub, EmbeddedConfig{FS: hasty{}})
						if err != nil {
							refused++
							require.ErrorIs(t, err, ErrCorrupt, where)
							require.ErrorContains(t, err, n.Name(), where)
							require.NotEqual(t, "closed, all in blocks", c.what, "%s: %v", where, err)
							continue
						}
						opened++
						have := 0
						for p, trim := range c.trims {
							start, end, err := l.Bounds(t.Context(), int32(p))
							require.NoError(t, err, where)
							require.LessOrEqual(t, start, trim, where)
							require.EqualValues(t, 20, end, where)
							have += len(readAll(t, l, int32(p), trim, 1<<20))
						}
						require.Equal(t, want, have, where)
						require.Equal(t, int64(21), appendAll(t, l, 1, "after"), where)
						require.NoError(t, l.Close())
						l, err = OpenEmbedded(sub, EmbeddedConfig{FS: hasty{}})
						require.NoError(t, err, where)
						require.Len(t, readAll(t, l, 1, 20, 1<<20), 1, where)
						require.NoError(t, l.Close())
					}
				}
			}
			t.Logf("%d times opened, %d times refused", opened, refused)
			require.Positive(t, opened)
		})
	}
}
