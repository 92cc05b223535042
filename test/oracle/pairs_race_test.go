//go:build race

package oracle

// The race detector makes everything ten times as dear, and nothing here is concurrent.
const (
	defaultPairs = 300
	largeTraces  = 1300
)
