//go:build !race

package metamorphic

const defaultRounds = 400
