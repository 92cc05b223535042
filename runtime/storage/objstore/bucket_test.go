package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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

var badNames = []string{"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/..", "./a", "a/./b", `a\b`, `..\a`, "a\x00b", "a\nb", "a\x7f", "+a",
	"+unfinished/x", "a/+b", "a\xff", strings.Repeat("n", maxPart+1), strings.Repeat("n/", 600) + "n"}

// overlaid is a store that takes no notice of create-if-absent.
type overlaid struct{ *Memory }

func (o overlaid) Create(ctx context.Context, name string, r io.Reader) (int64, error) {
	if err := o.Delete(ctx, name); err != nil {
		return 0, err
	}
	n, err := o.Memory.Create(ctx, name, r)
	if errors.Is(err, ErrExists) { // another one came between
		err = nil
	}
	return n, err
}

// lookingFirst is a store that looks whether there is an object before it writes (C32).
type lookingFirst struct{ overlaid }

func (l lookingFirst) Create(ctx context.Context, name string, r io.Reader) (int64, error) {
	if _, err := l.Read(ctx, name, 100); err == nil {
		return 0, ErrExists
	}
	time.Sleep(time.Millisecond)
	return l.overlaid.Create(ctx, name, r)
}

// A store that overwrites, or cannot be used, is found out at start.
func TestProbe(t *testing.T) {
	require.ErrorIs(t, Probe(t.Context(), overlaid{NewMemory()}, "1"), ErrOverlaid)
	require.ErrorIs(t, Probe(t.Context(), lookingFirst{overlaid{NewMemory()}}, "1"), ErrOverlaid)
	down := errors.New("down")
	f := NewFaulty(NewMemory(), func(c Call) Fault { return Fault{Before: down} })
	require.ErrorIs(t, Probe(t.Context(), f, "1"), down)
	f = NewFaulty(NewMemory(), func(c Call) Fault {
		if c.Op == OpCreate && c.N == 2 {
			return Fault{Before: down} // says nothing about what a second object does
		}
		return Fault{}
	})
	require.ErrorIs(t, Probe(t.Context(), f, "1"), down)
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
