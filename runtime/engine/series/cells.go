package series

import "math/bits"

// maxChunk is log2 of how many intervals of one group lie side by side at most.
const maxChunk = 4

// cells gives each (group, interval) that occurs a number: what is counted lies in arrays by that
// number. Intervals of a group come in chunks of a power of two, so that their cells lie side by
// side; chunk 0 is none.
type cells struct {
	bits   uint32   // log2 of the intervals of a chunk
	per    int      // chunks of a group
	dir    []uint32 // by group*per + interval/chunk: its chunk, 0: none yet
	owners []uint32 // by chunk: its index in dir
}

func newCells(intervals int) cells {
	c := cells{bits: min(uint32(bits.Len(uint(intervals-1))), maxChunk), owners: []uint32{0}}
	c.per = (intervals + c.chunk() - 1) >> c.bits
	return c
}

// chunk returns the intervals of a chunk.
func (c *cells) chunk() int { return 1 << (c.bits & 31) }

// len returns how long the arrays must be.
func (c *cells) len() int { return len(c.owners) << (c.bits & 31) }

// number writes the cells of spans to dst. groups nil: group 0 for all.
func (c *cells) number(groups, intervals, dst []uint32) {
	b := c.bits & 31
	low := uint32(1)<<b - 1
	if groups == nil {
		c.reach(0)
		for i, iv := range intervals {
			n := c.dir[iv>>b]
			if n == 0 {
				n = c.add(iv >> b)
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
	c.reach(most)
	dir, per := c.dir, uint32(c.per)
	dst = dst[:len(intervals)]
	for i, iv := range intervals {
		at := groups[i]*per + iv>>b
		n := dir[at]
		if n == 0 {
			n = c.add(at)
		}
		dst[i] = n<<b | iv&low
	}
}

// reach makes room for a group.
func (c *cells) reach(group uint32) {
	if n := int(group+1) * c.per; len(c.dir) < n {
		c.dir = append(c.dir, make([]uint32, n-len(c.dir))...)
	}
}

func (c *cells) add(at uint32) uint32 {
	n := uint32(len(c.owners))
	c.owners = append(c.owners, at)
	c.dir[at] = n
	return n
}

// at returns the cell of a group and interval.
func (c *cells) at(group, interval uint32) uint32 {
	g, iv, dst := [1]uint32{group}, [1]uint32{interval}, [1]uint32{}
	c.number(g[:], iv[:], dst[:])
	return dst[0]
}

// of returns the group and interval of a cell.
func (c *cells) of(cell uint32) (group, interval int) {
	at := int(c.owners[cell>>c.bits])
	return at / c.per, at%c.per<<c.bits | int(cell)&(c.chunk()-1)
}

// longer returns s with n elements; those added are zero.
func longer[T any](s []T, n int) []T {
	if len(s) >= n {
		return s
	}
	if cap(s) < n {
		s = append(make([]T, 0, max(n, 2*cap(s))), s...)
	}
	return s[:n]
}
