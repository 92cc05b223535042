package kafkalog

import "sort"

// tail keeps the newest frames of all partitions in memory. When it is over its budget, the oldest
// frame goes first. Embedded.mu guards it.
type tail struct {
	budget int64 // bytes of records
	used   int64
	parts  [][]tailFrame // by partition, consecutive offsets
	order  []int32       // partitions of the frames, oldest first
}

type tailFrame struct {
	recs  []Record
	first int64
	bytes int64
	crc   uint32
}

// newTail makes a tail. A negative budget keeps nothing.
func newTail(partitions int, budget int64) tail {
	return tail{budget: budget, parts: make([][]tailFrame, partitions)}
}

func (t *tail) addFrame(recs []Record, f frame) {
	var bytes int64
	for i := range recs {
		bytes += int64(recs[i].countedBytes()) + 64 // the Record itself
	}
	added := tailFrame{recs: recs, first: f.first, bytes: bytes, crc: f.crc}
	t.parts[f.partition] = append(t.parts[f.partition], added)
	t.order = append(t.order, f.partition)
	t.used += bytes
	for t.used > t.budget && len(t.order) > 0 {
		t.dropOldest()
	}
}

func (t *tail) dropOldest() {
	p := t.order[0]
	t.order = t.order[1:]
	q := t.parts[p]
	t.used -= q[0].bytes
	q[0] = tailFrame{} // the array stays while readers have slices of it; the values shall not
	t.parts[p] = q[1:]
}

// findFrame returns the frames of a partition, and the index of the one that holds offset. ok is
// false when the offset is not in memory.
func (t *tail) findFrame(partition int32, offset int64) (frames []tailFrame, i int, ok bool) {
	frames = t.parts[partition]
	i = sort.Search(len(frames), func(i int) bool { return frames[i].first > offset }) - 1
	if i < 0 || offset >= frames[i].first+int64(len(frames[i].recs)) {
		return nil, 0, false
	}
	return frames, i, true
}

// readFrom returns records from offset on, about maxBytes but at least one, and the checksum of the
// last one's frame. ok is false when the offset is not in memory.
func (t *tail) readFrom(partition int32, offset int64, maxBytes int) (recs []Record, crc uint32, ok bool) {
	frames, i, ok := t.findFrame(partition, offset)
	if !ok {
		return nil, 0, false
	}
	bytes := 0
	for ; i < len(frames); i++ {
		r := frames[i].recs
		if offset > frames[i].first {
			r = r[offset-frames[i].first:]
		}
		n := 0
		for n < len(r) && (len(recs)+n == 0 || bytes+r[n].countedBytes() <= maxBytes) {
			bytes += r[n].countedBytes()
			n++
		}
		if n > 0 {
			crc = frames[i].crc
		}
		if recs == nil {
			recs = r[:n:n] // most reads lie in one frame: nothing is copied
		} else {
			recs = append(recs, r[:n]...)
		}
		if n < len(r) {
			break
		}
	}
	return recs, crc, true
}
