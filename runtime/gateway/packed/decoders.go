package packed

import (
	"bufio"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// peekBytes is how much of a stream is looked at to find out its format. The longest header, that
// of zstd, has 18 bytes.
const peekBytes = 512

// What decoders hold while they read.
const (
	inflateHolds = 64 << 10
	snappyHolds  = 160 << 10
	lz4Holds     = 8 << 20 // two blocks of the largest size; the Collector's packer uses it
	zstdHolds    = 512 << 10
)

// format is one way to decode.
type format struct {
	holds int64                                  // upper bound of what a decoder holds
	open  func(io.Reader) (io.ReadCloser, error) // nil: a block of snappy
}

// decoder reads a stream and can be used again for another.
type decoder interface {
	io.Reader
	Reset(io.Reader) error
}

// pool keeps decoders of one format for reuse, because their tables and windows are large.
type pool struct {
	idle        sync.Pool
	makeDecoder func() (decoder, error)
}

func (p *pool) openReader(r io.Reader) (io.ReadCloser, error) {
	d, ok := p.idle.Get().(decoder)
	if !ok {
		var err error
		if d, err = p.makeDecoder(); err != nil {
			return nil, err
		}
	}
	if err := d.Reset(r); err != nil {
		p.idle.Put(d)
		return nil, err
	}
	return &borrowed{d, p}, nil
}

// borrowed is a decoder in use.
type borrowed struct {
	decoder
	pool *pool
}

// Close gives the decoder back. It must not be used afterwards.
func (o *borrowed) Close() error {
	o.pool.idle.Put(o.decoder)
	o.decoder = nil
	return nil
}

type (
	inflater struct{ io.ReadCloser } // raw deflate or zlib
	unframer struct{ *snappy.Reader }
	lz4er    struct{ *lz4.Reader }
)

func (f inflater) Reset(r io.Reader) error {
	if z, ok := f.ReadCloser.(zlib.Resetter); ok {
		return z.Reset(r, nil)
	}
	return f.ReadCloser.(flate.Resetter).Reset(r, nil)
}

func (f unframer) Reset(r io.Reader) error { f.Reader.Reset(r); return nil }
func (f lz4er) Reset(r io.Reader) error    { f.Reader.Reset(r); return nil }

// windows are the largest windows that frames of zstd may ask for, in classes: a decoder of a class
// refuses larger ones. Encoders ask for at most 8 MiB unless they are told otherwise.
var windows = [...]int64{1 << 20, 8 << 20, 32 << 20}

var (
	gzips     = &pool{makeDecoder: func() (decoder, error) { return new(gzip.Reader), nil }}
	raws      = &pool{makeDecoder: func() (decoder, error) { return inflater{flate.NewReader(nil)}, nil }}
	snappies  = &pool{makeDecoder: func() (decoder, error) { return unframer{snappy.NewReader(nil)}, nil }}
	lz4s      = &pool{makeDecoder: func() (decoder, error) { return lz4er{lz4.NewReader(nil)}, nil }}
	zstds     = [...]*pool{zstdPool(windows[0]), zstdPool(windows[1]), zstdPool(windows[2])}
	zlibs     = &zlibPool{}
	wholeZlib = format{inflateHolds, zlibs.openReader}
)

// zlibPool differs from pool because a reader of zlib cannot be made without a stream.
type zlibPool struct{ pool }

func (p *zlibPool) openReader(r io.Reader) (io.ReadCloser, error) {
	if d, ok := p.idle.Get().(decoder); ok {
		if err := d.Reset(r); err != nil {
			p.idle.Put(d)
			return nil, err
		}
		return &borrowed{d, &p.pool}, nil
	}
	z, err := zlib.NewReader(r)
	if err != nil {
		return nil, err
	}
	return &borrowed{inflater{z}, &p.pool}, nil
}

func zstdPool(window int64) *pool {
	return &pool{makeDecoder: func() (decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(uint64(window)))
	}}
}

// chooseFormat finds out from its first bytes how a stream is to be decoded.
func chooseFormat(coding Coding, r *bufio.Reader) format {
	head, _ := r.Peek(peekBytes) // shorter where the stream is
	switch coding {
	case Gzip:
		return format{inflateHolds, gzips.openReader}
	case Deflate:
		// A header of zlib names method 8, and is a multiple of 31. No encoder begins raw deflate
		// like that: it would be a stored block whose padding is not zero.
		if len(head) >= 2 && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
			return wholeZlib
		}
		return format{inflateHolds, raws.openReader}
	case Snappy:
		if isFramedSnappy(head) {
			return format{snappyHolds, snappies.openReader}
		}
		return format{} // a block, which can only be read whole
	case LZ4:
		return format{lz4Holds, lz4s.openReader}
	default:
		window := zstdWindow(head)
		class := 0
		for class < len(windows)-1 && window > windows[class] {
			class++
		}
		return format{min(window, windows[class]) + zstdHolds, zstds[class].openReader}
	}
}

// zstdWindow returns the window of the first frame that has one. The frames that follow may have
// no window of a larger class.
func zstdWindow(head []byte) int64 {
	var h zstd.Header
	for h.Decode(head) == nil && h.Skippable && int(h.SkippableSize)+h.HeaderSize < len(head) {
		head = head[int(h.SkippableSize)+h.HeaderSize:]
		h = zstd.Header{}
	}
	size := h.WindowSize
	if h.SingleSegment {
		size = h.FrameContentSize
	}
	return int64(min(size, 1<<40))
}

// isFramedSnappy reports whether bytes begin like a framed stream of snappy and not like a block.
func isFramedSnappy(b []byte) bool {
	const head = "\xff\x06\x00\x00sNaPpY"
	return len(b) >= len(head) && string(b[:len(head)]) == head
}
