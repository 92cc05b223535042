package packed

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/snappy"
)

// chunkBytes is how much is unpacked at a time, and reserved before.
const chunkBytes = 64 << 10

var chunks = sync.Pool{New: func() any { return new([chunkBytes]byte) }}

var (
	// ErrTooLarge is returned where the unpacked bytes exceed the limit.
	ErrTooLarge = errors.New("larger than the limit when unpacked")
	// ErrDamaged is wrapped by the errors of bytes that are not what their coding says.
	ErrDamaged = errors.New("unpack")
)

// Reserve makes room for n bytes more of memory. If it returns an error, unpacking ends with that
// error.
type Reserve func(n int64) error

// Unpack undoes the codings, the last one first. body is not changed; what is returned is the
// caller's, and is body itself where there is no coding.
//
// limit is that of the unpacked bytes, between two codings too. Unpack reserves before it
// allocates: what the decoders hold, and twice the unpacked bytes, which are collected in chunks
// and put together once their number is known. It gives nothing back: the caller does, when Unpack
// has returned.
//
// Errors: ErrTooLarge; ErrDamaged; that of reserve.
func Unpack(codings []Coding, body []byte, limit int64, reserve Reserve) (out []byte, err error) {
	if len(codings) == 0 {
		return body, nil
	}
	var open []io.Closer
	defer func() {
		// Some decoders are not hardened as ours are: a panic on bytes from outside is the sender's
		// error. Decoders in such a state are not used again.
		if p := recover(); p != nil {
			out, err = nil, fmt.Errorf("%w: %v", ErrDamaged, p)
			return
		}
		for _, c := range open {
			_ = c.Close() // gives the decoder back
		}
	}()
	if len(codings) == 1 && codings[0] == Snappy && !isFramedSnappy(body) {
		return unpackBlock(body, limit, reserve)
	}
	r := io.Reader(bytes.NewReader(body))
	for i := len(codings) - 1; i >= 0; i-- {
		in := bufio.NewReaderSize(r, peekBytes)
		form := chooseFormat(codings[i], in)
		if err := reserve(form.holds); err != nil {
			return nil, err
		}
		if form.open == nil {
			block, err := readWhole(in, limit, reserve)
			if err == nil {
				block, err = unpackBlock(block, limit, reserve)
			}
			if err != nil || i == 0 {
				return block, err
			}
			r = bytes.NewReader(block)
			continue
		}
		z, err := form.open(in)
		if err != nil {
			return nil, asDamaged(err)
		}
		open = append(open, z)
		r = z
		if i > 0 {
			r = &limited{r, limit}
		}
	}
	return readWhole(r, limit, reserve)
}

// asDamaged makes an error of a decoder one about the bytes, unless it is about the limit.
func asDamaged(err error) error {
	switch {
	case errors.Is(err, ErrTooLarge):
		return ErrTooLarge
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// unpackBlock unpacks a block of snappy, which says how long it is.
func unpackBlock(body []byte, limit int64, reserve Reserve) ([]byte, error) {
	if len(body) == 0 {
		return body, nil // a framed stream of nothing
	}
	n, err := snappy.DecodedLen(body)
	if err != nil {
		return nil, asDamaged(err)
	}
	if int64(n) > limit {
		return nil, ErrTooLarge
	}
	// Two bytes of a block can stand for 64 of its text at most.
	if int64(n) > 32*int64(len(body)) {
		return nil, asDamaged(snappy.ErrCorrupt)
	}
	if err := reserve(int64(n)); err != nil {
		return nil, err
	}
	out, err := snappy.Decode(make([]byte, n), body)
	if err != nil {
		return nil, asDamaged(err)
	}
	return out, nil
}

// limited ends a stream between two codings at a limit. Without it the stream could be as long as
// it likes while no byte comes out at the end.
type limited struct {
	io.Reader
	left int64
}

func (l *limited) Read(b []byte) (int, error) {
	n, err := l.Reader.Read(b)
	if l.left -= int64(n); l.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}

// readWhole reads a stream to its end.
func readWhole(r io.Reader, limit int64, reserve Reserve) ([]byte, error) {
	var full []*[chunkBytes]byte
	defer func() {
		for _, c := range full {
			chunks.Put(c)
		}
	}()
	total := int64(0)
	for ended := false; !ended; {
		if err := reserve(chunkBytes); err != nil {
			return nil, err
		}
		c := chunks.Get().(*[chunkBytes]byte)
		full = append(full, c)
		n, err := fillBuffer(c[:], r)
		total += int64(n)
		switch {
		case total > limit:
			return nil, ErrTooLarge
		case err == io.EOF:
			ended = true
		case err != nil:
			return nil, asDamaged(err)
		}
	}
	if err := reserve(total); err != nil {
		return nil, err
	}
	out := make([]byte, 0, total)
	for _, c := range full {
		out = append(out, c[:min(chunkBytes, total-int64(len(out)))]...)
	}
	return out, nil
}

// fillBuffer reads until b is full. Its error is io.EOF only if the stream ended properly;
// io.ReadFull would hide a stream that was cut off.
func fillBuffer(b []byte, r io.Reader) (n int, err error) {
	for n < len(b) && err == nil {
		var more int
		more, err = r.Read(b[n:])
		n += more
	}
	return n, err
}
