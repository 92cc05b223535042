// Package s3 reaches the buckets of Amazon S3 and of stores with its interface.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// Open connects to a bucket. It sends no request yet.
func Open(c Config, m *objstore.Metrics) (*objstore.Remote, error) {
	// The client would refuse the name of each request, with an error that looks as if it could
	// pass.
	if err := s3utils.CheckValidBucketName(c.Bucket); err != nil {
		return nil, fmt.Errorf("bucket %q: %w", c.Bucket, err)
	}
	s, err := newStore(c)
	if err != nil {
		return nil, err
	}
	return objstore.NewRemote(s, objstore.RemoteConfig{
		Prefix:     c.Prefix,
		Attempts:   c.Retries.Attempts,
		FirstPause: c.Retries.FirstPause,
		LastPause:  c.Retries.LastPause,
		HedgeAfter: c.Retries.HedgeAfter,
	}, m), nil
}

// store is an objstore.Store.
type store struct {
	client *minio.Core
	bucket string
	create minio.PutObjectOptions
	sealed encrypt.ServerSide // with a key of the client's own, which each read has to show; nil: none
}

// headerTimeout is how long a store may take to begin its answer. It is generous, because a create
// is answered when the object is durable.
const headerTimeout = time.Minute

func newStore(c Config) (*store, error) {
	tls, err := c.TLS.Client()
	if err != nil {
		return nil, err
	}
	transport, err := minio.DefaultTransport(!c.Insecure)
	if err != nil {
		return nil, err
	}
	transport.TLSClientConfig, transport.ResponseHeaderTimeout = tls, headerTimeout
	client, err := minio.NewCore(c.Endpoint, &minio.Options{
		Creds:           c.credentials(),
		Secure:          !c.Insecure,
		Transport:       transport,
		Region:          c.Region,
		BucketLookup:    c.bucketLookup(),
		TrailingHeaders: true,
		// A repeated create would find the object of the attempt before it and call it another
		// writer's. The Remote repeats what fails, and knows.
		MaxRetries: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	sse, err := c.SSE.encryption()
	if err != nil {
		return nil, err
	}
	s := &store{client: client, bucket: c.Bucket, create: minio.PutObjectOptions{
		ContentType:          "application/octet-stream",
		UserMetadata:         c.Metadata,
		UserTags:             c.Tags,
		StorageClass:         c.StorageClass,
		ServerSideEncryption: sse,
		DisableMultipart:     true,
	}}
	s.create.SetMatchETagExcept("*") // If-None-Match: create where absent
	if sse != nil && sse.Type() == encrypt.SSEC {
		s.sealed = sse
	}
	return s, nil
}

// credentials are those of the configuration, else what the environment has.
func (c Config) credentials() *credentials.Credentials {
	if c.Keys.AccessKey != "" {
		return credentials.NewStaticV4(c.Keys.AccessKey, c.Keys.SecretKey.Value(), c.Keys.SessionToken.Value())
	}
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{},
		&credentials.FileAWSCredentials{},
		&credentials.EnvMinio{},
		&credentials.IAM{Client: &http.Client{Transport: http.DefaultTransport, Timeout: 10 * time.Second}},
	})
}

func (c Config) bucketLookup() minio.BucketLookupType {
	if c.ForcePathStyle {
		return minio.BucketLookupPath
	}
	return minio.BucketLookupType(c.BucketLookup)
}

func (s *store) CreateObject(ctx context.Context, name string, body io.ReadSeeker, size int64) error {
	o := s.create
	o.DisableContentSha256 = size == 0 // some stores take the signature behind an empty body for another request
	_, err := s.client.Client.PutObject(ctx, s.bucket, name, body, size, o)
	return classify(err)
}

func (s *store) OpenObject(ctx context.Context, name string, off, length int64) (io.ReadCloser, int64, error) {
	o := minio.GetObjectOptions{ServerSideEncryption: s.sealed}
	if length >= 0 {
		if err := o.SetRange(off, off+length-1); err != nil {
			return nil, 0, fmt.Errorf("%w: %w", objstore.ErrRefused, err)
		}
	}
	body, info, _, err := s.client.GetObject(ctx, s.bucket, name, o)
	if minio.ToErrorResponse(err).StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return io.NopCloser(strings.NewReader("")), 0, nil // behind the end
	}
	if err != nil {
		return nil, 0, classify(err)
	}
	return body, info.Size, nil
}

func (s *store) ListObjects(ctx context.Context, prefix, after string, f func(objstore.Info) error) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	o := minio.ListObjectsOptions{Prefix: prefix, StartAfter: after, Recursive: true}
	for x := range s.client.Client.ListObjectsIter(ctx, s.bucket, o) {
		if x.Err != nil {
			return classify(x.Err)
		}
		if err := f(objstore.Info{Name: x.Key, Size: x.Size}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *store) DeleteObject(ctx context.Context, name string) error {
	err := classify(s.client.RemoveObject(ctx, s.bucket, name, minio.RemoveObjectOptions{}))
	if errors.Is(err, objstore.ErrNotFound) {
		return nil
	}
	return err
}

// classify wraps an error of the store in the one that objstore.Store names for it.
func classify(err error) error {
	if err == nil {
		return nil
	}
	r := minio.ToErrorResponse(err)
	var class error
	switch {
	case r.StatusCode == http.StatusPreconditionFailed:
		class = objstore.ErrExists
	case r.Code == minio.NoSuchKey:
		class = objstore.ErrNotFound
	case r.StatusCode == http.StatusInsufficientStorage, r.Code == "XMinioStorageFull", r.Code == "QuotaExceeded":
		class = objstore.ErrFull
	case r.StatusCode == http.StatusConflict, r.StatusCode == http.StatusRequestTimeout,
		r.StatusCode == http.StatusTooManyRequests, r.Code == "RequestTimeout", r.Code == "RequestTimeTooSkewed":
		return err // 409: two creates met, and neither has won for certain
	case r.StatusCode >= 400 && r.StatusCode < 500, r.StatusCode == http.StatusNotImplemented:
		class = objstore.ErrRefused
	default:
		return err
	}
	return fmt.Errorf("%w: %w", class, err)
}
