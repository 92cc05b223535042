package kafkalog

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// A segment file is a header and frames, all little endian (docs/adr/0002-embedded-log.md):
//
//	header: magic "troupelg", format u32, partitions u32, sequence u64, epoch [16]byte, last commit u64,
//	        next offset u64 of each partition, CRC32C u32 of all before
//	frame:  magic u32, body length u32, body CRC32C u32, partition u32, records u32, commit u64, first offset u64,
//	        frames left in the commit u32, CRC32C u32 of all before, begun with the epoch's; body
//	body:   each record: uvarint lengths of tenant, format and value, uvarint parts, varint unix nanoseconds; tenant, format, value
//
// All frames of one group commit carry the same commit number; the next group is written only after
// that commit was synced. A broken frame that a later commit follows was therefore durable once:
// corruption, never a torn write.
const (
	formatVersion = 1
	segmentMagic  = "troupelg"
	frameMagic    = 0x676f6c74
	frameHeader   = 44
	maxFrameBody  = MaxRecordBytes + 1<<20
	maxPartitions = 1 << 16
	sectorBytes   = 512
)

// CorruptError says where the log is damaged. It is ErrCorrupt.
type CorruptError struct {
	File   string
	Offset int64 // in bytes, of the frame or header that is broken
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("read log segment %s at byte %d: %s: %s", e.File, e.Offset, e.Reason, ErrCorrupt)
}
func (e *CorruptError) Unwrap() error { return ErrCorrupt }

// segment is a file of the log. size, bounds and index are guarded by Embedded.mu; the rest does
// not change.
type segment struct {
	seq   uint64
	name  string // full path, as errors name it
	file  File
	first []int64 // per partition: the next offset when the segment began
	next  []int64 // per partition: the next offset after its last durable frame
	size  int64   // durable bytes
	index [][]indexEntry
	holes []hole // damaged parts, in order, that hold nothing that is needed
}

// hole is the bytes [from, to) of a segment.
type hole struct{ from, to int64 }

// behindHole returns where reading goes on from a position.
func (s *segment) behindHole(pos int64) int64 {
	for _, h := range s.holes {
		if pos >= h.from && pos < h.to {
			pos = h.to
		}
	}
	return pos
}

// indexEntry finds a frame; between two entries of a partition lie about indexBytes of file.
type indexEntry struct{ offset, pos int64 }

const indexBytes = 64 << 10

// note adds a durable frame to the segment.
func (s *segment) note(f frame, pos int64) {
	ix := s.index[f.partition]
	if len(ix) == 0 || pos-ix[len(ix)-1].pos >= indexBytes {
		s.index[f.partition] = append(ix, indexEntry{f.first, pos})
	}
	s.next[f.partition] = f.first + int64(f.count)
	s.size = pos + frameHeader + int64(f.length)
}

// seek returns the position of a frame of partition p at or before the one that holds offset.
func (s *segment) seek(p int32, offset int64) int64 {
	ix := s.index[p]
	lo, hi := 0, len(ix)
	for lo < hi {
		if m := (lo + hi) / 2; ix[m].offset <= offset {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo == 0 {
		return segmentHeaderLen(len(s.first))
	}
	return ix[lo-1].pos
}

func segmentHeaderLen(partitions int) int64 { return 52 + 8*int64(partitions) }

func encodeSegmentHeader(epoch [16]byte, seq, commit uint64, next []int64) []byte {
	b := append(make([]byte, 0, segmentHeaderLen(len(next))), segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(next)))
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = append(b, epoch[:]...)
	b = binary.LittleEndian.AppendUint64(b, commit)
	for _, n := range next {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeSegmentHeader(f io.ReaderAt, name string, epoch [16]byte, seq uint64) (commit uint64, next []int64, err error) {
	b, err := readSegmentHeader(f, name)
	if err != nil {
		return 0, nil, err
	}
	corrupt := func(reason string) error { return &CorruptError{File: name, Reason: reason} }
	if got := binary.LittleEndian.Uint64(b[16:]); got != seq {
		return 0, nil, corrupt(fmt.Sprintf("segment has sequence %d", got))
	}
	if !bytes.Equal(b[24:40], epoch[:]) {
		return 0, nil, corrupt("segment is of epoch " + hex.EncodeToString(b[24:40]))
	}
	if next, err = nextOffsets(b, name); err != nil {
		return 0, nil, err
	}
	return binary.LittleEndian.Uint64(b[40:]), next, nil
}

// peekSegmentHeader reads what a segment says of its log.
func peekSegmentHeader(f io.ReaderAt, name string) (epoch [16]byte, next []int64, err error) {
	b, err := readSegmentHeader(f, name)
	if err != nil {
		return epoch, nil, err
	}
	next, err = nextOffsets(b, name)
	return [16]byte(b[24:40]), next, err
}

func nextOffsets(b []byte, name string) ([]int64, error) {
	next := make([]int64, binary.LittleEndian.Uint32(b[12:]))
	for i := range next {
		if next[i] = int64(binary.LittleEndian.Uint64(b[48+8*i:])); next[i] < 0 {
			return nil, &CorruptError{File: name, Reason: "segment header has a negative offset"}
		}
	}
	return next, nil
}

// readSegmentHeader returns the header's bytes. A newer format is told from damage by the checksum,
// which is where it is in this one.
func readSegmentHeader(f io.ReaderAt, name string) ([]byte, error) {
	corrupt := func(reason string) error { return &CorruptError{File: name, Reason: reason} }
	var h [16]byte
	if _, err := f.ReadAt(h[:], 0); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, corrupt("segment header is cut off")
		}
		return nil, fmt.Errorf("read log segment %s: %w", name, err)
	}
	if string(h[:8]) != segmentMagic {
		return nil, corrupt("no segment header")
	}
	n := binary.LittleEndian.Uint32(h[12:])
	if n == 0 || n > maxPartitions {
		return nil, corrupt("segment header counts an impossible number of partitions")
	}
	b := make([]byte, segmentHeaderLen(int(n)))
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, corrupt("segment header is cut off")
	}
	if crc32.Checksum(b[:len(b)-4], castagnoli) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return nil, corrupt("segment header has another checksum")
	}
	if v := binary.LittleEndian.Uint32(h[8:]); v > formatVersion {
		return nil, fmt.Errorf("read log segment %s: format %d is newer than %d, the newest this program knows", name, v, formatVersion)
	}
	return b, nil
}

