// Package thriftread decodes messages of thrift that come from outside, within bounds.
//
// The code that is generated for a thrift type makes a list as long as it claims to be before it
// reads it, and a struct for each of its elements. So what decoding would allocate is counted
// first, by Memory, which walks the same bytes with the same reader and keeps nothing. Both walks
// see the same structure only where an element is what the type says it is, so Decode refuses lists
// of anything but structs: the types that are read here have no others.
package thriftread

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/apache/thrift/lib/go/thrift"
)

// Protocol is how thrift's values are written.
type Protocol int

// The two protocols.
const (
	Binary Protocol = iota
	Compact
)

// What decoding and all that follows may allocate, in bytes. Tests of the formats hold the worst
// bodies against these.
const (
	eachStruct  = 768 // a span is the largest
	eachElement = 8   // of a list, as it claims to be long
	eachField   = 32  // a value that is optional is a pointer to one
	eachByte    = 6   // of texts, which are copied several times
)

// maxDepth is how deep the counting walk follows values. It is deeper than the decoder goes: that
// one follows unknown fields 64 deep from where it finds them, which is less than 16 deep in a
// message of a known type.
const maxDepth = 80

func (p Protocol) newProtocol(body []byte) (thrift.TProtocol, *thrift.TMemoryBuffer) {
	buffer := &thrift.TMemoryBuffer{Buffer: bytes.NewBuffer(body)}
	if p == Compact {
		return thrift.NewTCompactProtocolConf(buffer, nil), buffer
	}
	return thrift.NewTBinaryProtocolConf(buffer, nil), buffer
}

// Walk moves in over one value without keeping it, or over a header and a value.
type Walk func(ctx context.Context, in thrift.TProtocol) error

// Struct walks over a struct.
func Struct(ctx context.Context, in thrift.TProtocol) error {
	return thrift.Skip(ctx, in, thrift.STRUCT, maxDepth)
}

// List walks over a list.
func List(ctx context.Context, in thrift.TProtocol) error {
	return thrift.Skip(ctx, in, thrift.LIST, maxDepth)
}

// Call walks over a message that calls a function.
func Call(ctx context.Context, in thrift.TProtocol) error {
	if _, _, _, err := in.ReadMessageBegin(ctx); err != nil {
		return err
	}
	return Struct(ctx, in)
}

// Memory returns what decoding body may allocate. Where body is malformed it counts what comes
// before, as does the decoder.
func (p Protocol) Memory(body []byte, walk Walk) int64 {
	in, buffer := p.newProtocol(body)
	c := &counter{TProtocol: in, buffer: buffer, protocol: p}
	_ = walk(context.Background(), c) // malformed bodies are refused when they are decoded
	return c.bytes
}

// Decode calls read with a reader of body, which refuses lists of anything but structs. What
// follows the value is not looked at.
func (p Protocol) Decode(body []byte, read func(ctx context.Context, in thrift.TProtocol) error) error {
	in, _ := p.newProtocol(body)
	return read(context.Background(), strict{in})
}

// Elements decodes a list and calls each with the bytes of every element, which are a part of body,
// and an error where one is malformed: nothing can be read behind it. It returns an error only
// where there is no list at all.
func (p Protocol) Elements(body []byte, each func(element []byte, err error)) error {
	ctx := context.Background()
	in, buffer := p.newProtocol(body)
	_, size, err := strict{in}.ReadListBegin(ctx)
	if err != nil {
		return err
	}
	skipper := &counter{TProtocol: strict{in}, buffer: buffer, protocol: p}
	for range size {
		from := len(body) - buffer.Len()
		err := Struct(ctx, skipper)
		each(body[from:len(body)-buffer.Len()], err)
		if err != nil {
			return nil
		}
	}
	return nil
}

// strict refuses what the counting walk would read in another way than the decoder.
type strict struct{ thrift.TProtocol }

// ReadListBegin reads the header of a list.
func (s strict) ReadListBegin(ctx context.Context) (thrift.TType, int, error) {
	kind, size, err := s.TProtocol.ReadListBegin(ctx)
	if err == nil && size > 0 && kind != thrift.STRUCT {
		err = fmt.Errorf("a list of %s where one of structs should be", kind)
	}
	return kind, size, err
}

// counter adds up what a decoder would allocate for what is read through it.
type counter struct {
	thrift.TProtocol
	buffer   *thrift.TMemoryBuffer
	protocol Protocol
	bytes    int64
}

// ReadStructBegin counts a struct.
func (c *counter) ReadStructBegin(ctx context.Context) (string, error) {
	c.bytes += eachStruct
	return c.TProtocol.ReadStructBegin(ctx)
}

// ReadFieldBegin counts a field.
func (c *counter) ReadFieldBegin(ctx context.Context) (string, thrift.TType, int16, error) {
	c.bytes += eachField
	return c.TProtocol.ReadFieldBegin(ctx)
}

// ReadListBegin counts a list as long as it claims to be.
func (c *counter) ReadListBegin(ctx context.Context) (thrift.TType, int, error) {
	kind, size, err := c.TProtocol.ReadListBegin(ctx)
	if err == nil {
		c.bytes += eachElement * int64(size)
	}
	return kind, size, err
}

// ReadString counts a text and moves over it.
func (c *counter) ReadString(ctx context.Context) (string, error) { return "", c.skipText(ctx) }

// ReadBinary counts bytes and moves over them.
func (c *counter) ReadBinary(ctx context.Context) ([]byte, error) { return nil, c.skipText(ctx) }

func (c *counter) skipText(ctx context.Context) error {
	n, err := c.TProtocol.ReadI32(ctx)
	if err != nil {
		return err
	}
	if c.protocol == Compact {
		n = n<<1 ^ n>>31 // lengths are plain numbers there, and ReadI32 reads numbers with their sign in the last bit
	}
	if n < 0 || int(n) > c.buffer.Len() {
		c.bytes += eachByte * int64(c.buffer.Len())
		return errors.New("a text is longer than what is left")
	}
	c.bytes += eachByte * int64(n)
	c.buffer.Next(int(n))
	return nil
}
