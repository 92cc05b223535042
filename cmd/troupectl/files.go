package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const (
	maxRequest = 512 << 20 // bytes of one request in a file
	maxStdin   = 2 << 30   // bytes of standard input that are kept to be read twice
	maxPacked  = 3         // times that content is unpacked
)

// stdinSource reads standard input; where it is read twice it is kept in memory.
func stdinSource(stdin io.Reader, twice bool) (source, error) {
	const name = "standard input"
	if !twice {
		return source{name, func() (io.ReadCloser, error) { return io.NopCloser(stdin), nil }}, nil
	}
	b, err := io.ReadAll(io.LimitReader(stdin, maxStdin+1))
	if err != nil {
		return source{}, fmt.Errorf("read %s: %w", name, err)
	}
	if len(b) > maxStdin {
		return source{}, fmt.Errorf("%s has more than %d MiB, "+
			"which --shift-to-now would keep in memory: put it into a file",
			name, maxStdin>>20)
	}
	return source{name, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}, nil
}

// eachRequest calls f with each request of a source. The bytes that were read are written to
// progress.
func (s source) eachRequest(progress io.Writer, f func(ptrace.Traces) error) error {
	file, err := s.open()
	if err != nil {
		return err
	}
	defer file.Close()
	n := 0
	err = readRequests(io.TeeReader(file, progress), func(td ptrace.Traces) error {
		n++
		return f(td)
	})
	var bad *badContent
	if errors.As(err, &bad) {
		return fmt.Errorf("read %s: request %d: %w", s.name, n+1, err)
	}
	return err
}

// badContent is an error of the content of a file.
type badContent struct{ err error }

func (b *badContent) Error() string { return b.err.Error() }
func (b *badContent) Unwrap() error { return b.err }

func contentError(format string, args ...any) error { return &badContent{fmt.Errorf(format, args...)} }

// readRequests reads OTLP export requests: packed or not, JSON or protobuf, one or several.
func readRequests(r io.Reader, f func(ptrace.Traces) error) error {
	in := bufio.NewReaderSize(r, 1<<20)
	for range maxPacked {
		unpacked, close, err := unpackStream(in)
		if err != nil {
			return contentError("unpack: %w", err)
		}
		if unpacked == nil {
			break
		}
		defer close()
		in = bufio.NewReaderSize(unpacked, 1<<20)
	}
	head, err := in.Peek(1)
	switch {
	case err == io.EOF:
		return nil
	case err != nil:
		return contentError("%w", err)
	}
	switch head[0] {
	case 0, 1, 2, 3, 4, 5, 6, 7, 8: // the first byte of a length
		return readFramed(in, f)
	case '{', ' ', '\t', '\r', '[', 0xef:
		return readJSON(in, f)
	case '\n': // the first byte of a protobuf request, or an empty line before JSON
		if startsJSON(in) {
			return readJSON(in, f)
		}
		return readOneMessage(in, f)
	}
	return contentError("it is neither OTLP/JSON nor OTLP protobuf")
}

// startsJSON reports whether the first visible byte opens a JSON object that has a member.
func startsJSON(in *bufio.Reader) bool {
	head, _ := in.Peek(64)
	head = bytes.TrimLeft(head, " \t\r\n")
	if len(head) == 0 || head[0] != '{' {
		return false
	}
	head = bytes.TrimLeft(head[1:], " \t\r\n")
	return len(head) > 0 && (head[0] == '"' || head[0] == '}')
}

// unpackStream returns a reader of the unpacked content, and nil if the content is not packed.
func unpackStream(in *bufio.Reader) (io.Reader, func(), error) {
	head, _ := in.Peek(4)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(in)
		return z, func() {}, err
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(in, zstd.WithDecoderMaxMemory(maxRequest), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return nil, nil, nil
}

// readJSON reads one value in the whole file, or one a line, or an array of them.
func readJSON(in *bufio.Reader, f func(ptrace.Traces) error) error {
	if mark, _ := in.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		_, _ = in.Discard(3)
	}
	d := json.NewDecoder(in)
	for {
		var one json.RawMessage
		if err := d.Decode(&one); err == io.EOF {
			return nil
		} else if err != nil {
			return contentError("at byte %d: %w", d.InputOffset(), err)
		}
		if one[0] != '[' {
			if err := decodeJSON(one, f); err != nil {
				return err
			}
			continue
		}
		var several []json.RawMessage
		if err := json.Unmarshal(one, &several); err != nil {
			return contentError("%w", err)
		}
		for _, one := range several {
			if err := decodeJSON(one, f); err != nil {
				return err
			}
		}
	}
}

