package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// Log describes the log when the catalog is loaded.
type Log struct {
	Identity   string
	Partitions []Partition
}

// Partition is one partition of a Log: offsets [Start, End) can be read.
type Partition struct {
	Start, End int64
	// Last is the fingerprint of the record below the covered offset, nil if the log no longer has
	// it.
	Last *blocks.Fingerprint
	// Arrival is when the record at Start arrived, in unix ns; 0: not known.
	Arrival int64
}

// Reconcile compares the log with what the catalog knows of it, and returns the entries that make
// the catalog fit: a new epoch if the log is not the one that the catalog knew, and gaps where it
// has lost records that no block has. now is in unix ns.
func (s *State) Reconcile(l Log, now int64) []*blocks.Entry {
	if why := s.whyAnotherLog(l); why != "" {
		epoch := newEpoch(s.nameEpoch(l.Identity), l, why)
		out := []*blocks.Entry{{Epoch: epoch}}
		for _, g := range s.lostBefore(l, now) {
			g.Epoch = epoch.GetId()
			out = append(out, &blocks.Entry{Gap: g})
		}
		return out
	}
	var out []*blocks.Entry
	if len(l.Partitions) > len(s.coverage) {
		why := fmt.Sprintf("the log has %d partitions", len(l.Partitions))
		out = append(out, &blocks.Entry{Epoch: newEpoch(s.epoch.GetId(), l, why)})
	}
	for i, p := range l.Partitions {
		c := s.coverage[int32(i)]
		if c == nil || p.Start <= c.GetCovered() {
			continue
		}
		out = append(out, &blocks.Entry{Gap: &blocks.Gap{
			Epoch:              s.epoch.GetId(),
			Partition:          int32(i),
			From:               c.GetCovered(),
			To:                 p.Start,
			MinArrivalUnixNano: s.lastArrival[int32(i)],
			MaxArrivalUnixNano: cmp.Or(p.Arrival, now),
		}})
	}
	return out
}

// newEpoch describes an epoch of a log.
func newEpoch(id string, l Log, why string) *blocks.Epoch {
	m := &blocks.Epoch{Id: id, Log: l.Identity, Reason: why}
	for _, p := range l.Partitions {
		m.Starts = append(m.Starts, p.Start)
	}
	return m
}

// lostBefore lists the ranges below the start of a log that no block and no gap of the catalog is
// about. A log that does not begin at 0 was trimmed, and it is trimmed only behind blocks: they are
// in another bucket, or are gone. The gaps have no epoch yet.
func (s *State) lostBefore(l Log, now int64) (out []*blocks.Gap) {
	known := s.knownRanges(l.Identity)
	for i, p := range l.Partitions {
		rest := knownRange{from: p.Start, to: p.Start, first: cmp.Or(p.Arrival, now)} // what the log has
		list := known[int32(i)]
		slices.SortFunc(list, func(a, b knownRange) int { return cmp.Compare(a.from, b.from) })
		var at knownRange // ends where the ranges so far end
		for _, k := range append(list, rest) {
			if k.from > at.to && at.to < p.Start {
				out = append(out, &blocks.Gap{
					Partition:          int32(i),
					From:               at.to,
					To:                 min(k.from, p.Start),
					MinArrivalUnixNano: at.last,
					MaxArrivalUnixNano: k.first,
				})
			}
			if k.to > at.to {
				at = k
			}
		}
	}
	return out
}

// knownRange is a range of offsets, and when its first and last records arrived, in unix ns.
type knownRange struct{ from, to, first, last int64 }

// knownRanges returns, by partition, the ranges of a log that blocks and gaps of the catalog are
// about.
func (s *State) knownRanges(identity string) map[int32][]knownRange {
	known := map[int32][]knownRange{}
	add := func(epoch string, partition int32, r knownRange) {
		if isEpochOf(epoch, identity) {
			known[partition] = append(known[partition], r)
		}
	}
	addBlock := func(b *blocks.BlockMeta) {
		for _, r := range RangesOf(b) {
			add(r.GetEpoch(), r.GetPartition(),
				knownRange{r.GetFrom(), r.GetTo(), b.GetMinArrivalUnixNano(), b.GetMaxArrivalUnixNano()})
		}
	}
	for _, t := range s.view.tenants {
		for _, b := range t.blocks {
			addBlock(b)
		}
	}
	for _, r := range s.retired {
		addBlock(r.GetBlock())
	}
	for _, g := range s.view.Gaps {
		add(g.GetEpoch(), g.GetPartition(),
			knownRange{g.GetFrom(), g.GetTo(), g.GetMinArrivalUnixNano(), g.GetMaxArrivalUnixNano()})
	}
	return known
}

// isEpochOf reports whether an epoch is one of the log with the identity: see nameEpoch.
func isEpochOf(epoch, identity string) bool {
	rest, ok := strings.CutPrefix(epoch, identity)
	return ok && (rest == "" || rest[0] == '.')
}

// FirstLog is the reason of the first epoch: nothing was known before.
const FirstLog = "the first log"

// whyAnotherLog returns why the log is not the one that the catalog knew; empty: it is.
func (s *State) whyAnotherLog(l Log) string {
	switch {
	case s.epoch == nil:
		return FirstLog
	case s.epoch.GetLog() != l.Identity:
		return fmt.Sprintf("another log: it was %s and is %s", s.epoch.GetLog(), l.Identity)
	case len(l.Partitions) < len(s.coverage):
		return fmt.Sprintf("the log had %d partitions and has %d", len(s.coverage), len(l.Partitions))
	}
	for i, p := range l.Partitions {
		c := s.coverage[int32(i)]
		switch {
		case c == nil:
		case p.End < c.GetCovered():
			return fmt.Sprintf("partition %d ends at %d below the covered offset %d", i, p.End, c.GetCovered())
		case c.GetFingerprint() != nil && p.Last != nil && !isSameRecord(c.GetFingerprint(), p.Last):
			return fmt.Sprintf("the record at offset %d of partition %d is another one", c.GetCovered()-1, i)
		}
	}
	return ""
}

// isSameRecord reports whether two fingerprints are of one record.
func isSameRecord(a, b *blocks.Fingerprint) bool {
	return a.GetCrc() == b.GetCrc() && a.GetLeaderEpoch() == b.GetLeaderEpoch()
}

// nameEpoch names a new epoch: by the identity of the log, with a number behind it if the history
// of the log has changed under the same identity.
func (s *State) nameEpoch(identity string) string {
	used := map[string]bool{}
	for _, e := range s.pastEpochs {
		used[e] = true
	}
	used[s.epoch.GetId()] = s.epoch != nil
	id := identity
	for n := 2; used[id]; n++ {
		id = fmt.Sprintf("%s.%d", identity, n)
	}
	return id
}
