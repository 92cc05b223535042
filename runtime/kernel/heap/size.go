package heap

import (
	"fmt"
	"io/fs"
	"math"
	"runtime/debug"
)

// Auto is a configured size that is found out at the start.
const Auto = -1

// Bounds of a size that is found out. The upper one is enough for a node that takes spans as fast
// as two processors can: more would make collections rarer and caches larger, and take memory from
// others on the machine.
const (
	leastSize = 64 << 20
	mostSize  = 384 << 20
)

// Size is the size in bytes that the process should have, and where it comes from. 0 bytes are no
// size.
type Size struct {
	Bytes  int64
	Source string // a word for a label
	Detail string // for a person
}

// Choose returns the size to be had: the configured one, or for Auto that of GOMEMLIMIT, or three
// quarters of what the control group allows, or half of the machine's memory where there is no such
// limit; the last two within bounds. files is the root of the file system.
func Choose(configured int64, files fs.FS) Size {
	if configured != Auto {
		return Size{Bytes: configured, Source: "configured", Detail: "memory_limit"}
	}
	if n := debug.SetMemoryLimit(-1); n != math.MaxInt64 {
		return Size{Bytes: n, Source: "environment", Detail: "GOMEMLIMIT"}
	}
	within := func(n int64) int64 { return min(max(n, leastSize), mostSize) }
	machine := machineBytes(files)
	if n, file := groupBytes(files); n > 0 && (machine == 0 || n < machine) {
		return Size{Bytes: within(n / 4 * 3), Source: "cgroup", Detail: fmt.Sprintf("%s says %d bytes", file, n)}
	}
	if machine > 0 {
		return Size{Bytes: within(machine / 2), Source: "machine", Detail: fmt.Sprintf("%d bytes in all", machine)}
	}
	return Size{Bytes: mostSize, Source: "default", Detail: "nothing says how much memory there is"}
}
