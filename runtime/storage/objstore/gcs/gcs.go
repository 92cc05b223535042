// Package gcs reaches the buckets of Google Cloud Storage.
package gcs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// Open connects to a bucket. It sends no request yet, but one for credentials may be needed.
func Open(ctx context.Context, c Config, m *objstore.Metrics) (*objstore.Remote, error) {
	options := []option.ClientOption{storage.WithJSONReads()}
	if c.Endpoint != "" {
		options = append(options, option.WithEndpoint(c.Endpoint))
	}
	if c.Insecure {
		options = append(options, option.WithoutAuthentication())
	}
	client, err := storage.NewClient(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to Google Cloud Storage: %w", err)
	}
	// A repeated create would find the object of the attempt before it and call it another
	// writer's. The Remote repeats what fails, and knows.
	bucket := client.Bucket(c.Bucket).Retryer(storage.WithPolicy(storage.RetryNever))
	cfg := objstore.DefaultRemoteConfig()
	cfg.Prefix, cfg.HedgeAfter, cfg.Attempts = c.Prefix, c.HedgeAfter, c.Attempts
	return objstore.NewRemote(&store{bucket: bucket, cfg: c}, cfg, m), nil
}

// store is an objstore.Store.
type store struct {
	bucket *storage.BucketHandle
	cfg    Config
}

func (s *store) CreateObject(ctx context.Context, name string, body io.ReadSeeker, _ int64) error {
	ctx, end := context.WithCancel(ctx)
	defer end() // a writer that is not closed gives its object up
	w := s.bucket.Object(name).If(storage.Conditions{DoesNotExist: true}).NewWriter(ctx)
	w.ChunkSize = 0 // one request
	w.ContentType, w.CacheControl, w.Metadata = "application/octet-stream", s.cfg.CacheControl, s.cfg.Metadata
	if _, err := io.Copy(w, body); err != nil {
		return classify(err)
	}
	return classify(w.Close())
}

func (s *store) OpenObject(ctx context.Context, name string, off, length int64) (io.ReadCloser, int64, error) {
	r, err := s.bucket.Object(name).NewRangeReader(ctx, off, length)
	if statusOf(err) == http.StatusRequestedRangeNotSatisfiable {
		return io.NopCloser(strings.NewReader("")), 0, nil // behind the end
	}
	if err != nil {
		return nil, 0, classify(err)
	}
	return r, r.Attrs.Size, nil
}

func (s *store) ListObjects(ctx context.Context, prefix, after string, f func(objstore.Info) error) error {
	q := &storage.Query{Prefix: prefix, StartOffset: after}
	if err := q.SetAttrSelection([]string{"Name", "Size"}); err != nil {
		return fmt.Errorf("%w: %w", objstore.ErrRefused, err)
	}
	list := s.bucket.Objects(ctx, q)
	for {
		x, err := list.Next()
		if errors.Is(err, iterator.Done) {
			return nil
		}
		if err != nil {
			return classify(err)
		}
		if x.Name == after { // the list begins with it
			continue
		}
		if err := f(objstore.Info{Name: x.Name, Size: x.Size}); err != nil {
			return err
		}
	}
}

func (s *store) DeleteObject(ctx context.Context, name string) error {
	err := classify(s.bucket.Object(name).Delete(ctx))
	if errors.Is(err, objstore.ErrNotFound) {
		return nil
	}
	return err
}

// statusOf returns the HTTP status of an error of the store, 0 where it has none.
func statusOf(err error) int {
	var e *googleapi.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// classify wraps an error of the store in the one that objstore.Store names for it.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var class error
	switch status := statusOf(err); {
	case errors.Is(err, storage.ErrObjectNotExist):
		class = objstore.ErrNotFound
	case status == http.StatusPreconditionFailed:
		class = objstore.ErrExists
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
		return err
	case status >= 400 && status < 500, errors.Is(err, storage.ErrBucketNotExist):
		class = objstore.ErrRefused
	default:
		return err
	}
	return fmt.Errorf("%w: %w", class, err)
}
