package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-tracing/troupe/runtime/storage/localdisk"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore/azure"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore/gcs"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore/s3"
)

// bucketPlace says where the blocks are, by the key that configures it.
func (t TraceStorage) bucketPlace() string {
	place, prefix := "storage.trace.local.path "+t.Local.Path, ""
	switch t.Backend {
	case "s3":
		place = fmt.Sprintf("storage.trace.s3 bucket %s at %s", t.S3.Bucket, t.S3.Endpoint)
		prefix = t.S3.Prefix
	case "gcs":
		place, prefix = "storage.trace.gcs bucket "+t.GCS.Bucket, t.GCS.Prefix
	case "azure":
		place = fmt.Sprintf("storage.trace.azure container %s of %s", t.Azure.Container, t.Azure.Account)
		prefix = t.Azure.Prefix
	}
	if prefix != "" {
		place += ", folder " + prefix
	}
	return place
}

// openBucket opens the bucket, and claims it for this node where it is a folder. A full bucket is
// opened too, because it can be read. The caller closes the bucket with the function that it gets.
func openBucket(
	ctx context.Context, cfg Config, logger *slog.Logger, registry *prometheus.Registry,
) (b objstore.Bucket, closeBucket func() error, err error) {
	t := cfg.Storage.Trace
	failed := func(err error) error { return fmt.Errorf("%s: %w", t.bucketPlace(), err) }
	closeBucket = func() error { return nil }
	if t.Backend == "local" {
		b, closeBucket, err = openFolder(t.Local.Path)
	} else {
		b, err = openRemote(ctx, t, registry)
	}
	if err != nil {
		return nil, nil, failed(err)
	}
	err = objstore.Probe(ctx, b, uuid.NewString())
	if errors.Is(err, objstore.ErrFull) {
		logger.Warn("the bucket is full; no block can be written", "bucket", t.bucketPlace(), "err", err)
		err = nil
	}
	if err != nil && t.Backend != "local" {
		err = fmt.Errorf("%w; check that the store can be reached from here, that the bucket exists, and that the "+
			"keys of storage.trace.%s may create, read, list and remove objects in it", err, t.Backend)
	}
	if err != nil {
		return nil, nil, errors.Join(failed(err), closeBucket())
	}
	return b, closeBucket, nil
}

// openFolder opens a bucket in a folder of this machine.
func openFolder(path string) (objstore.Bucket, func() error, error) {
	b, err := objstore.OpenLocal(path)
	if err != nil {
		return nil, nil, err
	}
	err = b.Claim()
	if errors.Is(err, localdisk.ErrLocked) {
		err = fmt.Errorf("%w: %s", err, ownFolders)
	}
	if err != nil {
		return nil, nil, errors.Join(err, b.Close())
	}
	return b, b.Close, nil
}

// openRemote connects to a bucket on the network, of which chunks are kept in memory.
func openRemote(ctx context.Context, t TraceStorage, registry *prometheus.Registry) (objstore.Bucket, error) {
	var remote *objstore.Remote
	var err error
	metrics := objstore.NewMetrics(registry)
	switch t.Backend {
	case "s3":
		remote, err = s3.Open(t.S3, metrics)
	case "gcs":
		remote, err = gcs.Open(ctx, t.GCS, metrics)
	case "azure":
		remote, err = azure.Open(t.Azure, metrics)
	}
	if err != nil {
		return nil, err
	}
	cached := objstore.NewCached(remote, int64(t.Cache))
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "troupe_bucket_cache_bytes",
		Help: "Bytes of objects of the object store that are kept in memory.",
	}, func() float64 { return float64(cached.Used()) }))
	return cached, nil
}
