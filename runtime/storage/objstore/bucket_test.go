package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// form is one implementation under test. reopen opens it again as its process would after an end;
// nil: there is nothing to reopen.
type form struct {
	bucket Bucket
	reopen func(t *testing.T) Bucket
}

var forms = map[string]func(t *testing.T) form{
	"memory": func(*testing.T) form { return form{bucket: NewMemory()} },
	"faulty": func(*testing.T) form { return form{bucket: NewFaulty(NewMemory(), nil)} },
	"local": func(t *testing.T) form {
		dir := t.TempDir() + "/not/there/yet"
		l := openLocal(t, dir)
		return form{bucket: l, reopen: func(t *testing.T) Bucket {
			require.NoError(t, l.Close())
			return openLocal(t, dir)
		}}
	},
}

func openLocal(t testing.TB, dir string) *Local {
	t.Helper()
	l, err := OpenLocal(dir)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func put(t testing.TB, b Bucket, name, content string) {
	t.Helper()
	n, err := b.Create(t.Context(), name, strings.NewReader(content))
	require.NoError(t, err)
	require.EqualValues(t, len(content), n)
}

func get(t testing.TB, b Bucket, name string) string {
	t.Helper()
	got, err := b.Read(t.Context(), name, 1<<20)
	require.NoError(t, err)
	return string(got)
}

func listed(t testing.TB, b Bucket, prefix string) []string {
	t.Helper()
	var out []string
	require.NoError(t, b.List(t.Context(), prefix, func(o Info) error {
		out = append(out, fmt.Sprintf("%s:%d", o.Name, o.Size))
		return nil
	}))
	return out
}

// What Bucket promises holds for every form of it.
func TestBucket(t *testing.T) {
	for name, open := range forms {
		t.Run(name, func(t *testing.T) {
			for what, test := range suite {
				t.Run(what, func(t *testing.T) { test(t, open(t)) })
			}
		})
	}
}

var suite = map[string]func(t *testing.T, f form){
	"what is created is read, whole and in ranges, also after a restart": func(t *testing.T, f form) {
		b := f.bucket
		put(t, b, "tenant/1/spans", "0123456789")
		put(t, b, "empty", "")
		read := func(b Bucket) {
			require.Equal(t, "0123456789", get(t, b, "tenant/1/spans"))
			require.Empty(t, get(t, b, "empty"))
			for _, c := range []struct {
				off  int64
				n    int
				want string
			}{{0, 10, "0123456789"}, {0, 4, "0123"}, {3, 4, "3456"}, {8, 4, "89"}, {10, 4, ""}, {99, 4, ""}, {5, 0, ""}} {
				buf := make([]byte, c.n)
				n, err := b.ReadRange(t.Context(), "tenant/1/spans", c.off, buf)
				require.NoError(t, err)
				require.Equal(t, c.want, string(buf[:n]), "%d bytes at %d", c.n, c.off)
			}
			_, err := b.ReadRange(t.Context(), "tenant/1/spans", -1, make([]byte, 1))
			require.Error(t, err)
			_, err = b.Read(t.Context(), "tenant/1/spans", 9)
			require.ErrorIs(t, err, ErrTooLarge)
		}
		read(b)
		if f.reopen != nil {
			read(f.reopen(t))
		}
	},
	"an object is never overwritten, but its name is free once it is deleted": func(t *testing.T, f form) {
		b := f.bucket
		put(t, b, "a/b", "first")
		_, err := b.Create(t.Context(), "a/b", strings.NewReader("second"))
		require.ErrorIs(t, err, ErrExists)
		require.ErrorContains(t, err, "a/b")
		require.Equal(t, "first", get(t, b, "a/b"))
		require.NoError(t, b.Delete(t.Context(), "a/b"))
		require.NoError(t, b.Delete(t.Context(), "a/b"), "one that is not there is no error")
		_, err = b.Read(t.Context(), "a/b", 10)
		require.ErrorIs(t, err, ErrNotFound)
		_, err = b.ReadRange(t.Context(), "a/b", 0, make([]byte, 1))
		require.ErrorIs(t, err, ErrNotFound)
		put(t, b, "a/b", "second")
		require.Equal(t, "second", get(t, b, "a/b"))
	},
	"a folder is no object": func(t *testing.T, f form) {
		put(t, f.bucket, "a/b/c", "x")
		_, err := f.bucket.Read(t.Context(), "a/b", 10)
		require.ErrorIs(t, err, ErrNotFound)
		_, err = f.bucket.ReadRange(t.Context(), "a", 0, make([]byte, 1))
		require.ErrorIs(t, err, ErrNotFound)
		_, err = f.bucket.Read(t.Context(), "a/b/c/d", 10)
		require.ErrorIs(t, err, ErrNotFound)
		require.NoError(t, f.bucket.Delete(t.Context(), "a/b"))
		require.NoError(t, f.bucket.Delete(t.Context(), "a/b/c/d"))
		require.Equal(t, "x", get(t, f.bucket, "a/b/c"))
	},
	"of several writers of one name exactly one wins, and its object is whole": func(t *testing.T, f form) {
		for round := range 20 {
			name := fmt.Sprintf("race/%d/entry", round)
			won := make([]bool, 8)
			var wg sync.WaitGroup
			for i := range won {
				wg.Go(func() {
					_, err := f.bucket.Create(context.Background(), name, strings.NewReader(strings.Repeat(string(rune('a'+i)), 5000)))
					if won[i] = err == nil; !won[i] && !errors.Is(err, ErrExists) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			winner := -1
			for i, w := range won {
				if w {
					require.Equal(t, -1, winner, "two writers won")
					winner = i
				}
			}
			require.NotEqual(t, -1, winner, "no writer won")
			require.Equal(t, strings.Repeat(string(rune('a'+winner)), 5000), get(t, f.bucket, name))
		}
	},
	"an object whose reader fails or whose caller is gone is not there": func(t *testing.T, f form) {
		broken := errors.New("broken")
		_, err := f.bucket.Create(t.Context(), "a/x", io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)))
		require.ErrorIs(t, err, broken)
		ctx, cancel := context.WithCancel(t.Context())
		_, err = f.bucket.Create(ctx, "a/y", io.MultiReader(strings.NewReader("half"), readerFunc(func(p []byte) (int, error) { cancel(); return 1, nil })))
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, listed(t, f.bucket, ""))
		put(t, f.bucket, "a/x", "whole")
		_, err = f.bucket.Read(ctx, "a/x", 10)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, f.bucket.List(ctx, "", func(Info) error { return nil }), context.Canceled)
		require.ErrorIs(t, f.bucket.Delete(ctx, "a/x"), context.Canceled)
	},
	"a list is in the order of names, of what begins with the prefix, and ends with its caller's error": func(t *testing.T, f form) {
		names := []string{"a", "b-x", "b/1/z", "b/1-", "b/10", "b/2/y", "b0", "c"}
		for _, n := range names {
			put(t, f.bucket, n, n)
		}
		require.Equal(t, []string{"a:1", "b-x:3", "b/1-:4", "b/1/z:5", "b/10:4", "b/2/y:5", "b0:2", "c:1"}, listed(t, f.bucket, ""))
		require.Equal(t, []string{"b/1-:4", "b/1/z:5", "b/10:4", "b/2/y:5"}, listed(t, f.bucket, "b/"))
		require.Equal(t, []string{"b/1-:4", "b/1/z:5", "b/10:4"}, listed(t, f.bucket, "b/1"))
		require.Equal(t, []string{"b/1/z:5"}, listed(t, f.bucket, "b/1/"))
		require.Equal(t, []string{"b/1/z:5"}, listed(t, f.bucket, "b/1/z"))
		require.Empty(t, listed(t, f.bucket, "x/"))
		require.Empty(t, listed(t, f.bucket, "b/1/z/"))
		stop, n := errors.New("stop"), 0
		require.ErrorIs(t, f.bucket.List(t.Context(), "", func(Info) error { n++; return stop }), stop)
		require.Equal(t, 1, n)
	},
	"names that leave the bucket, or that a store could not take, are refused": func(t *testing.T, f form) {
		for _, name := range badNames {
			_, err := f.bucket.Create(t.Context(), name, strings.NewReader("x"))
			require.ErrorIs(t, err, ErrName, "%q", name)
			_, err = f.bucket.Read(t.Context(), name, 10)
			require.ErrorIs(t, err, ErrName)
			_, err = f.bucket.ReadRange(t.Context(), name, 0, make([]byte, 1))
			require.ErrorIs(t, err, ErrName)
			require.ErrorIs(t, f.bucket.Delete(t.Context(), name), ErrName)
		}
		require.Empty(t, listed(t, f.bucket, "../"))
		require.Empty(t, listed(t, f.bucket, "/"))
		put(t, f.bucket, "Ω!-_.*'()~/..x/x..", "fine")
		put(t, f.bucket, strings.Repeat("n", maxPart), "fine")
	},
	"what a caller does to the bytes it got or gave does not change the object": func(t *testing.T, f form) {
		b := []byte("hello")
		_, err := f.bucket.Create(t.Context(), "x", bytes.NewReader(b))
		require.NoError(t, err)
		b[0] = 'X'
		got, err := f.bucket.Read(t.Context(), "x", 10)
		require.NoError(t, err)
		got[1] = 'X'
		require.Equal(t, "hello", get(t, f.bucket, "x"))
	},
	"it keeps what is there, and leaves nothing of the probe": func(t *testing.T, f form) {
		require.NoError(t, Probe(t.Context(), f.bucket, "1"))
		require.NoError(t, Probe(t.Context(), f.bucket, "1"))
		require.Empty(t, listed(t, f.bucket, ""))
	},
}

