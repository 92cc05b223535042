//go:build !race

package oracle

const (
	defaultPairs = 5000
	largeTraces  = 1300
)
