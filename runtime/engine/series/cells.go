package series

// chunk is how many intervals of one group lie side by side.
const (
	chunkBits = 4
	chunk     = 1 << chunkBits
)

// cells gives each (group, interval) that occurs a number, from chunk on: what is counted lies in arrays by that number.
type cells struct {
	per    int      // chunks of a group
	dir    []uint32 // by group*per + interval/chunk: its chunk, 0: none yet
	owners []uint32 // by chunk: its index in dir
}

func newCells(intervals int) cells {
	return cells{per: (intervals + chunk - 1) / chunk, owners: []uint32{0}}
}

// len returns how long the arrays must be.
func (c *cells) len() int { return len(c.owners) << chunkBits }

// number writes the cells of spans to dst. groups nil: group 0 for all.
func (c *cells) number(groups, intervals, dst []uint32) {
	if groups == nil {
		c.reach(0)
		for i, iv := range intervals {
			n := c.dir[iv>>chunkBits]
			if n == 0 {
				n = c.add(iv >> chunkBits)
			}
			dst[i] = n<<chunkBits | iv&(chunk-1)
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
		at := groups[i]*per + iv>>chunkBits
		n := dir[at]
		if n == 0 {
			n = c.add(at)
		}
		dst[i] = n<<chunkBits | iv&(chunk-1)
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
	c.reach(group)
	at := group*uint32(c.per) + interval>>chunkBits
	n := c.dir[at]
	if n == 0 {
		n = c.add(at)
	}
	return n<<chunkBits | interval&(chunk-1)
}

// of returns the group and interval of a cell.
func (c *cells) of(cell uint32) (group, interval int) {
	at := int(c.owners[cell>>chunkBits])
	return at / c.per, at%c.per<<chunkBits | int(cell&(chunk-1))
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
