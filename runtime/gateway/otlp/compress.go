package otlp

import (
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/encoding"
)

// windowBytes is the largest window a zstd frame may ask for.
const windowBytes = 8 << 20

// unpackers make a reader of packed bytes, for HTTP's Content-Encoding. Their errors are the client's.
var unpackers = map[string]func(io.Reader) (io.ReadCloser, error){
	"gzip":    gzips.open,
	"zstd":    zstds.open,
	"zlib":    func(r io.Reader) (io.ReadCloser, error) { return zlib.NewReader(r) },
	"deflate": func(r io.Reader) (io.ReadCloser, error) { return flate.NewReader(r), nil },
	"snappy":  func(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(snappy.NewReader(r)), nil },
}

// resetter is a reader of packed bytes that can be used again.
type resetter interface {
	io.Reader
	Reset(io.Reader) error
}

// readers keeps readers of one format for reuse: their tables and windows are large.
type readers struct {
	pool sync.Pool
	make func() (resetter, error)
}

var (
	gzips = &readers{make: func() (resetter, error) { return new(gzip.Reader), nil }}
	zstds = &readers{make: func() (resetter, error) {
		return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(windowBytes))
	}}
)

func (p *readers) open(r io.Reader) (io.ReadCloser, error) {
	z, ok := p.pool.Get().(resetter)
	if !ok {
		var err error
		if z, err = p.make(); err != nil {
			return nil, err
		}
	}
	if err := z.Reset(r); err != nil {
		p.pool.Put(z)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return &reader{resetter: z, pool: p}, nil
}

type reader struct {
	resetter
	pool *readers
}

// Close gives the reader back.
func (r *reader) Close() error {
	if r.resetter != nil {
		r.pool.pool.Put(r.resetter)
		r.resetter = nil
	}
	return nil
}

// Read reads on.
func (r *reader) Read(b []byte) (int, error) {
	if r.resetter == nil {
		return 0, errors.New("read after close")
	}
	return r.resetter.Read(b)
}

// codec is a compression of gRPC messages.
type codec struct {
	name string
	from func(io.Reader) (io.ReadCloser, error)
	to   func(io.Writer) io.WriteCloser
}

// Name is the content coding.
func (c codec) Name() string { return c.name }

// Decompress unpacks a message. gRPC bounds what it reads of it.
func (c codec) Decompress(r io.Reader) (io.Reader, error) { return c.from(r) }

// Compress packs an answer, which is a few bytes long.
func (c codec) Compress(w io.Writer) (io.WriteCloser, error) { return c.to(w), nil }

// The library keeps compressions in a table of the process that may only be written while packages are initialised.
func init() {
	encoding.RegisterCompressor(codec{"gzip", gzips.open, func(w io.Writer) io.WriteCloser {
		z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
		return z
	}})
	encoding.RegisterCompressor(codec{"zstd", zstds.open, func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(zstd.MinWindowSize))
		if err != nil {
			panic(fmt.Sprintf("BUG: zstd options: %v", err))
		}
		return z
	}})
	encoding.RegisterCompressor(codec{"snappy", unpackers["snappy"], func(w io.Writer) io.WriteCloser { return snappy.NewBufferedWriter(w) }})
}
