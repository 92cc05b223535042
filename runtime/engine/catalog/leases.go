package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// A lease gives blocks to a worker that merges them. It is an entry of the journal: whoever works
// under a lease that was closed meanwhile, by whichever scheduler, cannot publish.

// merges is what a State knows of merges. It is copied when it changes.
type merges struct {
	leases   map[string]*blocks.JobLeased // open ones, by name
	leased   map[string]string            // by block: the lease that it is under
	unmerged map[string]string            // by block: why merges leave it alone
}

func newMerges() *merges {
	return &merges{leases: map[string]*blocks.JobLeased{}, leased: map[string]string{}, unmerged: map[string]string{}}
}

// changeMerges returns the merges of the new State, which the caller may change.
func (e *edit) changeMerges() *merges {
	if !e.ownMerges {
		e.ownMerges = true
		old := e.merges
		e.merges = &merges{
			leases:   maps.Clone(old.leases),
			leased:   maps.Clone(old.leased),
			unmerged: maps.Clone(old.unmerged),
		}
	}
	return e.merges
}

// Leases lists the open leases by name.
func (s *State) Leases() []*blocks.JobLeased {
	return slices.SortedFunc(maps.Values(s.merges.leases), func(a, b *blocks.JobLeased) int {
		return strings.Compare(a.GetLease(), b.GetLease())
	})
}

// Lease returns an open lease, nil if there is none of this name.
func (s *State) Lease(name string) *blocks.JobLeased { return s.merges.leases[name] }

// IsTaken reports whether a block must not be merged: it is under a lease, or merges leave it
// alone.
func (s *State) IsTaken(block string) bool {
	_, kept := s.merges.unmerged[block]
	return kept || s.merges.leased[block] != ""
}

// Unmerged returns why merges leave blocks alone, by block. It must not be changed.
func (s *State) Unmerged() map[string]string { return s.merges.unmerged }

// LeaseName names a lease that the entries of a version begin. unique tells it from others of that
// version.
func LeaseName(version uint64, unique string) string {
	return strconv.FormatUint(version, 10) + "." + unique
}

// versionOfLease returns the version that a lease began in; false for a name that is none.
func versionOfLease(name string) (uint64, bool) {
	version, _, ok := strings.Cut(name, ".")
	n, err := strconv.ParseUint(version, 10, 64)
	return n, ok && err == nil
}

// leaseJob opens a lease.
func (e *edit) leaseJob(m *blocks.JobLeased) error {
	version, ok := versionOfLease(m.GetLease())
	switch {
	case !ok || version != e.view.Version:
		return fmt.Errorf("lease %q does not name version %d: %w", m.GetLease(), e.view.Version, ErrCorrupt)
	case e.merges.leases[m.GetLease()] != nil:
		return fmt.Errorf("lease %s is open already: %w", m.GetLease(), ErrCorrupt)
	case len(m.GetInputs()) == 0:
		return fmt.Errorf("lease %s is of no block: %w", m.GetLease(), ErrCorrupt)
	}
	for i, id := range m.GetInputs() {
		if other := e.merges.leased[id]; other != "" || slices.Contains(m.GetInputs()[:i], id) {
			return fmt.Errorf("block %s of lease %s is under a lease already: %w", id, m.GetLease(), ErrCorrupt)
		}
		if e.view.tenants[m.GetTenant()].indexOf(id) < 0 {
			return fmt.Errorf("block %s of lease %s is not there: %w", id, m.GetLease(), ErrCorrupt)
		}
	}
	c := e.changeMerges()
	c.leases[m.GetLease()] = m
	for _, id := range m.GetInputs() {
		c.leased[id] = m.GetLease()
	}
	return nil
}

// closeJob ends a lease without an output.
func (e *edit) closeJob(m *blocks.JobClosed) error {
	lease := e.merges.leases[m.GetLease()]
	if lease == nil {
		return fmt.Errorf("lease %q is not open: %w", m.GetLease(), ErrCorrupt)
	}
	unmerged := m.GetUnmerged()
	if m.GetSetAside() && len(unmerged) == 0 {
		unmerged = lease.GetInputs()
	}
	for _, id := range unmerged {
		if !m.GetSetAside() || !slices.Contains(lease.GetInputs(), id) {
			return fmt.Errorf("block %s is set aside, and is no input of lease %s: %w", id, m.GetLease(), ErrCorrupt)
		}
	}
	e.endLease(lease)
	if m.GetSetAside() {
		for _, id := range unmerged {
			if e.view.tenants[lease.GetTenant()].indexOf(id) >= 0 {
				e.changeMerges().unmerged[id] = m.GetReason()
			}
		}
	}
	return nil
}

// checkLease returns an error unless the lease of a replacement is open and of the same blocks.
func (e *edit) checkLease(m *blocks.BlocksReplaced) error {
	lease := e.merges.leases[m.GetLease()]
	switch {
	case lease == nil:
		return fmt.Errorf("lease %q is not open: %w", m.GetLease(), ErrCorrupt)
	case lease.GetTenant() != m.GetTenant() || !slices.Equal(lease.GetInputs(), m.GetInputs()):
		return fmt.Errorf("lease %s is of other blocks: %w", m.GetLease(), ErrCorrupt)
	}
	for _, b := range m.GetOutputs() {
		if b.GetLease() != m.GetLease() {
			return fmt.Errorf("block %s was made under lease %q, not %s: %w",
				b.GetId(), b.GetLease(), m.GetLease(), ErrCorrupt)
		}
	}
	return nil
}

func (e *edit) endLease(m *blocks.JobLeased) {
	c := e.changeMerges()
	delete(c.leases, m.GetLease())
	for _, id := range m.GetInputs() {
		delete(c.leased, id)
	}
}

// dropFromMerges forgets what is known of the merges of a block that is no longer live. A lease of
// it stays open until its worker learns that it cannot publish.
func (e *edit) dropFromMerges(id string) {
	if _, ok := e.merges.unmerged[id]; ok {
		delete(e.changeMerges().unmerged, id)
	}
}

// HasBlock reports whether a block is live or retired.
func (s *State) HasBlock(m *blocks.BlockMeta) bool {
	return s.retired[m.GetId()] != nil || s.view.tenants[m.GetTenant()].indexOf(m.GetId()) >= 0
}

// FindBlocks returns the live blocks of a tenant that have these ids, in the order of the ids.
func (s *State) FindBlocks(name string, ids []string) []*blocks.BlockMeta {
	t := s.view.tenants[name]
	out := make([]*blocks.BlockMeta, 0, len(ids))
	for _, id := range ids {
		if i := t.indexOf(id); i >= 0 {
			out = append(out, t.blocks[i])
		}
	}
	return out
}