var badNames = []string{"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/..", "./a", "a/./b", `a\b`, `..\a`, "a\x00b", "a\nb", "a\x7f", "+a",
	"+unfinished/x", "a/+b", "a\xff", strings.Repeat("n", maxPart+1), strings.Repeat("n/", 600) + "n"}

// overlaid is a store that takes no notice of create-if-absent.
type overlaid struct{ *Memory }

func (o overlaid) Create(ctx context.Context, name string, r io.Reader) (int64, error) {
	if err := o.Delete(ctx, name); err != nil {
		return 0, err
	}
	return o.Memory.Create(ctx, name, r)
}

// A store that overwrites, or cannot be used, is found out at start.
func TestProbe(t *testing.T) {
	require.ErrorIs(t, Probe(t.Context(), overlaid{NewMemory()}, "1"), ErrOverlaid)
	down := errors.New("down")
	f := NewFaulty(NewMemory(), func(c Call) Fault { return Fault{Before: down} })
	require.ErrorIs(t, Probe(t.Context(), f, "1"), down)
	f = NewFaulty(NewMemory(), func(c Call) Fault {
		if c.Op == OpCreate && c.N == 2 {
			return Fault{Before: down} // says nothing about what a second object does
		}
		return Fault{}
	})
	require.ErrorIs(t, Probe(t.Context(), f, "1"), ErrOverlaid)
}

