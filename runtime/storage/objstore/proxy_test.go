package objstore_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore/s3"
	"github.com/troupe-tracing/troupe/test/kit/stores"
)

// behindProxy returns a bucket that reaches the server through a proxy, which handle is.
func behindProxy(t *testing.T, server stores.S3, handle stores.Handler) objstore.Bucket {
	c := configOf(server.Behind(t, handle))
	c.Retries.FirstPause, c.Retries.LastPause = time.Millisecond, 10*time.Millisecond
	return openS3(t, c)
}

// A create whose answer is lost on the way has succeeded, and another one with the same name has
// not (C9).
func TestC9LostAnswersOfS3(t *testing.T) {
	server := stores.StartS3(t)
	var puts atomic.Int64
	b := behindProxy(t, server, func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		if r.Method == http.MethodPut && puts.Add(1)%2 == 1 {
			forward.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler) // closes the connection
		}
		forward.ServeHTTP(w, r)
	})
	objstore.Put(t, b, "catalog/1", "mine")
	require.EqualValues(t, 2, puts.Load(), "the attempt whose answer was lost, and the one that found the object")
	_, err := b.Create(t.Context(), "catalog/1", strings.NewReader("ours"))
	require.ErrorIs(t, err, objstore.ErrExists)
	require.Equal(t, "mine", objstore.Get(t, b, "catalog/1"))
	objstore.Put(t, b, "large", strings.Repeat("spans", 1<<20))
	require.Len(t, mustRead(t, b, "large"), 5<<20)
}

func mustRead(t *testing.T, b objstore.Bucket, name string) []byte {
	got, err := b.Read(t.Context(), name, 1<<30)
	require.NoError(t, err)
	return got
}

// A store that does not heed the condition of a create is refused at start (C32).
func TestC32IgnoredConditionsOfS3(t *testing.T) {
	server := stores.StartS3(t)
	direct := openS3(t, configOf(server))
	var one sync.Mutex
	b := behindProxy(t, server, func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		if r.Method == http.MethodPut {
			one.Lock()
			defer one.Unlock()
			assert.NoError(t, direct.Delete(r.Context(), filepath.Base(r.URL.Path)))
		}
		forward.ServeHTTP(w, r)
	})
	require.ErrorIs(t, objstore.Probe(t.Context(), b, "2"), objstore.ErrOverlaid)
}

// A name that no bucket can have is refused at once, and not with each request.
func TestBucketNameOfS3(t *testing.T) {
	c := s3.DefaultConfig()
	c.Endpoint, c.Bucket = "127.0.0.1:1", "b"
	_, err := s3.Open(c, objstore.NewMetrics(prometheus.NewRegistry()))
	require.ErrorContains(t, err, `bucket "b": `)
}

// What the store says for good is said at once, with the remedy that it names.
func TestRefusalsOfS3(t *testing.T) {
	server := stores.StartS3(t)
	c := configOf(server)
	c.Keys.SecretKey = "wrong"
	_, err := openS3(t, c).Create(t.Context(), "x", strings.NewReader("y"))
	require.ErrorIs(t, err, objstore.ErrRefused)
	require.ErrorContains(t, err, "signature")
	c = configOf(server)
	c.Bucket = "another"
	_, err = openS3(t, c).Read(t.Context(), "x", 10)
	require.ErrorIs(t, err, objstore.ErrRefused)
	require.NotErrorIs(t, err, objstore.ErrNotFound, "a bucket that is missing is not an object that is")
}