// frame is a decoded frame header.
type frame struct {
	length    uint32 // of the body
	crc       uint32
	partition int32
	count     uint32
	commit    uint64
	first     int64
	left      uint32 // frames that follow in the same commit
}

// put writes the header. seed is made of the epoch, so that a frame copied into a value is not
// taken for one.
func (f frame) put(b []byte, seed uint32) {
	binary.LittleEndian.PutUint32(b[0:], frameMagic)
	binary.LittleEndian.PutUint32(b[4:], f.length)
	binary.LittleEndian.PutUint32(b[8:], f.crc)
	binary.LittleEndian.PutUint32(b[12:], uint32(f.partition))
	binary.LittleEndian.PutUint32(b[16:], f.count)
	binary.LittleEndian.PutUint64(b[20:], f.commit)
	binary.LittleEndian.PutUint64(b[28:], uint64(f.first))
	binary.LittleEndian.PutUint32(b[36:], f.left)
	binary.LittleEndian.PutUint32(b[40:], crc32.Update(seed, castagnoli, b[:40]))
}

func parseFrame(b []byte, seed uint32) (frame, bool) {
	if binary.LittleEndian.Uint32(b) != frameMagic || crc32.Update(seed, castagnoli, b[:40]) != binary.LittleEndian.Uint32(b[40:]) {
		return frame{}, false
	}
	f := frame{length: binary.LittleEndian.Uint32(b[4:]), crc: binary.LittleEndian.Uint32(b[8:]),
		partition: int32(binary.LittleEndian.Uint32(b[12:])), count: binary.LittleEndian.Uint32(b[16:]),
		commit: binary.LittleEndian.Uint64(b[20:]), first: int64(binary.LittleEndian.Uint64(b[28:])),
		left: binary.LittleEndian.Uint32(b[36:])}
	return f, f.length <= maxFrameBody && f.count > 0 && f.count <= f.length && f.first >= 0
}

// scanner walks the frames of a segment through one buffer.
type scanner struct {
	r        io.ReaderAt
	seed     uint32
	pos, end int64 // of the file
	buf      []byte
	at       int64 // file position of buf[0]
}

var errCut = errors.New("the file ends inside it")

func newScanner(r io.ReaderAt, seed uint32, pos, end int64) *scanner {
	return &scanner{r: r, seed: seed, pos: pos, end: end}
}

// peek returns n bytes at pos, valid until the next call. want bytes are read ahead where the file
// has them.
func (s *scanner) peek(pos int64, n, want int) ([]byte, error) {
	if pos+int64(n) > s.end {
		return nil, errCut
	}
	if i := pos - s.at; i >= 0 && i+int64(n) <= int64(len(s.buf)) {
		return s.buf[i : i+int64(n)], nil
	}
	want = int(min(int64(max(n, want)), s.end-pos))
	if cap(s.buf) < want {
		s.buf = make([]byte, want)
	}
	s.buf, s.at = s.buf[:want], pos
	if _, err := s.r.ReadAt(s.buf, pos); err != nil {
		s.buf = s.buf[:0]
		if errors.Is(err, io.EOF) {
			err = errCut
		}
		return nil, err
	}
	return s.buf[:n], nil
}

