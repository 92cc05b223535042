package catalog

import (
	"maps"
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// Orphans knows which blocks of a bucket one version of the catalog lists, and which no version can
// list any more. It never changes.
type Orphans struct {
	known   map[string]bool // by block id: live, or retired and not removed yet
	epoch   string
	past    map[string]bool // epochs that are over
	covered map[int32]int64 // by partition
	version uint64
	leases  map[string]bool // open ones
}

// Orphans returns the Orphans of the present version.
func (s *State) Orphans() *Orphans {
	o := &Orphans{
		known:   map[string]bool{},
		epoch:   s.view.Epoch,
		past:    map[string]bool{},
		covered: maps.Clone(s.view.Covered),
		version: s.view.Version,
		leases:  map[string]bool{},
	}
	for name := range s.merges.leases {
		o.leases[name] = true
	}
	for _, t := range s.view.tenants {
		for _, b := range t.blocks {
			o.known[b.GetId()] = true
		}
	}
	for id := range s.retired {
		o.known[id] = true
	}
	for _, e := range s.pastEpochs {
		o.past[e] = true
	}
	return o
}

// Known reports whether the catalog lists the block.
func (o *Orphans) Known(id string) bool { return o.known[id] }

// Dead reports whether the block is not in the catalog and can never be, in this version and all
// later ones, whoever holds its publication back and however long. The catalog takes only cuts that
// begin at the covered offset of the present epoch; covered offsets only grow, and an epoch that is
// over does not come again. Of merged blocks it takes those of open leases; a lease that began
// after this version is not judged, because it may be open.
func (o *Orphans) Dead(m *blocks.BlockMeta) bool {
	if o.known[m.GetId()] {
		return false
	}
	if m.GetLevel() != 0 {
		version, ok := versionOfLease(m.GetLease())
		return ok && version <= o.version && !o.leases[m.GetLease()]
	}
	if m.GetPartition() < 0 {
		return false
	}
	covered, ok := o.covered[m.GetPartition()]
	return o.past[m.GetEpoch()] || m.GetEpoch() == o.epoch && ok && m.GetFrom() < covered
}

// Recent remembers which partitions have published blocks of a tenant lately. So it finds cuts
// whose list of shared traces may lack one of those blocks. It belongs to one goroutine.
type Recent struct {
	since uint64                         // nothing is known of versions up to it
	last  map[string]map[int32]published // by tenant and partition
}

// published is a partition's last publication of a block of a tenant.
type published struct {
	version uint64
	parts   []int32 // numbers of partitions that its records were routed by
}

// NewRecent returns a Recent that knows of publications after a version.
func NewRecent(since uint64) *Recent {
	return &Recent{since: since, last: map[string]map[int32]published{}}
}

// Add notes a cut that is published in a version.
func (r *Recent) Add(m *blocks.PublishCut, version uint64) {
	for _, b := range m.GetBlocks() {
		t := r.last[b.GetTenant()]
		if t == nil {
			t = map[int32]published{}
			r.last[b.GetTenant()] = t
		}
		t[m.GetPartition()] = published{version, b.GetParts()}
	}
}

// Missed reports whether a part of a trace of the cut may have been published after the version in
// which the cut looked for shared traces: by its own partition, or by another one. If all records
// are routed by one number of partitions, no other one has: then all of a trace is in one
// partition.
func (r *Recent) Missed(m *blocks.PublishCut) bool {
	if m.GetViewVersion() < r.since && len(m.GetBlocks()) > 0 {
		return true
	}
	for _, b := range m.GetBlocks() {
		for p, o := range r.last[b.GetTenant()] {
			one := len(o.parts) == 1 && slices.Equal(o.parts, b.GetParts())
			if o.version > m.GetViewVersion() && (p == m.GetPartition() || !one) {
				return true
			}
		}
	}
	return false
}
