package objstore_test

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

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore/azure"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore/gcs"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore/s3"
	"github.com/troupe-tracing/troupe/test/kit/stores"
)

// form is one implementation under test. reopen opens it again as its process would after an end;
// nil: there is nothing to reopen.
type form struct {
	bucket objstore.Bucket
	reopen func(t *testing.T) objstore.Bucket
}

// forms start each form for the whole suite, and return what opens an empty bucket of it.
var forms = map[string]func(t *testing.T) func(t *testing.T) form{
	"memory": func(*testing.T) func(t *testing.T) form {
		return func(*testing.T) form { return form{bucket: objstore.NewMemory()} }
	},
	"faulty": func(*testing.T) func(t *testing.T) form {
		return func(*testing.T) form { return form{bucket: objstore.NewFaulty(objstore.NewMemory(), nil)} }
	},
	"local": func(*testing.T) func(t *testing.T) form {
		return func(t *testing.T) form {
			dir := t.TempDir() + "/not/there/yet"
			l := objstore.OpenAt(t, dir)
			return form{bucket: l, reopen: func(t *testing.T) objstore.Bucket {
				require.NoError(t, l.Close())
				return objstore.OpenAt(t, dir)
			}}
		}
	},
	"cached": func(*testing.T) func(t *testing.T) form {
		return func(*testing.T) form { return form{bucket: objstore.NewCached(objstore.NewMemory(), 1<<20)} }
	},
	"s3": func(t *testing.T) func(t *testing.T) form {
		server, n := stores.StartS3(t), 0
		return func(t *testing.T) form {
			n++
			c := configOf(server)
			c.Prefix = fmt.Sprintf("deep/folder-%d", n)
			open := func(t *testing.T) objstore.Bucket { return openS3(t, c) }
			return form{bucket: open(t), reopen: open}
		}
	},

	"gcs": func(t *testing.T) func(t *testing.T) form {
		endpoint, n := stores.StartGCS(t), 0
		return func(t *testing.T) form {
			n++
			c := gcs.DefaultConfig()
			c.Endpoint, c.Bucket, c.Insecure = endpoint, "traces", true
			c.Prefix = fmt.Sprintf("folder-%d", n)
			require.NoError(t, c.Validate())
			b, err := gcs.Open(context.Background(), c, objstore.NewMetrics(prometheus.NewRegistry()))
			require.NoError(t, err)
			return form{bucket: b}
		}
	},
	"azure": func(t *testing.T) func(t *testing.T) form {
		server, n := stores.StartAzure(t), 0
		return func(t *testing.T) form {
			n++
			c := azure.DefaultConfig()
			c.EndpointSuffix, c.Account, c.Key = server.Endpoint, server.Account, config.Secret(server.Key)
			c.Container, c.Prefix = server.Container, fmt.Sprintf("folder-%d", n)
			require.NoError(t, c.Validate())
			b, err := azure.Open(c, objstore.NewMetrics(prometheus.NewRegistry()))
			require.NoError(t, err)
			return form{bucket: b}
		}
	},
}

// configOf returns the configuration of a bucket of a server.
func configOf(server stores.S3) s3.Config {
	c := s3.DefaultConfig()
	c.Endpoint, c.Bucket, c.Insecure = server.Endpoint, server.Bucket, true
	c.Keys.AccessKey, c.Keys.SecretKey = server.AccessKey, config.Secret(server.SecretKey)
	return c
}

func openS3(t testing.TB, c s3.Config) objstore.Bucket {
	t.Helper()
	require.NoError(t, c.Validate())
	b, err := s3.Open(c, objstore.NewMetrics(prometheus.NewRegistry()))
	require.NoError(t, err)
	return b
}

// What objstore.Bucket promises holds for every form of it.
func TestBucket(t *testing.T) {
	for name, start := range forms {
		t.Run(name, func(t *testing.T) {
			open := start(t)
			for what, test := range suite {
				t.Run(what, func(t *testing.T) { test(t, open(t)) })
			}
		})
	}
}

