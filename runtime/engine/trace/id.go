package trace

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ID is a trace id, big-endian. The zero ID is no trace.
type ID [16]byte

// SpanID is a span id, big-endian. The zero SpanID is no span.
type SpanID [8]byte

// String returns 32 lower-case hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Short returns the hex digits without leading zeros, as search answers print ids; "0" for the zero
// ID.
func (id ID) Short() string {
	if s := strings.TrimLeft(id.String(), "0"); s != "" {
		return s
	}
	return "0"
}

// IsZero reports whether the id is empty.
func (id ID) IsZero() bool { return id == ID{} }

// String returns 16 lower-case hex digits.
func (id SpanID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the id is empty.
func (id SpanID) IsZero() bool { return id == SpanID{} }

// ParseID reads hex digits of either case; fewer than 32 are padded with zeros on the left.
// Its errors are meant for clients. Source: docs/spec/api.md,
// "Trace by id".
func ParseID(s string) (ID, error) {
	for i, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return ID{}, fmt.Errorf(
				"trace IDs can only contain hex characters: invalid character '%c' at position %d", c, i+1)
		}
	}
	if len(s) > 32 {
		return ID{}, errors.New("trace IDs can't be larger than 128 bits")
	}
	var digits [32]byte
	n := copy(digits[:], "00000000000000000000000000000000"[:32-len(s)])
	copy(digits[n:], s)
	var id ID
	_, err := hex.Decode(id[:], digits[:])
	return id, err
}
