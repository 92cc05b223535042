package block

import (
	"encoding/binary"
)

// cursor reads numbers and strings one after the other. After the first one that is not there it
// reads zeros, and bad is set, so that callers need not look after every one.
type cursor struct {
	b   []byte // what is left
	bad bool
}

func (c *cursor) readUvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.b, c.bad = nil, true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) readVarint() int64 { return unzigzag(c.readUvarint()) }

// readNumber reads a number, which must be at most limit.
func (c *cursor) readNumber(limit int) int {
	v := c.readUvarint()
	if v > uint64(limit) {
		c.b, c.bad = nil, true
		return 0
	}
	return int(v)
}

// readCount reads a number of things that each take a byte at least, so that it is bounded by what
// is left.
func (c *cursor) readCount() int { return c.readNumber(len(c.b)) }

func (c *cursor) readBytes(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.b, c.bad = nil, true
		return nil
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) readByte() byte {
	if b := c.readBytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) readFixed64() uint64 {
	if b := c.readBytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (c *cursor) readString() string { return string(c.readBytes(c.readCount())) }

// readStrings reads a list of strings.
func (c *cursor) readStrings() []string {
	n := c.readCount()
	out := make([]string, 0, n)
	for range n {
		out = append(out, c.readString())
	}
	return out
}
