package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// corpus is what loadgen has made: requests of OTLP, and when their spans end.
type corpus struct {
	requests []request
	end      time.Time
}

// request is one request, with the places of what differs from one time of sending it to the next.
type request struct {
	otlp  []byte
	spans int
	ids   []int // where trace ids begin
	times []int // where starts and ends begin, 8 bytes each
}

func loadCorpus(path string) (*corpus, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<20)
	var header struct{ End int64 }
	raw, err := readFrame(in)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if err := json.Unmarshal(raw, &header); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	c := &corpus{end: time.Unix(header.End, 0)}
	for {
		raw, err := readFrame(in)
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		r := request{otlp: raw}
		r.findPlaces(0, len(raw), requestLevel)
		c.requests = append(c.requests, r)
	}
}

// readFrame reads a length and so many bytes.
func readFrame(in io.Reader) ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(in, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.LittleEndian.Uint32(n[:]))
	_, err := io.ReadFull(in, b)
	return b, err
}

// The nesting of an OTLP request, and the field of the next level in each.
const (
	requestLevel = iota
	resourceLevel
	scopeLevel
	spanLevel
)

var nextField = [...]protowire.Number{requestLevel: 1, resourceLevel: 2, scopeLevel: 2}

// findPlaces goes through the message in [from, to).
func (r *request) findPlaces(from, to, level int) {
	if level == spanLevel {
		r.spans++
	}
	for at := from; at < to; {
		number, kind, n := protowire.ConsumeTag(r.otlp[at:to])
		at += n
		length := protowire.ConsumeFieldValue(number, kind, r.otlp[at:to])
		switch {
		case level < spanLevel && number == nextField[level]:
			_, prefix := protowire.ConsumeVarint(r.otlp[at:to])
			r.findPlaces(at+prefix, at+length, level+1)
		case level == spanLevel && number == 1:
			r.ids = append(r.ids, at+1)
		case level == spanLevel && (number == 7 || number == 8):
			r.times = append(r.times, at)
		}
		at += length
	}
}

// renew writes the request into buf as one of other traces: their ids differ with the round, and
// their times are later by shift.
func (r *request) renew(buf []byte, round uint64, shift time.Duration) []byte {
	buf = append(buf[:0], r.otlp...)
	for _, at := range r.ids {
		id := buf[at : at+8]
		binary.BigEndian.PutUint64(id, binary.BigEndian.Uint64(id)^round*0x9e3779b97f4a7c15)
	}
	for _, at := range r.times {
		t := buf[at : at+8]
		binary.LittleEndian.PutUint64(t, binary.LittleEndian.Uint64(t)+uint64(shift))
	}
	return buf
}