// A plan chooses, by call, between no effect, an effect whose answer is lost, a part of an object,
// and a call that is held.
func TestFaulty(t *testing.T) {
	ctx := t.Context()
	lost := errors.New("lost")
	held := 0
	m := NewMemory()
	f := NewFaulty(m, func(c Call) Fault {
		switch {
		case c.Op == OpCreate && c.Name == "before":
			return Fault{Before: lost}
		case c.Op == OpCreate && c.Name == "after":
			return Fault{After: lost}
		case c.Op == OpCreate && c.Name == "torn":
			return Fault{Torn: 2}
		case c.Op == OpRead && c.N == 1:
			return Fault{Hold: func(context.Context) error { held++; return nil }, Torn: 3}
		}
		return Fault{}
	})
	_, err := f.Create(ctx, "before", strings.NewReader("1234"))
	require.ErrorIs(t, err, lost)
	_, err = f.Create(ctx, "after", strings.NewReader("1234"))
	require.ErrorIs(t, err, lost)
	_, err = f.Create(ctx, "torn", strings.NewReader("1234"))
	require.ErrorIs(t, err, ErrTorn)
	require.Equal(t, []string{"after:4", "torn:2"}, listed(t, m, ""))
	require.Equal(t, "123", get(t, f, "after"))
	require.Equal(t, "1234", get(t, f, "after"))
	require.Equal(t, 1, held)
	f.SetPlan(func(Call) Fault { return Fault{Hold: func(context.Context) error { return lost }} })
	require.ErrorIs(t, f.Delete(ctx, "after"), lost)
	require.ErrorIs(t, f.List(ctx, "", nil), lost)
	_, err = f.ReadRange(ctx, "after", 0, make([]byte, 1))
	require.ErrorIs(t, err, lost)
	m.Change("after", func(b []byte) []byte { b[0] ^= 1; return b })
	require.Equal(t, "0234", get(t, m, "after"))
}

// No name that is let through leads out of the bucket.
func FuzzCheckName(f *testing.F) {
	for _, n := range append(badNames, "a/b/c.json", "..x") {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if CheckName(name) != nil {
			return
		}
		l := Local{root: "/root"}
		require.Equal(t, "/root/"+name, l.pathOf(name))
	})
}
