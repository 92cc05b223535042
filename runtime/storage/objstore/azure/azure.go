// Package azure reaches the containers of Azure Blob Storage.
package azure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// Open connects to a container. It sends no request yet.
func Open(c Config, m *objstore.Metrics) (*objstore.Remote, error) {
	client, err := c.connect()
	if err != nil {
		return nil, fmt.Errorf("connect to Azure Blob Storage: %w", err)
	}
	cfg := objstore.DefaultRemoteConfig()
	cfg.Prefix, cfg.HedgeAfter = c.Prefix, c.HedgeAfter
	return objstore.NewRemote(&store{client}, cfg, m), nil
}

// connect makes the client of the container, by the key of the account or by an identity.
func (c Config) connect() (*container.Client, error) {
	options := &container.ClientOptions{}
	// A repeated create would find the object of the attempt before it and call it another
	// writer's. The Remote repeats what fails, and knows.
	options.Retry = policy.RetryOptions{MaxRetries: -1}
	if c.Key != "" {
		key, err := container.NewSharedKeyCredential(c.Account, c.Key.Value())
		if err != nil {
			return nil, fmt.Errorf("storage_account_key: %w", err)
		}
		return container.NewClientWithSharedKeyCredential(c.url(), key, options)
	}
	identity, err := c.findIdentity()
	if err != nil {
		return nil, err
	}
	return container.NewClient(c.url(), identity, options)
}

// findIdentity returns the identity that requests carry where no key is configured.
func (c Config) findIdentity() (azcore.TokenCredential, error) {
	switch {
	case c.FederatedToken:
		return azidentity.NewWorkloadIdentityCredential(nil)
	case c.UserAssigned != "":
		id := azidentity.ClientID(c.UserAssigned)
		return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: id})
	case c.ManagedIdentity:
		return azidentity.NewManagedIdentityCredential(nil)
	}
	return azidentity.NewDefaultAzureCredential(nil)
}

// url is the address of the container.
func (c Config) url() string {
	if strings.Contains(c.EndpointSuffix, "://") {
		return strings.TrimSuffix(c.EndpointSuffix, "/") + "/" + c.Account + "/" + c.Container
	}
	return "https://" + c.Account + "." + c.EndpointSuffix + "/" + c.Container
}

// store is an objstore.Store.
type store struct{ client *container.Client }

func (s *store) CreateObject(ctx context.Context, name string, body io.ReadSeeker, _ int64) error {
	anyTag := azcore.ETagAny
	kind := "application/octet-stream"
	_, err := s.client.NewBlockBlobClient(name).Upload(ctx, streaming.NopCloser(body), &blockblob.UploadOptions{
		HTTPHeaders: &blob.HTTPHeaders{BlobContentType: &kind},
		AccessConditions: &blob.AccessConditions{
			ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: &anyTag},
		},
	})
	return classify(err)
}

func (s *store) OpenObject(ctx context.Context, name string, off, length int64) (io.ReadCloser, int64, error) {
	part := blob.HTTPRange{}
	if length >= 0 {
		part = blob.HTTPRange{Offset: off, Count: length}
	}
	r, err := s.client.NewBlobClient(name).DownloadStream(ctx, &blob.DownloadStreamOptions{Range: part})
	if bloberror.HasCode(err, bloberror.InvalidRange) {
		return io.NopCloser(strings.NewReader("")), 0, nil // behind the end
	}
	if err != nil {
		return nil, 0, classify(err)
	}
	size := int64(0)
	if r.ContentLength != nil {
		size = *r.ContentLength
	}
	return r.Body, size, nil
}

// ListObjects lists from the start of the prefix, because the store takes no name to begin after.
func (s *store) ListObjects(ctx context.Context, prefix, after string, f func(objstore.Info) error) error {
	pages := s.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &prefix})
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return classify(err)
		}
		for _, x := range page.Segment.BlobItems {
			if *x.Name <= after {
				continue
			}
			if err := f(objstore.Info{Name: *x.Name, Size: *x.Properties.ContentLength}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *store) DeleteObject(ctx context.Context, name string) error {
	_, err := s.client.NewBlobClient(name).Delete(ctx, nil)
	if err = classify(err); errors.Is(err, objstore.ErrNotFound) {
		return nil
	}
	return err
}

// classify wraps an error of the store in the one that objstore.Store names for it.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var class error
	var r *azcore.ResponseError
	known := errors.As(err, &r)
	switch {
	case bloberror.HasCode(err, bloberror.BlobAlreadyExists, bloberror.ConditionNotMet):
		class = objstore.ErrExists
	case bloberror.HasCode(err, bloberror.BlobNotFound):
		class = objstore.ErrNotFound
	case known && (r.StatusCode == http.StatusConflict || r.StatusCode == http.StatusRequestTimeout ||
		r.StatusCode == http.StatusTooManyRequests):
		return err
	case known && r.StatusCode >= 400 && r.StatusCode < 500:
		class = objstore.ErrRefused
	default:
		return err
	}
	return fmt.Errorf("%w: %w", class, err)
}
