//go:build race

package metamorphic

const defaultRounds = 30 // the race detector makes each ten times as dear
