package kafkalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// scanner walks the frames of a segment through one buffer.
type scanner struct {
	r        io.ReaderAt
	seed     uint32
	pos, end int64 // of the file
	buf      []byte
	at       int64 // file position of buf[0]
}

// errCut is the error of reading bytes that lie beyond the end of the file.
var errCut = errors.New("the file ends inside it")

func newScanner(r io.ReaderAt, seed uint32, pos, end int64) *scanner {
	return &scanner{r: r, seed: seed, pos: pos, end: end}
}

// peekBytes returns n bytes at pos, valid until the next call. It reads want bytes ahead, as far as
// the file has them.
func (s *scanner) peekBytes(pos int64, n, want int) ([]byte, error) {
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

// readHeader returns the frame header at the scanner's position. ok is false when there is none.
func (s *scanner) readHeader(readAhead int) (f frame, ok bool, err error) {
	b, err := s.peekBytes(s.pos, frameHeader, readAhead)
	if err != nil {
		return frame{}, false, err
	}
	f, ok = parseFrame(b, s.seed)
	return f, ok, nil
}

// readBody returns the body of the frame at the scanner's position, valid until the next call. ok
// is false when its checksum is another.
func (s *scanner) readBody(f frame, readAhead int) (b []byte, ok bool, err error) {
	b, err = s.peekBytes(s.pos+frameHeader, int(f.length), readAhead)
	if err != nil {
		return nil, false, err
	}
	return b, crc32.Checksum(b, castagnoli) == f.crc, nil
}

// skipFrame moves behind the frame at the scanner's position.
func (s *scanner) skipFrame(f frame) { s.pos += frameHeader + int64(f.length) }

// isTornWrite reports whether the broken frame at pos, in the last commit of the last segment, is a
// write that a power loss cut off. A file system shows the parts of a file that were not written as
// zeros or not at all; any other bytes were written, and have changed since.
func isTornWrite(s *scanner, pos int64) (bool, error) {
	if s.end-pos < frameHeader {
		return true, nil
	}
	b, err := s.peekBytes(pos, frameHeader, frameHeader)
	if err != nil {
		return false, err
	}
	if f, ok := parseFrame(b, s.seed); ok && pos+frameHeader+int64(f.length) > s.end {
		return true, nil
	}
	zero := make([]byte, sectorBytes)
	for at := pos; at < s.end; {
		n := min(sectorBytes-at%sectorBytes, s.end-at)
		b, err := s.peekBytes(at, int(n), 1<<20)
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

// hasLaterCommit reports whether a whole frame header of a commit after the given one lies behind
// pos.
func hasLaterCommit(s *scanner, pos int64, commit uint64) (bool, error) {
	var magic [4]byte
	binary.LittleEndian.PutUint32(magic[:], frameMagic)
	const window = 1 << 20
	for at := pos; at+frameHeader <= s.end; {
		n := int(min(window, s.end-at))
		b, err := s.peekBytes(at, n, n)
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
