package livestore

// Estimates of the memory beside the segments, in bytes.
const (
	tenantBytes = 1 << 10
	recordBytes = 96
)

// memoryUsage counts what an attachment holds, in bytes.
type memoryUsage struct {
	segments int64 // all segments
	free     int64 // of these, segments with records that are in no block and in no cut
	indexes  int64 // homeIndexes and tenants, as of the last second
}

// countSegment brings the count of a segment that is in no cut up to date.
func (s *state) countSegment(g *segment) {
	n := g.Bytes()
	s.usage.segments += n - g.counted
	s.usage.free += n - g.counted
	g.counted = n
}

// recountMemory counts the memory of everything anew.
func (s *state) recountMemory() {
	s.usage = memoryUsage{}
	from := max(s.covered, s.lastCut.to)
	for _, t := range s.tenants {
		s.usage.indexes += tenantBytes + t.homes.bytes()
		for _, g := range t.segments {
			g.counted = g.Bytes()
			s.usage.segments += g.counted
			if g.Next() > from {
				s.usage.free += g.counted
			}
		}
	}
}

// memoryUse returns the bytes that could be let go as blocks, and those that are on their way out
// or cannot be let go.
func (s *state) memoryUse() (free, pending int64) {
	u := s.usage
	return u.free, u.segments - u.free + u.indexes + recordBytes*int64(len(s.records.list))
}
