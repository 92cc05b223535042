package kafkalog

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"
)

// A segment file is a header and then frames. All numbers are little endian. Source:
// docs/adr/0002-embedded-log.md.
//
//	header                                    frame
//	   0  magic "troupelg"                       0  magic                       u32
//	   8  format                  u32            4  length of the body          u32
//	  12  partitions P            u32            8  CRC32C of the body          u32
//	  16  sequence                u64           12  partition                   u32
//	  24  epoch                   [16]byte      16  records                     u32
//	  40  newest commit before    u64           20  commit                      u64
//	  48  next offset, of each    P × u64       28  offset of the first record  u64
//	      partition                             36  frames left in the commit   u32
//	      CRC32C of all before    u32           40  CRC32C of all before        u32
//	                                            44  body
//
// The body is the records one after the other. Each is the uvarint lengths of its tenant, format
// and value, its partition count as a uvarint, its time in Unix nanoseconds as a varint, and then
// the tenant, the format and the value. The checksum of a frame's header begins with that of the
// epoch, so that a frame that lies inside a value is not taken for one of the log.
//
// All frames of one group commit carry the same commit number, and the next group is written only
// after that commit was synced. A broken frame that a later commit follows was therefore durable
// once: it is corruption, never a torn write.
const (
	formatVersion = 1
	segmentMagic  = "troupelg"
	frameMagic    = 0x676f6c74
	frameHeader   = 44
	maxFrameBody  = MaxRecordBytes + 1<<20
	maxPartitions = 1 << 16
	sectorBytes   = 512
)

// CorruptError is an ErrCorrupt that tells where the log is damaged.
type CorruptError struct {
	File   string
	Offset int64 // in bytes, of the frame or header that is broken
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("read log segment %s at byte %d: %s: %s", e.File, e.Offset, e.Reason, ErrCorrupt)
}
func (e *CorruptError) Unwrap() error { return ErrCorrupt }

// segment is a file of the log. Embedded.mu guards next, size and index; the other fields do not
// change once the log is open.
type segment struct {
	seq   uint64
	name  string // full path, as errors name it
	file  File
	first []int64        // by partition: the next offset when the segment began
	next  []int64        // by partition: the next offset after its last durable frame
	size  int64          // durable bytes
	index [][]indexEntry // by partition
	holes []hole         // damaged parts, in order, in which nothing is needed
}

// hole is the bytes [from, to) of a segment.
type hole struct{ from, to int64 }

// skipHoles returns the position, or the end of the hole that it lies in.
func (s *segment) skipHoles(pos int64) int64 {
	for _, h := range s.holes {
		if pos >= h.from && pos < h.to {
			pos = h.to
		}
	}
	return pos
}

// indexEntry is the position of a frame in the file, and the offset of its first record.
type indexEntry struct{ offset, pos int64 }

// indexBytes is about how far apart in the file the entries of one partition are.
const indexBytes = 64 << 10

// addFrame adds a durable frame to the segment.
func (s *segment) addFrame(f frame, pos int64) {
	ix := s.index[f.partition]
	if len(ix) == 0 || pos-ix[len(ix)-1].pos >= indexBytes {
		s.index[f.partition] = append(ix, indexEntry{f.first, pos})
	}
	s.next[f.partition] = f.first + int64(f.count)
	s.size = pos + frameHeader + int64(f.length)
}

// seekFrame returns the position of a frame of partition p, at or before the frame that holds
// offset.
func (s *segment) seekFrame(p int32, offset int64) int64 {
	ix := s.index[p]
	behind := sort.Search(len(ix), func(i int) bool { return ix[i].offset > offset })
	if behind == 0 {
		return segmentHeaderLen(len(s.first))
	}
	return ix[behind-1].pos
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

// decodeSegmentHeader reads the header of a segment that should have this epoch and sequence
// number. It returns the newest commit before the segment, and the next offset of each partition.
func decodeSegmentHeader(f io.ReaderAt, name string, epoch [16]byte, seq uint64) (
	commit uint64, next []int64, err error) {
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

// peekSegmentHeader reads the epoch and the next offsets of a segment of which nothing else is
// known.
func peekSegmentHeader(f io.ReaderAt, name string) (epoch [16]byte, next []int64, err error) {
	b, err := readSegmentHeader(f, name)
	if err != nil {
		return epoch, nil, err
	}
	next, err = nextOffsets(b, name)
	return [16]byte(b[24:40]), next, err
}

// nextOffsets reads the next offset of each partition from a header.
func nextOffsets(b []byte, name string) ([]int64, error) {
	next := make([]int64, binary.LittleEndian.Uint32(b[12:]))
	for i := range next {
		if next[i] = int64(binary.LittleEndian.Uint64(b[48+8*i:])); next[i] < 0 {
			return nil, &CorruptError{File: name, Reason: "segment header has a negative offset"}
		}
	}
	return next, nil
}

// readSegmentHeader returns the header's bytes. It tells a newer format from damage by the
// checksum, which will stay in its place.
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
		return nil, fmt.Errorf("read log segment %s: format %d is newer than %d, the newest this program knows",
			name, v, formatVersion)
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
	left      uint32 // frames that follow it in the same commit
}

// encodeTo writes the header to the first frameHeader bytes of b. seed is the checksum of the
// epoch.
func (f frame) encodeTo(b []byte, seed uint32) {
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

// parseFrame decodes a frame header. It returns false when b holds none.
func parseFrame(b []byte, seed uint32) (frame, bool) {
	if binary.LittleEndian.Uint32(b) != frameMagic {
		return frame{}, false
	}
	if crc32.Update(seed, castagnoli, b[:40]) != binary.LittleEndian.Uint32(b[40:]) {
		return frame{}, false
	}
	f := frame{
		length:    binary.LittleEndian.Uint32(b[4:]),
		crc:       binary.LittleEndian.Uint32(b[8:]),
		partition: int32(binary.LittleEndian.Uint32(b[12:])),
		count:     binary.LittleEndian.Uint32(b[16:]),
		commit:    binary.LittleEndian.Uint64(b[20:]),
		first:     int64(binary.LittleEndian.Uint64(b[28:])),
		left:      binary.LittleEndian.Uint32(b[36:]),
	}
	return f, f.length <= maxFrameBody && f.count > 0 && f.count <= f.length && f.first >= 0
}
