package live

import "unsafe"

// chunk is the number of elements of a vec's chunks.
const (
	chunkBits = 10
	chunk     = 1 << chunkBits
)

// vec is an append-only array in chunks. A copy of the struct is a view: it sees the elements that
// there were when it was made. It is safe to read while the original grows, because an element is
// written again only after truncate, and truncate never goes below what a view was made of.
type vec[T any] struct {
	tail []T
	full [][]T // the chunks before the tail, of exactly chunk elements each
}

func (v *vec[T]) len() int { return len(v.full)<<chunkBits + len(v.tail) }

// add appends x. memory grows by the bytes that the array grows by.
func (v *vec[T]) add(x T, memory *int64) {
	if len(v.tail) == cap(v.tail) {
		v.growTail(memory)
	}
	v.tail = append(v.tail, x)
}

// growTail makes room for an element behind a full tail.
func (v *vec[T]) growTail(memory *int64) {
	var x T
	size := int64(unsafe.Sizeof(x))
	if len(v.tail) == chunk {
		before := cap(v.full)
		v.full = append(v.full, v.tail)
		v.tail = make([]T, 0, chunk)
		*memory += chunk*size + int64(cap(v.full)-before)*24
		return
	}
	// Beginning small keeps a table with thousands of rare columns small.
	n := min(max(8, 4*len(v.tail)), chunk)
	tail := make([]T, len(v.tail), n)
	copy(tail, v.tail)
	*memory += int64(n-cap(v.tail)) * size
	v.tail = tail
}

func (v *vec[T]) at(i int) T {
	if c := i >> chunkBits; c < len(v.full) {
		return v.full[c][i&(chunk-1)]
	}
	return v.tail[i&(chunk-1)]
}

// addressOf returns the address of element i, which nobody may write any more.
func (v *vec[T]) addressOf(i int) *T {
	if c := i >> chunkBits; c < len(v.full) {
		return &v.full[c][i&(chunk-1)]
	}
	return &v.tail[i&(chunk-1)]
}

// eachPart calls f for the parts of [from, to) that lie in one piece, in order.
func (v *vec[T]) eachPart(from, to int, f func(part []T)) {
	for from < to {
		part := v.tail
		if c := from >> chunkBits; c < len(v.full) {
			part = v.full[c]
		}
		at := from & (chunk - 1)
		n := min(to-from, len(part)-at)
		f(part[at : at+n])
		from += n
	}
}

// appendTo appends elements [from, to) to dst.
func (v *vec[T]) appendTo(dst []T, from, to int) []T {
	v.eachPart(from, to, func(part []T) { dst = append(dst, part...) })
	return dst
}

// truncate drops the elements from n on.
func (v *vec[T]) truncate(n int) {
	// The tail is never empty, unless the whole vec is.
	for c := len(v.full); c > 0 && n <= c<<chunkBits; c-- {
		v.tail = v.full[c-1]
		v.full = v.full[:c-1]
	}
	v.tail = v.tail[:n-len(v.full)<<chunkBits]
}

// searchRows returns the first index whose element is ≥ x, or the length. The elements ascend.
func searchRows(v *vec[uint32], x uint32) int {
	lo, hi := 0, len(v.full)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if v.full[mid][chunk-1] < x {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	part := v.tail
	if lo < len(v.full) {
		part = v.full[lo]
	}
	i, j := 0, len(part)
	for i < j {
		mid := int(uint(i+j) >> 1)
		if part[mid] < x {
			i = mid + 1
		} else {
			j = mid
		}
	}
	return lo<<chunkBits + i
}

// The chunks of an arena double from arenaFirst to arenaChunk bytes. A longer string has a chunk of
// its own. A reference is a chunk's number and an offset in it, of 16 bits each, so there are at
// most arenaMaxChunks.
const (
	arenaFirst     = 1 << 10
	arenaChunk     = 1 << 16
	arenaMaxChunks = 1 << 16
)

// arena keeps strings, each behind its length as a varint. A copy of the struct is a view.
type arena struct {
	chunks [][]byte
	used   int // bytes of the last chunk
}

// fullFor reports whether there may be no room for strings of n bytes in all.
func (a *arena) fullFor(n int) bool {
	return len(a.chunks)+2*(n/arenaChunk+1)+2 > arenaMaxChunks
}

// addString copies b. It returns a reference to the copy, and the copy. memory grows by the bytes
// of new chunks.
func (a *arena) addString(b []byte, memory *int64) (ref uint32, s string) {
	size := lengthSize(len(b)) + len(b)
	if len(a.chunks) == 0 || size > len(a.chunks[len(a.chunks)-1])-a.used {
		n := arenaFirst
		if len(a.chunks) > 0 {
			n = min(2*max(len(a.chunks[len(a.chunks)-1]), arenaFirst), arenaChunk)
		}
		n = max(n, size)
		before := cap(a.chunks)
		a.chunks = append(a.chunks, make([]byte, n))
		*memory += int64(n) + int64(cap(a.chunks)-before)*24
		a.used = 0
	}
	c := a.chunks[len(a.chunks)-1]
	ref = uint32(len(a.chunks)-1)<<16 | uint32(a.used)
	at := a.used
	for n := len(b); ; n >>= 7 {
		if n < 0x80 {
			c[at] = byte(n)
			at++
			break
		}
		c[at] = byte(n) | 0x80
		at++
	}
	copy(c[at:], b)
	a.used = at + len(b)
	return ref, unsafe.String(unsafe.SliceData(c[at:]), len(b))
}

// stringAt returns the string of a reference. It aliases the arena.
func (a *arena) stringAt(ref uint32) string {
	c := a.chunks[ref>>16]
	at := int(ref & 0xffff)
	n := 0
	for shift := 0; ; shift += 7 {
		x := c[at]
		at++
		n |= int(x&0x7f) << shift
		if x < 0x80 {
			break
		}
	}
	if n == 0 {
		return ""
	}
	return unsafe.String(&c[at], n)
}

// lengthSize is the size of a length as a varint.
func lengthSize(n int) int {
	k := 1
	for ; n >= 0x80; n >>= 7 {
		k++
	}
	return k
}
