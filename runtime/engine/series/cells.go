package series

import (
	"iter"
	"math/bits"
)

// cells gives a number to each pair of group and interval that occurs. Whatever a Tally counts lies
// in arrays indexed by that number, so that groups which occur in few intervals cost little.
//
// Numbers are given in chunks: some adjacent intervals of one group, a power of two of them, at
// most 1<<maxChunkBits. So neighbours in time are neighbours in memory, and the two tables below
// have one entry a chunk and not one a cell.
//
// Five spans of two groups, in a window of three intervals: a chunk has four intervals and each
// group needs one chunk. Chunk 0 is no chunk.
//
//	span  group  interval   chunk  cell             chunks = [1 2]     by group
//	   0      0         0       1  1*4+0 =  4       owners = [- 0 1]   by chunk
//	   1      1         2       2  2*4+2 = 10
//	   2      0         0       1  1*4+0 =  4       counts = [- - - -  2 0 1 -  0 0 2 -]
//	   3      0         2       1  1*4+2 =  6                           group 0  group 1
//	   4      1         2       2  2*4+2 = 10
//
// Invariant: owners[chunks[i]] = i for every i with chunks[i] != 0.
type cells struct {
	chunkBits      uint32   // log2 of the intervals of a chunk
	chunksPerGroup int      // how many chunks a group needs for all intervals
	chunks         []uint32 // by group*chunksPerGroup + interval>>chunkBits: the chunk; 0: none yet
	owners         []uint32 // by chunk: its index in chunks
}

// maxChunkBits is log2 of the intervals of a chunk in long windows.
const maxChunkBits = 4

func newCells(intervals int) cells {
	c := cells{chunkBits: min(uint32(bits.Len(uint(intervals-1))), maxChunkBits), owners: []uint32{0}}
	c.chunksPerGroup = (intervals + c.chunkSize() - 1) >> c.chunkBits
	return c
}

// chunkSize returns the number of intervals of a chunk. The mask tells the compiler that the shift
// is short.
func (c *cells) chunkSize() int { return 1 << (c.chunkBits & 31) }

// len returns how long arrays indexed by cell must be.
func (c *cells) len() int { return len(c.owners) << (c.chunkBits & 31) }

// numberCells writes the cells of spans to dst, which is as long as intervals. Without groups (nil)
// all spans are of group 0.
func (c *cells) numberCells(groups, intervals, dst []uint32) {
	b := c.chunkBits & 31
	low := uint32(1)<<b - 1
	if groups == nil {
		c.growToGroup(0)
		for i, iv := range intervals {
			n := c.chunks[iv>>b]
			if n == 0 {
				n = c.addChunk(iv >> b)
			}
			dst[i] = n<<b | iv&low
		}
		return
	}
	groups = groups[:len(intervals)]
	most := uint32(0)
	for _, g := range groups {
		most = max(most, g)
	}
	c.growToGroup(most)
	chunks, perGroup := c.chunks, uint32(c.chunksPerGroup)
	dst = dst[:len(intervals)]
	for i, iv := range intervals {
		at := groups[i]*perGroup + iv>>b
		n := chunks[at]
		if n == 0 {
			n = c.addChunk(at)
		}
		dst[i] = n<<b | iv&low
	}
}

// growToGroup makes room in chunks for the groups up to this one.
func (c *cells) growToGroup(group uint32) {
	if n := int(group+1) * c.chunksPerGroup; len(c.chunks) < n {
		c.chunks = append(c.chunks, make([]uint32, n-len(c.chunks))...)
	}
}

// addChunk gives the next number of a chunk to the place at of chunks.
func (c *cells) addChunk(at uint32) uint32 {
	n := uint32(len(c.owners))
	c.owners = append(c.owners, at)
	c.chunks[at] = n
	return n
}

// cellOf returns the cell of one group and interval.
func (c *cells) cellOf(group, interval uint32) uint32 {
	b := c.chunkBits & 31
	at := group*uint32(c.chunksPerGroup) + interval>>b
	if int(at) >= len(c.chunks) {
		c.growToGroup(group)
	}
	n := c.chunks[at]
	if n == 0 {
		n = c.addChunk(at)
	}
	return n<<b | interval&(1<<b-1)
}

// groups returns how many groups there is room for.
func (c *cells) groups() int { return len(c.chunks) / c.chunksPerGroup }

// ofGroup goes through the cells of a group in the order of time, with their intervals. Some of
// them may have counted nothing.
func (c *cells) ofGroup(group int) iter.Seq2[int, int] {
	first := min(group*c.chunksPerGroup, len(c.chunks))
	chunks := c.chunks[first:min(first+c.chunksPerGroup, len(c.chunks))]
	return func(yield func(interval, cell int) bool) {
		for i, chunk := range chunks {
			if chunk == 0 {
				continue
			}
			for k := range c.chunkSize() {
				if !yield(i<<c.chunkBits|k, int(chunk)<<c.chunkBits|k) {
					return
				}
			}
		}
	}
}

// locateCell returns the group and interval of a cell.
func (c *cells) locateCell(cell uint32) (group, interval int) {
	at := int(c.owners[cell>>c.chunkBits])
	return at / c.chunksPerGroup, at%c.chunksPerGroup<<c.chunkBits | int(cell)&(c.chunkSize()-1)
}

// cellCounts counts spans by group and interval.
type cellCounts struct {
	cells   cells
	counts  []uint64 // by cell: spans, or their weights; cells beyond its end have counted nothing
	scratch []uint32 // what numberCells returned last
}

// numberCells returns the cells of spans; the slice is valid until the next call.
func (c *cellCounts) numberCells(groups, intervals []uint32) []uint32 {
	c.scratch = extendTo(c.scratch, len(intervals))
	at := c.scratch[:len(intervals)]
	c.cells.numberCells(groups, intervals, at)
	return at
}

// countRows counts spans by their groups (nil: all are of group 0), intervals and weights (nil:
// each is one).
func (c *cellCounts) countRows(groups, intervals []uint32, weights []uint64) {
	at := c.numberCells(groups, intervals)
	c.counts = extendTo(c.counts, c.cells.len())
	counts := c.counts
	if weights != nil {
		for i, cell := range at {
			counts[cell] += weights[i]
		}
		return
	}
	for _, cell := range at {
		counts[cell]++
	}
}

// CountInCell counts n spans of one group and interval, or spans whose weights sum to n.
func (c *cellCounts) CountInCell(group, interval uint32, n uint64) {
	cell := c.cells.cellOf(group, interval)
	c.counts = extendTo(c.counts, c.cells.len())
	c.counts[cell] += n
}

// bytes estimates the memory in bytes.
func (c *cellCounts) bytes() int {
	return 4*(len(c.cells.chunks)+len(c.cells.owners)) + 8*len(c.counts)
}

// eachCount goes through what a group has counted, in the order of time.
func (c *cellCounts) eachCount(group int) iter.Seq2[int, uint64] {
	return func(yield func(interval int, n uint64) bool) {
		for iv, cell := range c.cells.ofGroup(group) {
			if cell < len(c.counts) && c.counts[cell] != 0 && !yield(iv, c.counts[cell]) {
				return
			}
		}
	}
}

// extendTo returns s with at least n elements. Those added are zero, provided that s was never
// shortened.
func extendTo[T any](s []T, n int) []T {
	if len(s) >= n {
		return s
	}
	if cap(s) < n {
		s = append(make([]T, 0, max(n, 2*cap(s))), s...)
	}
	return s[:n]
}
