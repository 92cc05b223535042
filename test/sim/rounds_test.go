//go:build !race

package sim

const defaultRounds = 12