var suite = map[string]func(t *testing.T, f form){
	"what is created is read, whole and in ranges, also after a restart": func(t *testing.T, f form) {
		b := f.bucket
		objstore.Put(t, b, "tenant/1/spans", "0123456789")
		objstore.Put(t, b, "empty", "")
		read := func(b objstore.Bucket) {
			require.Equal(t, "0123456789", objstore.Get(t, b, "tenant/1/spans"))
			require.Empty(t, objstore.Get(t, b, "empty"))
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
			require.ErrorIs(t, err, objstore.ErrTooLarge)
		}
		read(b)
		if f.reopen != nil {
			read(f.reopen(t))
		}
	},
	"an object is never overwritten, but its name is free once it is deleted": func(t *testing.T, f form) {
		b := f.bucket
		objstore.Put(t, b, "a/b", "first")
		_, err := b.Create(t.Context(), "a/b", strings.NewReader("second"))
		require.ErrorIs(t, err, objstore.ErrExists)
		require.ErrorContains(t, err, "a/b")
		require.Equal(t, "first", objstore.Get(t, b, "a/b"))
		require.NoError(t, b.Delete(t.Context(), "a/b"))
		require.NoError(t, b.Delete(t.Context(), "a/b"), "one that is not there is no error")
		_, err = b.Read(t.Context(), "a/b", 10)
		require.ErrorIs(t, err, objstore.ErrNotFound)
		_, err = b.ReadRange(t.Context(), "a/b", 0, make([]byte, 1))
		require.ErrorIs(t, err, objstore.ErrNotFound)
		objstore.Put(t, b, "a/b", "second")
		require.Equal(t, "second", objstore.Get(t, b, "a/b"))
	},
	"a folder is no object": func(t *testing.T, f form) {
		objstore.Put(t, f.bucket, "a/b/c", "x")
		_, err := f.bucket.Read(t.Context(), "a/b", 10)
		require.ErrorIs(t, err, objstore.ErrNotFound)
		_, err = f.bucket.ReadRange(t.Context(), "a", 0, make([]byte, 1))
		require.ErrorIs(t, err, objstore.ErrNotFound)
		_, err = f.bucket.Read(t.Context(), "a/b/c/d", 10)
		require.ErrorIs(t, err, objstore.ErrNotFound)
		require.NoError(t, f.bucket.Delete(t.Context(), "a/b"))
		require.NoError(t, f.bucket.Delete(t.Context(), "a/b/c/d"))
		require.Equal(t, "x", objstore.Get(t, f.bucket, "a/b/c"))
	},
	"of several writers of one name exactly one wins, and its object is whole": func(t *testing.T, f form) {
		for round := range 20 {
			name := fmt.Sprintf("race/%d/entry", round)
			won := make([]bool, 8)
			var wg sync.WaitGroup
			for i := range won {
				wg.Go(func() {
					_, err := f.bucket.Create(context.Background(), name, strings.NewReader(strings.Repeat(string(rune('a'+i)), 5000)))
					if won[i] = err == nil; !won[i] && !errors.Is(err, objstore.ErrExists) {
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
			require.Equal(t, strings.Repeat(string(rune('a'+winner)), 5000), objstore.Get(t, f.bucket, name))
		}
	},
	"an object whose reader fails or whose caller is gone is not there": func(t *testing.T, f form) {
		broken := errors.New("broken")
		_, err := f.bucket.Create(t.Context(), "a/x", io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)))
		require.ErrorIs(t, err, broken)
		ctx, cancel := context.WithCancel(t.Context())
		_, err = f.bucket.Create(ctx, "a/y", io.MultiReader(strings.NewReader("half"), objstore.ReaderOf(func(p []byte) (int, error) { cancel(); return 1, nil })))
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, objstore.Listed(t, f.bucket, ""))
		objstore.Put(t, f.bucket, "a/x", "whole")
		_, err = f.bucket.Read(ctx, "a/x", 10)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, f.bucket.List(ctx, "", func(objstore.Info) error { return nil }), context.Canceled)
		require.ErrorIs(t, f.bucket.Delete(ctx, "a/x"), context.Canceled)
	},
	"a list is in the order of names, of what begins with the prefix, and ends with its caller's error": func(t *testing.T, f form) {
		names := []string{"a", "b-x", "b/1/z", "b/1-", "b/10", "b/2/y", "b0", "c"}
		for _, n := range names {
			objstore.Put(t, f.bucket, n, n)
		}
		require.Equal(t, []string{"a:1", "b-x:3", "b/1-:4", "b/1/z:5", "b/10:4", "b/2/y:5", "b0:2", "c:1"}, objstore.Listed(t, f.bucket, ""))
		require.Equal(t, []string{"b/1-:4", "b/1/z:5", "b/10:4", "b/2/y:5"}, objstore.Listed(t, f.bucket, "b/"))
		require.Equal(t, []string{"b/1-:4", "b/1/z:5", "b/10:4"}, objstore.Listed(t, f.bucket, "b/1"))
		require.Equal(t, []string{"b/1/z:5"}, objstore.Listed(t, f.bucket, "b/1/"))
		require.Equal(t, []string{"b/1/z:5"}, objstore.Listed(t, f.bucket, "b/1/z"))
		require.Empty(t, objstore.Listed(t, f.bucket, "x/"))
		require.Empty(t, objstore.Listed(t, f.bucket, "b/1/z/"))
		stop, n := errors.New("stop"), 0
		require.ErrorIs(t, f.bucket.List(t.Context(), "", func(objstore.Info) error { n++; return stop }), stop)
		require.Equal(t, 1, n)
	},
	"names that leave the bucket, or that a store could not take, are refused": func(t *testing.T, f form) {
		for _, name := range objstore.BadNames {
			_, err := f.bucket.Create(t.Context(), name, strings.NewReader("x"))
			require.ErrorIs(t, err, objstore.ErrName, "%q", name)
			_, err = f.bucket.Read(t.Context(), name, 10)
			require.ErrorIs(t, err, objstore.ErrName)
			_, err = f.bucket.ReadRange(t.Context(), name, 0, make([]byte, 1))
			require.ErrorIs(t, err, objstore.ErrName)
			require.ErrorIs(t, f.bucket.Delete(t.Context(), name), objstore.ErrName)
		}
		require.Empty(t, objstore.Listed(t, f.bucket, "../"))
		require.Empty(t, objstore.Listed(t, f.bucket, "/"))
		objstore.Put(t, f.bucket, "Ω!-_.*'()~/..x/x..", "fine")
		objstore.Put(t, f.bucket, strings.Repeat("n", objstore.MaxPart), "fine")
	},
	"what a caller does to the bytes it got or gave does not change the object": func(t *testing.T, f form) {
		b := []byte("hello")
		_, err := f.bucket.Create(t.Context(), "x", bytes.NewReader(b))
		require.NoError(t, err)
		b[0] = 'X'
		got, err := f.bucket.Read(t.Context(), "x", 10)
		require.NoError(t, err)
		got[1] = 'X'
		require.Equal(t, "hello", objstore.Get(t, f.bucket, "x"))
	},
	"it keeps what is there, and leaves nothing of the probe": func(t *testing.T, f form) {
		require.NoError(t, objstore.Probe(t.Context(), f.bucket, "1"))
		require.NoError(t, objstore.Probe(t.Context(), f.bucket, "1"))
		require.Empty(t, objstore.Listed(t, f.bucket, ""))
	},
}
