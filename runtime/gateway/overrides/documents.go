package overrides

import (
	"context"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/limits"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// Documents are what tenants have set themselves, one JSON document for each tenant. Errors are
// classed as runtime/kernel/status says; ErrVersion means that another version is there.
type Documents interface {
	// Get returns the document of a tenant and its version. Version 0 means that there is none. The
	// body is not to be changed.
	Get(ctx context.Context, tenant string) (body []byte, version uint64, err error)
	// Put replaces the document of a version and returns the new version when it is durable.
	Put(ctx context.Context, tenant string, version uint64, body []byte) (uint64, error)
	// Delete removes the document of a version.
	Delete(ctx context.Context, tenant string, version uint64) error
	// Tenants lists the tenants that have a document, and nobody while the node starts.
	Tenants(ctx context.Context) []string
}

// AskActor returns the documents that the overrides actor keeps.
func AskActor(asker ask.Asker, directory ask.Directory) Documents {
	return &askedDocuments{asker: asker, directory: directory}
}

// askedDocuments asks the actor for each call. Until the actor runs they are unavailable.
type askedDocuments struct {
	asker     ask.Asker
	directory ask.Directory
}

// Get implements Documents.
func (d *askedDocuments) Get(ctx context.Context, tenant string) ([]byte, uint64, error) {
	doc, err := askFor[limits.OwnDocument](ctx, d, limits.ReadOwn{Tenant: tenant})
	return doc.Body, doc.Version, err
}

// Put implements Documents.
func (d *askedDocuments) Put(ctx context.Context, tenant string, version uint64, body []byte) (uint64, error) {
	return d.askToWrite(ctx, limits.WriteOwn{Tenant: tenant, Version: version, Body: body})
}

// Delete implements Documents.
func (d *askedDocuments) Delete(ctx context.Context, tenant string, version uint64) error {
	_, err := d.askToWrite(ctx, limits.RemoveOwn{Tenant: tenant, Version: version})
	return err
}

// Tenants implements Documents.
func (d *askedDocuments) Tenants(ctx context.Context) []string {
	list, err := askFor[limits.OwnTenants](ctx, d, limits.ListOwn{})
	if err != nil {
		return nil
	}
	return list.Tenants
}

func (d *askedDocuments) askToWrite(ctx context.Context, msg any) (uint64, error) {
	w, err := askFor[limits.OwnWritten](ctx, d, msg)
	if err == nil && w.Conflict {
		err = ErrVersion
	}
	return w.Version, err
}

func askFor[T any](ctx context.Context, d *askedDocuments, msg any) (T, error) {
	to, err := d.directory.Find(kinds.Overrides, "")
	if err != nil {
		var none T
		return none, status.Errorf(status.Unavailable, "the node is starting")
	}
	return ask.Ask[T](ctx, d.asker, to, msg)
}
