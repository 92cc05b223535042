package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// Log is what the log says of itself when the catalog is loaded.
type Log struct {
	Identity   string
	Partitions []Partition
}

// Partition is one partition of a Log: offsets [Start, End) can be read.
type Partition struct {
	Start, End int64
	// Last is the fingerprint of the record below the covered offset, nil where the log cannot say.
	Last *blocks.Fingerprint
	// Arrival is when the record at Start arrived, in unix ns; 0: not known.
	Arrival int64
}

// Reconcile compares the log with what the catalog knows of it, and returns the entries that make
// the catalog fit: a new epoch where the log is not the one the catalog knew, gaps where it has
// lost records that no block has. now is in unix ns.
func (s *State) Reconcile(l Log, now int64) []*blocks.Entry {
	if why := s.whyAnotherLog(l); why != "" {
		m := &blocks.Epoch{Id: s.nameEpoch(l.Identity), Log: l.Identity, Reason: why}
		for _, p := range l.Partitions {
			m.Starts = append(m.Starts, p.Start)
		}
		out := []*blocks.Entry{{Epoch: m}}
		for _, g := range s.lostBefore(l, now) {
			g.Epoch = m.GetId()
			out = append(out, &blocks.Entry{Gap: g})
		}
		return out
	}
	var out []*blocks.Entry
	if len(l.Partitions) > len(s.coverage) {
		m := &blocks.Epoch{Id: s.epoch.GetId(), Log: l.Identity, Reason: fmt.Sprintf("the log has %d partitions", len(l.Partitions))}
		for _, p := range l.Partitions {
			m.Starts = append(m.Starts, p.Start)
		}
		out = append(out, &blocks.Entry{Epoch: m})
	}
	for i, p := range l.Partitions {
		c := s.coverage[int32(i)]
		if c != nil && p.Start > c.GetCovered() {
			g := &blocks.Gap{Epoch: s.epoch.GetId(), Partition: int32(i), From: c.GetCovered(), To: p.Start, MinArrivalUnixNano: s.lastArrival[int32(i)],
				MaxArrivalUnixNano: p.Arrival}
			if g.MaxArrivalUnixNano == 0 {
				g.MaxArrivalUnixNano = now
			}
			out = append(out, &blocks.Entry{Gap: g})
		}
	}
	return out
}

// lostBefore lists the ranges below the start of a log in which the catalog has no block and no gap
// of it. A log that begins above 0 was trimmed, and it is trimmed only behind blocks: they are in
// another bucket, or are gone.
func (s *State) lostBefore(l Log, now int64) (out []*blocks.Gap) {
	known := map[int32][]knownRange{}
	for _, t := range s.view.tenants {
		for _, b := range t.blocks {
			if isEpochOf(b.GetEpoch(), l.Identity) {
				known[b.GetPartition()] = append(known[b.GetPartition()], knownRange{b.GetFrom(), b.GetTo(), b.GetMinArrivalUnixNano(), b.GetMaxArrivalUnixNano()})
			}
		}
	}
	for _, r := range s.retired {
		if b := r.GetBlock(); isEpochOf(b.GetEpoch(), l.Identity) {
			known[b.GetPartition()] = append(known[b.GetPartition()], knownRange{b.GetFrom(), b.GetTo(), b.GetMinArrivalUnixNano(), b.GetMaxArrivalUnixNano()})
		}
	}
	for _, g := range s.view.Gaps {
		if isEpochOf(g.GetEpoch(), l.Identity) {
			known[g.GetPartition()] = append(known[g.GetPartition()], knownRange{g.GetFrom(), g.GetTo(), g.GetMinArrivalUnixNano(), g.GetMaxArrivalUnixNano()})
		}
	}
	for i, p := range l.Partitions {
		next := knownRange{from: p.Start, to: p.Start, first: p.Arrival, last: p.Arrival}
		if next.first == 0 {
			next.first = now
		}
		list := known[int32(i)]
		slices.SortFunc(list, func(a, b knownRange) int { return cmp.Compare(a.from, b.from) })
		var at knownRange // ends where what is known ends
		for _, k := range append(list, next) {
			if k.from > at.to && at.to < p.Start {
				out = append(out, &blocks.Gap{Partition: int32(i), From: at.to, To: min(k.from, p.Start), MinArrivalUnixNano: at.last, MaxArrivalUnixNano: k.first})
			}
			if k.to > at.to {
				at = k
			}
		}
	}
	return out
}

// knownRange is a range of offsets and when its records arrived, in unix ns.
type knownRange struct{ from, to, first, last int64 }

// isEpochOf reports whether an epoch is one of a log's.
func isEpochOf(epoch, identity string) bool {
	rest, ok := strings.CutPrefix(epoch, identity)
	return ok && (rest == "" || rest[0] == '.')
}

// FirstLog is the reason of the first epoch: nothing was known before.
const FirstLog = "the first log"

// whyAnotherLog says why the log is not the one the catalog knew; empty: it is.
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
		case c.GetFingerprint() != nil && p.Last != nil && (c.GetFingerprint().GetCrc() != p.Last.GetCrc() ||
			c.GetFingerprint().GetLeaderEpoch() != p.Last.GetLeaderEpoch()):
			return fmt.Sprintf("the record at offset %d of partition %d is another one", c.GetCovered()-1, i)
		}
	}
	return ""
}

// nameEpoch names a new epoch. A log whose history changed under the same identity has a number
// behind it.
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
