//go:build !race

package block

// raceDetector: the tests run under the race detector.
const raceDetector = false
