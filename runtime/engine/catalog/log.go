package catalog

import (
	"fmt"

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

// Reconcile compares the log with what the catalog knows of it, and returns the entries that make the catalog fit: a new epoch where the log is not the one the
// catalog knew, gaps where it has lost records that no block has. now is in unix ns.
func (s *State) Reconcile(l Log, now int64) []*blocks.Entry {
	if why := s.another(l); why != "" {
		m := &blocks.Epoch{Id: s.epochID(l.Identity), Log: l.Identity, Reason: why}
		for _, p := range l.Partitions {
			m.Starts = append(m.Starts, p.Start)
		}
		return []*blocks.Entry{{Epoch: m}}
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
			g := &blocks.Gap{Epoch: s.epoch.GetId(), Partition: int32(i), From: c.GetCovered(), To: p.Start, MinArrivalUnixNano: s.arrival[int32(i)],
				MaxArrivalUnixNano: p.Arrival}
			if g.MaxArrivalUnixNano == 0 {
				g.MaxArrivalUnixNano = now
			}
			out = append(out, &blocks.Entry{Gap: g})
		}
	}
	return out
}

// FirstLog is the reason of the first epoch: nothing was known before.
const FirstLog = "the first log"

// another says why the log is not the one the catalog knew; empty: it is.
func (s *State) another(l Log) string {
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

// epochID names a new epoch. A log whose history changed under the same identity has a number behind it.
func (s *State) epochID(identity string) string {
	used := map[string]bool{}
	for _, e := range s.past {
		used[e] = true
	}
	used[s.epoch.GetId()] = s.epoch != nil
	id := identity
	for n := 2; used[id]; n++ {
		id = fmt.Sprintf("%s.%d", identity, n)
	}
	return id
}
