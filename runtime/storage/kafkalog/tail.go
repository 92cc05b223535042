package kafkalog

import (
	"sort"
	"sync/atomic"
)

// tail keeps the newest frames of all partitions in memory until they were read: a partition has
// one reader that goes on, and whoever reads again reads from disk. When the tail is over its
// budget, the oldest frame goes first. Embedded.mu guards it.
type tail struct {
	budget int64 // bytes of records
	used   int64
	added  uint64 // frames so far
	parts  []tailPart
}

// tailPart is what the tail has of a partition.
type tailPart struct {
	frames []tailFrame  // consecutive offsets
	read   atomic.Int64 // the highest offset that was read from; it moves under the read lock too
}

type tailFrame struct {
	recs   []Record
	first  int64
	bytes  int64
	number uint64 // orders the frames of all partitions
	crc    uint32
}

func (f *tailFrame) next() int64 { return f.first + int64(len(f.recs)) }

// newTail makes a tail. A negative budget keeps nothing.
func newTail(partitions int, budget int64) tail {
	return tail{budget: budget, parts: make([]tailPart, partitions)}
}

func (t *tail) addFrame(recs []Record, f frame) {
	var bytes int64
	for i := range recs {
		bytes += int64(recs[i].countedBytes()) + 64 // the Record itself
	}
	t.added++
	p := &t.parts[f.partition]
	added := tailFrame{recs: recs, first: f.first, bytes: bytes, number: t.added, crc: f.crc}
	p.frames = append(p.frames, added)
	t.used += bytes
	for len(p.frames) > 0 && p.frames[0].next() <= p.read.Load() {
		t.dropFirst(p)
	}
	for t.used > max(t.budget, 0) {
		t.dropFirst(t.oldest())
	}
}

// oldest returns the partition that has the oldest frame of all. There is one.
func (t *tail) oldest() (out *tailPart) {
	for i := range t.parts {
		p := &t.parts[i]
		if len(p.frames) > 0 && (out == nil || p.frames[0].number < out.frames[0].number) {
			out = p
		}
	}
	return out
}

func (t *tail) dropFirst(p *tailPart) {
	t.used -= p.frames[0].bytes
	p.frames[0] = tailFrame{} // the array stays while readers have slices of it; the values shall not
	p.frames = p.frames[1:]
}

// noteRead has the frames below an offset dropped, because a reader has come so far.
func (t *tail) noteRead(partition int32, from int64) {
	read := &t.parts[partition].read
	for at := read.Load(); at < from && !read.CompareAndSwap(at, from); at = read.Load() {
	}
}

// findFrame returns the frames of a partition, and the index of the one that holds offset. ok is
// false when the offset is not in memory.
func (t *tail) findFrame(partition int32, offset int64) (frames []tailFrame, i int, ok bool) {
	frames = t.parts[partition].frames
	i = sort.Search(len(frames), func(i int) bool { return frames[i].first > offset }) - 1
	if i < 0 || offset >= frames[i].next() {
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
