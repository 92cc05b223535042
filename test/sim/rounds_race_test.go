//go:build race

package sim

// The race detector makes everything ten times as dear, and nothing here is concurrent.
const defaultRounds = 2
