//go:build race

package oracle

const defaultPairs = 300 // the race detector makes each ten times as dear
