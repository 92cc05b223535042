package packed

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that Codec stands before
	"google.golang.org/grpc/mem"
)

// gRPC keeps compressions in a table of the process, and lets them unpack a message without saying
// whose it is. A receiver that bounds the memory of each request cannot use that. The compressions
// registered here therefore leave messages packed and put a mark before them; the codec of each
// server takes it off (TakeMark) and unpacks where it knows what the request may hold.
//
// The price: a gRPC client in this process that asks for compressed answers has to do the same.
// Troupe has none.

// MarkBytes is the length of the mark before a packed message.
const MarkBytes = 17

// mark begins with bytes of chance, so that no client can send one.
var mark = func() (m [MarkBytes - 1]byte) {
	_, _ = rand.Read(m[:]) // never fails, says its documentation
	return m
}()

// TakeMark returns the coding of a message and the message as it was sent. Coding 0: it is not
// packed.
func TakeMark(message []byte) (Coding, []byte) {
	if len(message) < MarkBytes || !bytes.Equal(message[:MarkBytes-1], mark[:]) {
		return 0, message
	}
	return Coding(message[MarkBytes-1]), message[MarkBytes:]
}

// compressor is what gRPC calls a compression by one of its names.
type compressor struct {
	name   string
	coding Coding
	pack   func(io.Writer) (io.WriteCloser, error)
}

// Name is the content coding.
func (c compressor) Name() string { return c.name }

// Decompress marks the message.
func (c compressor) Decompress(r io.Reader) (io.Reader, error) {
	return io.MultiReader(bytes.NewReader(append(mark[:len(mark):len(mark)], byte(c.coding))), r), nil
}

// Compress packs an answer, in the coding of its request.
func (c compressor) Compress(w io.Writer) (io.WriteCloser, error) { return c.pack(w) }

// The library's table may only be written while packages are initialised.
func init() {
	for _, c := range []compressor{
		{"gzip", Gzip, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, gzip.BestSpeed) }},
		{"zstd", Zstd, func(w io.Writer) (io.WriteCloser, error) {
			return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
				zstd.WithWindowSize(zstd.MinWindowSize))
		}},
		{"snappy", Snappy, func(w io.Writer) (io.WriteCloser, error) { return snappy.NewBufferedWriter(w), nil }},
		{"x-snappy-framed", Snappy, func(w io.Writer) (io.WriteCloser,
			error) {
			return snappy.NewBufferedWriter(w), nil
		}},
		{"deflate", Deflate, func(w io.Writer) (io.WriteCloser,
			error) {
			return zlib.NewWriterLevel(w, zlib.BestSpeed)
		}},
		{"zlib", Deflate, func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriterLevel(w, zlib.BestSpeed) }},
		{"lz4", LZ4, func(w io.Writer) (io.WriteCloser, error) { return lz4.NewWriter(w), nil }},
	} {
		encoding.RegisterCompressor(c)
	}
}

// Codec is gRPC's own codec of protobuf messages before which packed ones are unpacked, to at most
// limit bytes. For servers whose requests are small and bounded otherwise.
func Codec(limit int64) encoding.CodecV2 { return codec{encoding.GetCodecV2("proto"), limit} }

type codec struct {
	encoding.CodecV2
	limit int64
}

// Unmarshal unpacks a packed message and decodes it.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	message := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer message.Free()
	coding, packed := TakeMark(message.ReadOnlyData())
	if coding == 0 {
		return c.CodecV2.Unmarshal(data, v)
	}
	out, err := Unpack([]Coding{coding}, packed, c.limit, func(int64) error { return nil })
	if err != nil {
		return fmt.Errorf("%w (at most %d bytes)", err, c.limit)
	}
	return c.CodecV2.Unmarshal(mem.BufferSlice{mem.SliceBuffer(out)}, v)
}
