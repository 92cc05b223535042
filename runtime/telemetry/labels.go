package telemetry

import "sync"

// OtherTenants is the label of every tenant that has none of its own. No tenant can have this name.
const OtherTenants = "other tenants"

// MaxTenantLabels is how many tenants have metrics of their own. Names of tenants come from
// requests, and a series is never given back.
const MaxTenantLabels = 1000

// TenantLabels bounds how many values a label of tenants has. It is safe for concurrent use. The
// zero value is ready. With a nil one every tenant is one of the others.
type TenantLabels struct {
	mu    sync.RWMutex
	known map[string]struct{}
}

// Grant returns the label of a tenant. The first MaxTenantLabels tenants get their name for good,
// later ones get OtherTenants. Callers grant a label only after they have decoded spans of the
// tenant, so that requests which are refused unread cannot use the labels up.
func (l *TenantLabels) Grant(tenant string) string {
	if l == nil || tenant == "" {
		return OtherTenants
	}
	if l.isKnown(tenant) {
		return tenant
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.known) >= MaxTenantLabels {
		if _, ok := l.known[tenant]; !ok {
			return OtherTenants
		}
	}
	if l.known == nil {
		l.known = map[string]struct{}{}
	}
	l.known[tenant] = struct{}{}
	return tenant
}

// Find returns the label that a tenant was granted, or OtherTenants.
func (l *TenantLabels) Find(tenant string) string {
	if l != nil && l.isKnown(tenant) {
		return tenant
	}
	return OtherTenants
}

func (l *TenantLabels) isKnown(tenant string) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	_, ok := l.known[tenant]
	return ok
}
