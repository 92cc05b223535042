package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// spoolMemory is how much of an object that is being created stays in memory. Larger objects go to
// a file.
const spoolMemory = 1 << 20

// spool holds the content of an object while it is created, because each attempt sends it from the
// start, and its size must be known before.
type spool struct {
	size   int64
	memory []byte
	file   *os.File // nil: all is in memory. It has no name any more, so it goes with the process.
}

// fillSpool reads all of r.
func fillSpool(ctx context.Context, r io.Reader, folder string) (*spool, error) {
	var head bytes.Buffer
	n, err := copyTo(ctx, &head, io.LimitReader(r, spoolMemory))
	s := &spool{size: n, memory: head.Bytes()}
	if err != nil || n < spoolMemory {
		return s, err
	}
	f, err := os.CreateTemp(folder, "troupe-object-*")
	if err != nil {
		return nil, fmt.Errorf("open scratch file: %w", err)
	}
	s.file = f
	err = os.Remove(f.Name())
	if err == nil {
		_, err = f.Write(s.memory)
	}
	if err == nil {
		n, err = copyTo(ctx, f, r)
	}
	s.size, s.memory = s.size+n, nil
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// open returns the content from its start. Only one reader is in use at a time.
func (s *spool) open() (io.ReadSeeker, error) {
	if s.file == nil {
		return bytes.NewReader(s.memory), nil
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read scratch file: %w", err)
	}
	return io.NewSectionReader(s.file, 0, s.size), nil
}

func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
	}
}

// haveEqualBytes reports whether two readers have the same content.
func haveEqualBytes(a, b io.Reader) (bool, error) {
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, errA := io.ReadFull(a, x)
		m, errB := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		endA := errors.Is(errA, io.EOF) || errors.Is(errA, io.ErrUnexpectedEOF)
		endB := errors.Is(errB, io.EOF) || errors.Is(errB, io.ErrUnexpectedEOF)
		switch {
		case errA != nil && !endA:
			return false, errA
		case errB != nil && !endB:
			return false, errB
		case endA || endB:
			return endA == endB, nil
		}
	}
}
