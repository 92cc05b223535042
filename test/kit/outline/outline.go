// Package outline reads outlines of traces as docs/format/outline.md describes them, for tests.
package outline

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
)

// Outline is what an answer has.
type Outline struct {
	TraceID   string   `json:"traceId"`
	N         int      `json:"spans"`
	Start     string   `json:"startUnixNano"`
	OTLPBytes int      `json:"otlpBytes"`
	Complete  bool     `json:"complete"`
	Warnings  []string `json:"warnings"`
	Watermark string   `json:"watermark"`
	Services  []string `json:"services"`
	Names     []string `json:"names"`

	Spans []Span `json:"-"`
}

// Span is one span.
type Span struct {
	Start, Duration float64
	ID              uint64
	Parent          uint32
	Name, Service   string
	Flags           uint8
}

// Values of the columns that name nothing.
const (
	NoParent  = math.MaxUint32
	Unknown   = math.MaxUint32 - 1 // parent
	notListed = math.MaxUint32
	noService = math.MaxUint16
)

// Read reads an answer. It returns an error where one byte is not as it must be.
func Read(b []byte) (*Outline, error) {
	le := binary.LittleEndian
	if len(b) < 8 || string(b[:4]) != "TRO1" {
		return nil, fmt.Errorf("no outline: %.20q", b)
	}
	size := int(le.Uint32(b[4:]))
	if size%8 != 0 || len(b) < 8+size {
		return nil, fmt.Errorf("the header has %d bytes of %d", size, len(b))
	}
	o := &Outline{}
	if err := json.Unmarshal(b[8:8+size], o); err != nil {
		return nil, err
	}
	rest := b[8+size:]
	var columns [7][]byte
	for i, each := range []int{8, 8, 8, 4, 4, 2, 1} {
		n := o.N * each
		padded := (n + 7) / 8 * 8
		if len(rest) < padded {
			return nil, fmt.Errorf("column %d has %d of %d bytes", i, len(rest), padded)
		}
		for _, fill := range rest[n:padded] {
			if fill != 0 {
				return nil, fmt.Errorf("column %d is filled up with %d", i, fill)
			}
		}
		columns[i], rest = rest[:n], rest[padded:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes too many", len(rest))
	}
	for i := range o.N {
		s := Span{
			Start:    math.Float64frombits(le.Uint64(columns[0][8*i:])),
			Duration: math.Float64frombits(le.Uint64(columns[1][8*i:])),
			ID:       le.Uint64(columns[2][8*i:]),
			Parent:   le.Uint32(columns[3][4*i:]),
			Flags:    columns[6][i],
		}
		if n := le.Uint32(columns[4][4*i:]); n != notListed {
			s.Name = o.Names[n]
		}
		if n := le.Uint16(columns[5][2*i:]); n != noService {
			s.Service = o.Services[n]
		}
		o.Spans = append(o.Spans, s)
	}
	return o, nil
}
