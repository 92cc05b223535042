package block

import (
	"encoding/binary"
	"hash/crc32"
	"runtime"

	"github.com/klauspost/compress/zstd"
)

// Parquet's numbers of kinds of pages and of encodings.
const (
	pageData       = 0
	pageDictionary = 2

	encPlain       = 0
	encRLE         = 3
	encDelta       = 5
	encDeltaLength = 6
	encDictionary  = 8
)

// maxPage is the size in bytes of the largest page, uncompressed, that is written or read.
const maxPage = 1 << 30

// pageHeader is a page header as this package writes it: without optional fields, except the
// checksum.
type pageHeader struct {
	dictionary bool
	raw, size  int // bytes of the page, uncompressed and as stored
	crc        uint32
	values     int // rows of a data page, entries of a dictionary
	encoding   int
}

// appendHeader appends a page header in Thrift's compact protocol.
func appendHeader(dst []byte, h pageHeader) []byte {
	kind := int64(pageData)
	if h.dictionary {
		kind = pageDictionary
	}
	const i32, st = 5, 12
	num := func(v int64) { dst = binary.AppendVarint(append(dst, 1<<4|i32), v) } // the next field
	num(kind)
	num(int64(h.raw))
	num(int64(h.size))
	num(int64(int32(h.crc)))
	if h.dictionary {
		dst = append(dst, 3<<4|st)
		num(int64(h.values))
		num(int64(h.encoding))
	} else {
		dst = append(dst, 1<<4|st)
		num(int64(h.values))
		num(int64(h.encoding))
		num(encRLE)
		num(encRLE)
	}
	return append(dst, 0, 0)
}

// parseHeader reads what appendHeader writes, and returns what follows it.
func parseHeader(b []byte) (h pageHeader, rest []byte, err error) {
	const i32, st = 5, 12
	bad := false
	num := func(low, high int64) int64 {
		if bad || len(b) == 0 || b[0] != 1<<4|i32 {
			bad = true
			return 0
		}
		v, n := binary.Varint(b[1:])
		if n <= 0 || v < low || v > high {
			bad = true
			return 0
		}
		b = b[1+n:]
		return v
	}
	skip := func(want byte) {
		if bad || len(b) == 0 || b[0] != want {
			bad = true
			return
		}
		b = b[1:]
	}
	switch num(0, pageDictionary) {
	case pageData:
	case pageDictionary:
		h.dictionary = true
	default:
		bad = true
	}
	h.raw, h.size = int(num(0, maxPage)), int(num(0, maxPage))
	h.crc = uint32(num(-1<<31, 1<<31-1))
	if h.dictionary {
		skip(3<<4 | st)
	} else {
		skip(1<<4 | st)
	}
	h.values = int(num(0, 1<<31-1))
	h.encoding = int(num(0, 1<<8))
	if !h.dictionary {
		num(encRLE, encRLE)
		num(encRLE, encRLE)
	}
	skip(0)
	skip(0)
	if bad {
		return h, nil, errBytes
	}
	return h, b, nil
}

// checksum returns what page headers and the index hold of stored bytes: CRC-32 of IEEE.
func checksum(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

// decoder decompresses for all readers; it has no state of its own, only memory that calls take
// turns to use.
// tidy: no result depends on that memory
var decoder = newDecoder()

func newDecoder() *zstd.Decoder {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxPage),
		zstd.WithDecodeAllCapLimit(true),
		zstd.IgnoreChecksum(true), // pages and sections have checksums of their own
	)
	if err != nil {
		panic("BUG: zstd decoder: " + err.Error())
	}
	return d
}

// newEncoder returns a compressor. It belongs to one goroutine at a time.
func newEncoder() *zstd.Encoder {
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(512<<10),
		zstd.WithLowerEncoderMem(true),
		zstd.WithAllLitEntropyCompression(true), // ids in hex repeat nothing, but use half of each byte
	)
	if err != nil {
		panic("BUG: zstd encoder: " + err.Error())
	}
	return e
}

// appendRawFrame appends a zstd frame that holds b as it is.
func appendRawFrame(dst, b []byte) []byte {
	const most = 1 << 17                                 // bytes of a block
	dst = append(dst, 0x28, 0xb5, 0x2f, 0xfd, 2<<6|1<<5) // single segment, four bytes of content size
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(b)))
	for {
		n := min(len(b), most)
		head := uint32(n) << 3
		if n == len(b) {
			head |= 1 // the last block
		}
		dst = append(dst, byte(head), byte(head>>8), byte(head>>16))
		dst = append(dst, b[:n]...)
		if b = b[n:]; len(b) == 0 {
			return dst
		}
	}
}

// slack is how many bytes of room there are behind pages, so that the unpackers may load whole
// words.
const slack = 8

// decompressFrame decompresses a zstd frame whose content must have exactly raw bytes, into dst's
// memory, or new memory if that is too small.
func decompressFrame(dst, b []byte, raw int) ([]byte, error) {
	if raw < 0 || raw > maxPage {
		return nil, errBytes
	}
	// A frame takes at least a byte for each 2^17 bytes of its content (a block of one repeated
	// byte), so this bounds the memory that a few bytes can ask for.
	if raw>>17 > len(b) {
		return nil, errBytes
	}
	if cap(dst) < raw+slack {
		dst = make([]byte, 0, raw+slack)
	}
	out, err := decoder.DecodeAll(b, dst[:0:raw])
	if err != nil || len(out) != raw {
		return nil, errBytes
	}
	return dst[: raw : raw+slack], nil
}
