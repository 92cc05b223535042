package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// partBytes is about how large a part of a trace is that is printed at a time.
const partBytes = 4 << 20

// eachPart reads a TracesData message as it arrives, and calls f with parts of it: whole
// ResourceSpans. A trace may be larger than memory.
func eachPart(body io.Reader, f func(ptrace.Traces) error) error {
	in := bufio.NewReaderSize(body, 1<<20)
	var part []byte
	give := func() error {
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(part)
		if err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		part = part[:0]
		return f(td)
	}
	for first := true; ; first = false {
		tag, err := in.ReadByte()
		switch {
		case err == io.EOF && (len(part) > 0 || first):
			return give()
		case err == io.EOF:
			return nil
		case err != nil:
			return brokenOff(err)
		case tag != 1<<3|2:
			return errors.New("read the answer: it is no trace")
		}
		size, err := binary.ReadUvarint(in)
		if err != nil {
			return brokenOff(err)
		}
		if size > maxAnswer {
			return fmt.Errorf("read the answer: a part of it has %d bytes", size)
		}
		part = binary.AppendUvarint(append(part, tag), size)
		at := len(part)
		part = slices.Grow(part, int(size))[:at+int(size)]
		if _, err := io.ReadFull(in, part[at:]); err != nil {
			return brokenOff(err)
		}
		if len(part) >= partBytes {
			if err := give(); err != nil {
				return err
			}
		}
	}
}

func brokenOff(err error) error {
	return fmt.Errorf("read the answer: it broke off, so it is not the whole trace: %w", err)
}
