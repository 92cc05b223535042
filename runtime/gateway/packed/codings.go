// Package packed reads what clients have compressed: bodies of HTTP by Content-Encoding, messages
// of gRPC by grpc-encoding.
//
// HTTP takes every coding that OpenTelemetry Collectors send, by the names of RFC 9110: without
// regard to capitals, several in a row, identity for none. gRPC takes the same names. Nothing here
// decides how much memory a request may have: Unpack asks for each step.
package packed

import (
	"errors"
	"fmt"
	"strings"
)

// Coding is one compression.
type Coding uint8

// The codings. Both snappy and deflate name two formats in practice, which are told apart by how
// the bytes begin.
const (
	Gzip    Coding = iota + 1
	Deflate        // zlib, as RFC 9110 says, or raw deflate, as some clients send
	Zstd
	Snappy // one block, or a framed stream
	LZ4    // the frame format
)

// maxCodings is how many codings a body may have in a row. Clients use one; a proxy may add a
// second.
const maxCodings = 3

var names = map[string]Coding{
	"gzip": Gzip, "x-gzip": Gzip,
	"deflate": Deflate, "zlib": Deflate,
	"zstd":   Zstd,
	"snappy": Snappy, "x-snappy-framed": Snappy,
	"lz4": LZ4,
}

const supported = "gzip, zstd, deflate, zlib, snappy, x-snappy-framed, lz4, identity"

// ErrUnsupported is wrapped by the errors of Parse.
var ErrUnsupported = errors.New("unsupported Content-Encoding")

// Parse reads the values of a Content-Encoding header. The codings come in the order in which the
// client applied them. none where nothing is compressed.
func Parse(values []string) ([]Coding, error) {
	var out []Coding
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			name = strings.TrimSpace(name)
			coding, known := names[strings.ToLower(name)]
			switch {
			case name == "" || strings.EqualFold(name, "identity"):
			case !known:
				return nil, fmt.Errorf("%w: %s; send one of %s", ErrUnsupported, printName(name), supported)
			case len(out) == maxCodings:
				return nil, fmt.Errorf("%w: more than %d codings in a row: %.100q", ErrUnsupported, maxCodings, value)
			default:
				out = append(out, coding)
			}
		}
	}
	return out, nil
}

// printName prints the name of a coding in an error: as it was sent, or quoted and cut where it is
// no name that a coding could have.
func printName(name string) string {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	}
	if len(name) <= 40 && strings.IndexFunc(name, odd) < 0 {
		return name
	}
	return fmt.Sprintf("%.40q", name)
}