func decodeJSON(one []byte, f func(ptrace.Traces) error) error {
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(one)
	if err != nil {
		return contentError("no OTLP/JSON: %w", err)
	}
	if td.SpanCount() == 0 {
		if err := explainNoSpans(one); err != nil {
			return err
		}
	}
	return f(td)
}

// explainNoSpans names what JSON without spans is instead, where that is known.
func explainNoSpans(one []byte) error {
	var members map[string]json.RawMessage
	if json.Unmarshal(one, &members) != nil {
		return contentError("no OTLP/JSON: it is no object")
	}
	for name, is := range map[string]string{
		"resourceMetrics": "OTLP metrics",
		"resourceLogs":    "OTLP logs",
		"batches":         "an answer of Tempo's API; `troupectl trace ID --json` prints what load takes",
		"data":            "an answer of Jaeger's API",
	} {
		if members[name] != nil && members["resourceSpans"] == nil {
			return contentError("these are no traces but %s", is)
		}
	}
	return nil
}

// readOneMessage reads a request that fills the whole file.
func readOneMessage(in io.Reader, f func(ptrace.Traces) error) error {
	b, err := io.ReadAll(io.LimitReader(in, maxRequest+1))
	if err != nil {
		return contentError("%w", err)
	}
	if len(b) > maxRequest {
		return contentError("it has more than %d MiB", maxRequest>>20)
	}
	return decodeMessage(b, f)
}

// readFramed reads requests that each have their length, in four bytes, before them.
func readFramed(in io.Reader, f func(ptrace.Traces) error) error {
	for {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return contentError("its length is cut off: %w", err)
		}
		n := binary.BigEndian.Uint32(size[:])
		if n > maxRequest {
			return contentError("it has %d bytes, more than %d MiB", n, maxRequest>>20)
		}
		var b bytes.Buffer // grows with what is there, whatever the length says
		if got, err := io.CopyN(&b, in, int64(n)); err != nil {
			return contentError("%d of its %d bytes are missing: %w", int64(n)-got, n, io.ErrUnexpectedEOF)
		}
		message := io.Reader(&b)
		if z, close, err := unpackStream(bufio.NewReader(bytes.NewReader(b.Bytes()))); err != nil {
			return contentError("unpack: %w", err)
		} else if z != nil {
			defer close()
			message = z
		}
		if err := readOneMessage(message, f); err != nil {
			return err
		}
	}
}

func decodeMessage(b []byte, f func(ptrace.Traces) error) error {
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(b)
	if err != nil {
		return contentError("no OTLP protobuf: %w", err)
	}
	return f(td)
}

// newestTime returns the latest time of any span in sources.
func newestTime(sources []source) (pcommon.Timestamp, error) {
	newest := pcommon.Timestamp(0)
	for _, src := range sources {
		err := src.eachRequest(io.Discard, func(td ptrace.Traces) error {
			eachSpan(td, func(s ptrace.Span) { newest = max(newest, s.EndTimestamp(), s.StartTimestamp()) })
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return newest, nil
}

// moveTimes moves all times by one constant.
func moveTimes(td ptrace.Traces, by int64) {
	if by == 0 {
		return
	}
	move := func(t pcommon.Timestamp) pcommon.Timestamp {
		if t == 0 { // not set
			return 0
		}
		return pcommon.Timestamp(int64(t) + by)
	}
	eachSpan(td, func(s ptrace.Span) {
		s.SetStartTimestamp(move(s.StartTimestamp()))
		s.SetEndTimestamp(move(s.EndTimestamp()))
		for _, e := range s.Events().All() {
			e.SetTimestamp(move(e.Timestamp()))
		}
	})
}

func eachSpan(td ptrace.Traces, f func(ptrace.Span)) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				f(s)
			}
		}
	}
}
