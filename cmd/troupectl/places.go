package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore/azure"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore/gcs"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore/s3"
)

const placesHelp = `A bucket is a folder, or a bucket of an object store:

  ./data/blocks                             a folder of this machine
  s3://BUCKET/FOLDER?endpoint=minio:9000    Amazon S3, or what has its interface
  gs://BUCKET/FOLDER                        Google Cloud Storage
  azure://ACCOUNT/CONTAINER/FOLDER          Azure Blob Storage

FOLDER may be left out. S3 also takes region=…, forcepathstyle=true and insecure=true, gs takes endpoint=… and
insecure=true, azure takes endpoint_suffix=…. Keys are those of the environment, as the tools of each vendor have
them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_KEY;
or those of the machine.`

// place is a bucket by the text that names it.
type place struct {
	text                    string
	scheme                  string // empty: a folder
	account, bucket, prefix string
	options                 url.Values
}

// parsePlace reads what names a bucket.
func parsePlace(text string) (place, error) {
	p := place{text: text}
	scheme, _, ok := strings.Cut(text, "://")
	if !ok {
		if text == "" {
			return p, errors.New("give a folder or the address of a bucket")
		}
		return p, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return p, fmt.Errorf("%q is no address of a bucket: give for instance s3://traces/folder", text)
	}
	p.scheme, p.options = scheme, u.Query()
	p.bucket, p.prefix = u.Host, strings.Trim(u.Path, "/")
	known := map[string]string{
		"s3":    "endpoint region forcepathstyle insecure",
		"gs":    "endpoint insecure",
		"azure": "endpoint_suffix",
	}
	options, ok := known[scheme]
	if !ok {
		return p, fmt.Errorf("%s:// is no store that is known: s3://, gs:// and azure:// are", scheme)
	}
	for name := range p.options {
		if !strings.Contains(" "+options+" ", " "+name+" ") {
			return p, fmt.Errorf("%s:// has no option %s: it takes %s", scheme, name, options)
		}
	}
	if scheme == "azure" {
		p.account = p.bucket
		p.bucket, p.prefix, _ = strings.Cut(p.prefix, "/")
		if p.bucket == "" {
			return p, fmt.Errorf("%q names no container: give azure://ACCOUNT/CONTAINER", text)
		}
	}
	return p, nil
}

func (p place) isSet(option string) bool {
	on, err := strconv.ParseBool(p.options.Get(option))
	return err == nil && on
}

// openRemote connects to a bucket of an object store.
func (p place) openRemote(ctx context.Context) (b objstore.Bucket, err error) {
	metrics := objstore.NewMetrics(prometheus.NewRegistry())
	var remote *objstore.Remote
	switch p.scheme {
	case "s3":
		c := s3.DefaultConfig()
		c.Bucket, c.Prefix, c.Region = p.bucket, p.prefix, p.options.Get("region")
		c.Endpoint = p.options.Get("endpoint")
		if c.Endpoint == "" {
			c.Endpoint = "s3.amazonaws.com"
		}
		c.Insecure, c.ForcePathStyle = p.isSet("insecure"), p.isSet("forcepathstyle")
		remote, err = s3.Open(c, metrics)
	case "gs":
		c := gcs.DefaultConfig()
		c.Bucket, c.Prefix = p.bucket, p.prefix
		c.Endpoint, c.Insecure = p.options.Get("endpoint"), p.isSet("insecure")
		remote, err = gcs.Open(ctx, c, metrics)
	case "azure":
		c := azure.DefaultConfig()
		c.Account, c.Container, c.Prefix = p.account, p.bucket, p.prefix
		c.Key = config.Secret(os.Getenv("AZURE_STORAGE_KEY"))
		if s := p.options.Get("endpoint_suffix"); s != "" {
			c.EndpointSuffix = s
		}
		remote, err = azure.Open(c, metrics)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.text, err)
	}
	return remote, nil
}

// cachePieces keeps pieces of objects in memory where a bucket is on the network: for commands that
// read them here and there.
func cachePieces(b objstore.Bucket) objstore.Bucket {
	if r, ok := b.(*objstore.Remote); ok {
		return objstore.NewCached(r, cachedBytes)
	}
	return b
}

// cachedBytes bounds the pieces of objects of a store on the network that are kept in memory.
const cachedBytes = 64 << 20

func noClose() error { return nil }

// openPlace opens a bucket by the text that names it; openLocal opens it where it is a folder.
func openPlace(
	ctx context.Context, text string, openLocal func(string) (*objstore.Local, error),
) (objstore.Bucket, func() error, error) {
	p, err := parsePlace(text)
	if err != nil {
		return nil, nil, err
	}
	if p.scheme != "" {
		b, err := p.openRemote(ctx)
		return b, noClose, err
	}
	l, err := openLocal(text)
	if err != nil {
		return nil, nil, err
	}
	return l, l.Close, nil
}
