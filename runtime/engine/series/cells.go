package series

import "math/bits"

// maxChunkBits is log2 of how many intervals of one group lie side by side at most.
const maxChunkBits = 4

// cells gives each (group, interval) that occurs a number: what is counted lies in arrays by that
// number. Intervals of a group come in chunks of a power of two, so that their cells lie side by
// side; chunk 0 is none.
type cells struct {
	chunkBits      uint32   // log2 of the intervals of a chunk
	chunksPerGroup int      // chunks of a group
	chunks         []uint32 // by group*per + interval/chunk: its chunk, 0: none yet
	owners         []uint32 // by chunk: its index in dir
}

func newCells(intervals int) cells {
	c := cells{chunkBits: min(uint32(bits.Len(uint(intervals-1))), maxChunkBits), owners: []uint32{0}}
	c.chunksPerGroup = (intervals + c.chunkSize() - 1) >> c.chunkBits
	return c
}

// chunkSize returns the intervals of a chunk.
func (c *cells) chunkSize() int { return 1 << (c.chunkBits & 31) }

// len returns how long the arrays must be.
func (c *cells) len() int { return len(c.owners) << (c.chunkBits & 31) }

// numberCells writes the cells of spans to dst. groups nil: group 0 for all.
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
	dir, per := c.chunks, uint32(c.chunksPerGroup)
	dst = dst[:len(intervals)]
	for i, iv := range intervals {
		at := groups[i]*per + iv>>b
		n := dir[at]
		if n == 0 {
			n = c.addChunk(at)
		}
		dst[i] = n<<b | iv&low
	}
}

// growToGroup makes room for a group.
func (c *cells) growToGroup(group uint32) {
	if n := int(group+1) * c.chunksPerGroup; len(c.chunks) < n {
		c.chunks = append(c.chunks, make([]uint32, n-len(c.chunks))...)
	}
}

func (c *cells) addChunk(at uint32) uint32 {
	n := uint32(len(c.owners))
	c.owners = append(c.owners, at)
	c.chunks[at] = n
	return n
}

// cellOf returns the cell of a group and interval.
func (c *cells) cellOf(group, interval uint32) uint32 {
	g, iv, dst := [1]uint32{group}, [1]uint32{interval}, [1]uint32{}
	c.numberCells(g[:], iv[:], dst[:])
	return dst[0]
}

// locateCell returns the group and interval of a cell.
func (c *cells) locateCell(cell uint32) (group, interval int) {
	at := int(c.owners[cell>>c.chunkBits])
	return at / c.chunksPerGroup, at%c.chunksPerGroup<<c.chunkBits | int(cell)&(c.chunkSize()-1)
}

// extendTo returns s with n elements; those added are zero.
func extendTo[T any](s []T, n int) []T {
	if len(s) >= n {
		return s
	}
	if cap(s) < n {
		s = append(make([]T, 0, max(n, 2*cap(s))), s...)
	}
	return s[:n]
}