// header returns the frame header at pos; ok=false: there is none.
func (s *scanner) header(readAhead int) (f frame, ok bool, err error) {
	b, err := s.peek(s.pos, frameHeader, readAhead)
	if err != nil {
		return frame{}, false, err
	}
	f, ok = parseFrame(b, s.seed)
	return f, ok, nil
}

// body returns the checked body of the frame at pos, valid until the next call; ok=false: its
// checksum is another.
func (s *scanner) body(f frame, readAhead int) (b []byte, ok bool, err error) {
	b, err = s.peek(s.pos+frameHeader, int(f.length), readAhead)
	if err != nil {
		return nil, false, err
	}
	return b, crc32.Checksum(b, castagnoli) == f.crc, nil
}

func (s *scanner) skip(f frame) { s.pos += frameHeader + int64(f.length) }

// appendRecordHead encodes all of a record but its strings and value.
func appendRecordHead(b []byte, r *Record) []byte {
	b = binary.AppendUvarint(b, uint64(len(r.Tenant)))
	b = binary.AppendUvarint(b, uint64(len(r.Format)))
	b = binary.AppendUvarint(b, uint64(len(r.Value)))
	b = binary.AppendUvarint(b, uint64(uint32(r.Parts)))
	return binary.AppendVarint(b, r.Time.UnixNano())
}

var errRecord = errors.New("a record is malformed")

// decodeRecords appends the records of a body to dst, from offset `from` on. Their values alias
// body.
func decodeRecords(dst []Record, f frame, body []byte, from int64) ([]Record, error) {
	for i := uint32(0); i < f.count; i++ {
		var v [4]uint64
		for j := range v {
			n := 0
			if v[j], n = binary.Uvarint(body); n <= 0 {
				return dst, errRecord
			}
			body = body[n:]
		}
		nano, n := binary.Varint(body)
		if n <= 0 {
			return dst, errRecord
		}
		body = body[n:]
		for _, l := range v[:3] {
			if l > uint64(len(body)) {
				return dst, errRecord
			}
		}
		if v[0]+v[1]+v[2] > uint64(len(body)) {
			return dst, errRecord
		}
		a, b, c := int(v[0]), int(v[0]+v[1]), int(v[0]+v[1]+v[2])
		if o := f.first + int64(i); o >= from {
			dst = append(dst, Record{Offset: o, Tenant: string(body[:a]), Format: string(body[a:b]), Parts: int32(uint32(v[3])),
				Time: time.Unix(0, nano), Value: body[b:c:c]})
		}
		body = body[c:]
	}
	if len(body) != 0 {
		return dst, errRecord
	}
	return dst, nil
}

// torn tells whether what is broken at pos, in the last commit of the last segment, is a write that
// power loss cut off. A file system shows parts of a file that were not written as zeros or not at
// all; other bytes were written, and have changed since.
func torn(s *scanner, pos int64) (bool, error) {
	if s.end-pos < frameHeader {
		return true, nil
	}
	b, err := s.peek(pos, frameHeader, frameHeader)
	if err != nil {
		return false, err
	}
	if f, ok := parseFrame(b, s.seed); ok && pos+frameHeader+int64(f.length) > s.end {
		return true, nil
	}
	zero := make([]byte, sectorBytes)
	for at := pos; at < s.end; {
		n := min(sectorBytes-at%sectorBytes, s.end-at)
		b, err := s.peek(at, int(n), 1<<20)
		if err != nil {
			return false, err
		}
		if bytes.Equal(b, zero[:n]) && (n == sectorBytes || at == pos) {
			return true, nil
		}
		at += n
	}
	return false, nil
}

// laterCommit looks behind pos for a whole frame of a commit after `commit`.
func laterCommit(s *scanner, pos int64, commit uint64) (bool, error) {
	var magic [4]byte
	binary.LittleEndian.PutUint32(magic[:], frameMagic)
	const window = 1 << 20
	for at := pos; at+frameHeader <= s.end; {
		n := int(min(window, s.end-at))
		b, err := s.peek(at, n, n)
		if err != nil {
			return false, err
		}
		for i := 0; ; i++ {
			j := bytes.Index(b[i:], magic[:])
			if j < 0 || i+j+frameHeader > n {
				break
			}
			i += j
			if f, ok := parseFrame(b[i:i+frameHeader], s.seed); ok && f.commit > commit {
				return true, nil
			}
		}
		if n < window {
			break
		}
		at += int64(n - frameHeader)
	}
	return false, nil
}
