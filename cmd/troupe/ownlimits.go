package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-tracing/troupe/runtime/gateway/overrides"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/storage/documents"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// OwnLimits are what tenants may set themselves.
type OwnLimits struct {
	// /api/overrides is served, where tenants set some things themselves.
	Enabled bool `koanf:"enabled"`
	// How often the node looks for what other processes have written. What it has taken itself
	// holds at once.
	Poll time.Duration `koanf:"poll_interval"`
	API  OwnLimitsAPI  `koanf:"api"`
}

// OwnLimitsAPI is what /api/overrides takes.
type OwnLimitsAPI struct {
	// A tenant's own settings are refused where the operator's file has an entry for it.
	Check bool `koanf:"check_for_conflicting_runtime_overrides"`
}

// Validate names every value that cannot work.
func (o OwnLimits) Validate() error {
	if o.Poll <= 0 {
		return errors.New("poll_interval: must be positive")
	}
	return nil
}

// openOwn reads what tenants have set, from the journal in the bucket.
func (t *tenants) openOwn(ctx context.Context, b objstore.Bucket) error {
	if !t.cfg.Own.Enabled {
		return nil
	}
	s, err := documents.Open(ctx, journal.New(b, "overrides/"))
	if err != nil {
		return fmt.Errorf("read what tenants have set: %w: restore the folder overrides of the bucket from a copy, or move it away to begin without", err)
	}
	t.own.Store(s)
	go every(ctx, t.cfg.Own.Poll, func() {
		if err := s.Refresh(ctx); err != nil && ctx.Err() == nil {
			t.log.Error("what tenants have set stays as it was read last", "err", err)
		}
	})
	return nil
}

// ownStore is the documents as the API reaches them; until they are read it is unavailable.
type ownStore struct{ t *tenants }

func (o ownStore) open() (*documents.Store, error) {
	if s := o.t.own.Load(); s != nil {
		return s, nil
	}
	return nil, status.Errorf(status.Unavailable, "the node is starting")
}

// Get returns what a tenant has set.
func (o ownStore) Get(tenant string) ([]byte, uint64, error) {
	s, err := o.open()
	if err != nil {
		return nil, 0, err
	}
	d := s.Get(tenant)
	return d.Body, d.Version, nil
}

// Put replaces it.
func (o ownStore) Put(ctx context.Context, tenant string, version uint64, body []byte) (uint64, error) {
	s, err := o.open()
	if err != nil {
		return 0, err
	}
	version, err = s.Put(ctx, tenant, version, body)
	return version, classed(err)
}

// Delete removes it.
func (o ownStore) Delete(ctx context.Context, tenant string, version uint64) error {
	s, err := o.open()
	if err != nil {
		return err
	}
	return classed(s.Delete(ctx, tenant, version))
}

// Tenants lists who has set something.
func (o ownStore) Tenants() []string {
	s, err := o.open()
	if err != nil {
		return nil
	}
	return s.Tenants()
}

func classed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, documents.ErrVersion):
		return overrides.ErrVersion
	case errors.Is(err, documents.ErrFull):
		return status.Errorf(status.Limited, "%w", err)
	case errors.Is(err, journal.ErrCorrupt):
		return status.Errorf(status.Corrupt, "%w", err)
	}
	return status.Errorf(status.Unavailable, "%w", err)
}
