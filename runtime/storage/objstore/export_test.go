package objstore

import "io"

// What the acceptance suite, which is outside of the package, shares with the tests inside.
var (
	Put      = put
	Get      = get
	Listed   = listed
	OpenAt   = openLocal
	BadNames = badNames
)

// MaxPart is the length of the longest part of a name.
const MaxPart = maxPart

// ReaderOf makes a reader of a function.
func ReaderOf(f func([]byte) (int, error)) io.Reader { return readerFunc(f) }
