package heap

import (
	"fmt"
	"math"
	"runtime/debug"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// system is a file system with some files, each with a line break at its end as in /proc and /sys.
func system(files map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range files {
		out[name] = &fstest.MapFile{Data: []byte(text + "\n")}
	}
	return out
}

const (
	machine24 = "MemTotal:       25165824 kB\nMemFree:        20 kB"
	unlimited = "9223372036854771712"

	version2   = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
	version1   = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n" + noMemory
	noMemory   = "33 31 0:30 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct"
	docker1    = "35 31 0:32 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory"
	besides    = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n" + version1
	ownOfBoth  = "4:cpu,memory:/a\n2:cpuacct:/b\n0::/c"
	ownVersion = "0::/kube/pod/box"
)

// The size follows the control group, of either version and wherever in its hierarchy the limit is,
// and the machine where no group sets one below it. It keeps within its bounds.
func TestChoose(t *testing.T) {
	for name, c := range map[string]struct {
		files  map[string]string
		size   int64
		source string
	}{
		"version 2, in a namespace of its own": {map[string]string{
			"proc/meminfo": machine24, "proc/self/cgroup": "0::/", "proc/self/mountinfo": version2,
			"sys/fs/cgroup/memory.max": "268435456",
		}, 192 * mib, "cgroup"},
		"version 2, a group above": {map[string]string{
			"proc/meminfo": machine24, "proc/self/cgroup": ownVersion, "proc/self/mountinfo": version2,
			"sys/fs/cgroup/kube/pod/box/memory.max": "max",
			"sys/fs/cgroup/kube/pod/memory.max":     "209715200",
			"sys/fs/cgroup/kube/memory.max":         "max",
		}, 150 * mib, "cgroup"},
		"version 2, reclaimed from before it is used up": {map[string]string{
			"proc/meminfo": machine24, "proc/self/cgroup": ownVersion, "proc/self/mountinfo": version2,
			"sys/fs/cgroup/kube/pod/box/memory.max":  "419430400",
			"sys/fs/cgroup/kube/pod/box/memory.high": "314572800",
		}, 225 * mib, "cgroup"},
		"version 1": {map[string]string{
			"proc/meminfo": machine24, "proc/self/cgroup": ownOfBoth, "proc/self/mountinfo": version1,
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "268435456",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":   unlimited,
		}, 192 * mib, "cgroup"},
		"version 1, of which a container sees its own group": {map[string]string{
			"proc/meminfo": machine24, "proc/self/cgroup": "4:memory:/docker/ab", "proc/self/mountinfo": docker1,
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456",
		}, 192 * mib, "cgroup"},
		"version 1, which a container sees by another path": {map[string]string{
			"proc/meminfo": machine24, "proc/self/cgroup": "4:memory:/docker/abc", "proc/self/mountinfo": docker1,
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456",
		}, 192 * mib, "cgroup"},
		"both versions": {map[string]string{
			"proc/meminfo": machine24, "proc/self/cgroup": ownOfBoth, "proc/self/mountinfo": besides,
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "268435456",
			"sys/fs/cgroup/unified/c/memory.max":           "max",
		}, 192 * mib, "cgroup"},
		"a large group": {map[string]string{
			"proc/meminfo": machine24, "proc/self/cgroup": "0::/", "proc/self/mountinfo": version2,
			"sys/fs/cgroup/memory.max": "8589934592",
		}, 384 * mib, "cgroup"},
		"a tiny group": {map[string]string{
			"proc/meminfo": machine24, "proc/self/cgroup": "0::/", "proc/self/mountinfo": version2,
			"sys/fs/cgroup/memory.max": "33554432",
		}, 64 * mib, "cgroup"},
		"no limit": {map[string]string{
			"proc/meminfo": machine24, "proc/self/cgroup": ownOfBoth, "proc/self/mountinfo": besides,
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": unlimited,
			"sys/fs/cgroup/unified/c/memory.max":           "max",
		}, 384 * mib, "machine"},
		"a small machine": {map[string]string{"proc/meminfo": "MemTotal: 524288 kB"}, 256 * mib, "machine"},
		"an unknown one":  {nil, 384 * mib, "default"},
	} {
		got := Choose(Auto, system(c.files))
		require.Equal(t, []any{c.size, c.source}, []any{got.Bytes, got.Source}, "%s: %s", name, got.Detail)
		require.NotEmpty(t, got.Detail)
	}
}

// A size that is configured is taken as it is, and with auto GOMEMLIMIT comes before all that can
// be found out.
func TestChooseConfigured(t *testing.T) {
	for _, n := range []int64{0, 70 * mib, 1 << 40} {
		require.Equal(t, Size{Bytes: n, Source: "configured", Detail: "memory_limit"}, Choose(n, system(nil)))
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(100 * mib))
	got := Choose(Auto, system(map[string]string{"proc/meminfo": machine24}))
	require.Equal(t, "100 environment", fmt.Sprint(got.Bytes/mib, " ", got.Source))
	debug.SetMemoryLimit(math.MaxInt64)
	require.Equal(t, "machine", Choose(Auto, system(map[string]string{"proc/meminfo": machine24})).Source)
}
