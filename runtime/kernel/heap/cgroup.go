package heap

import (
	"io/fs"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"
)

// machineBytes returns the memory of the machine; 0: unknown.
func machineBytes(files fs.FS) int64 {
	for line := range lines(files, "proc/meminfo") {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemTotal:" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

// groupBytes returns the smallest limit of the control groups that the process is in, and the file
// that says so; 0: there is none, or not on this system. Version 1 and 2 may be mounted beside each
// other. Each group is bounded by those that it lies in.
func groupBytes(files fs.FS) (least int64, file string) {
	for _, g := range groups(files) {
		for dir := g.folder; ; dir = path.Dir(dir) {
			for _, name := range g.limits {
				n := readLimit(files, path.Join(dir, name))
				if n > 0 && (least == 0 || n < least) {
					least, file = n, "/"+path.Join(dir, name)
				}
			}
			if dir == g.mount || dir == "." {
				break
			}
		}
	}
	return least, file
}

// group is a folder of a control group that the process is in, at or below the mount.
type group struct {
	mount, folder string
	limits        []string // files that may bound the memory
}

// groups returns the process's groups that can bound its memory.
func groups(files fs.FS) (out []group) {
	own := map[string]string{} // version to the process's path in the hierarchy
	for line := range lines(files, "proc/self/cgroup") {
		// 0::/path for version 2, 4:memory:/path for version 1
		f := strings.SplitN(line, ":", 3)
		switch {
		case len(f) < 3:
		case f[1] == "":
			own["cgroup2"] = f[2]
		case slices.Contains(strings.Split(f[1], ","), "memory"):
			own["cgroup"] = f[2]
		}
	}
	for line := range lines(files, "proc/self/mountinfo") {
		// 36 35 0:33 ROOT MOUNT rw,relatime … - TYPE cgroup rw,memory
		before, after, _ := strings.Cut(line, " - ")
		place, kind := strings.Fields(before), strings.Fields(after)
		if len(place) < 5 || len(kind) < 3 || own[kind[0]] == "" {
			continue
		}
		g := group{mount: strings.TrimPrefix(place[4], "/"), limits: []string{"memory.max", "memory.high"}}
		if kind[0] == "cgroup" {
			if !slices.Contains(strings.Split(kind[2], ","), "memory") {
				continue
			}
			g.limits = []string{"memory.limit_in_bytes"}
		}
		g.folder = path.Join(g.mount, below(place[3], own[kind[0]]))
		out = append(out, g)
	}
	return out
}

// below returns the process's path as it is seen below a mount of a part of the hierarchy. In a
// container the mount often shows only the process's own group, whatever its path.
func below(root, own string) string {
	if root == "/" {
		return own
	}
	rest, ok := strings.CutPrefix(own, root)
	if !ok || rest != "" && rest[0] != '/' {
		return ""
	}
	return rest
}

// readLimit returns the limit in a file; 0: it sets none.
func readLimit(files fs.FS, name string) int64 {
	for line := range lines(files, name) {
		n, _ := strconv.ParseInt(strings.TrimSpace(line), 10, 64) // "max" is no number
		return n
	}
	return 0
}

// lines returns the lines of a file; none if it cannot be read.
func lines(files fs.FS, name string) iter.Seq[string] {
	b, err := fs.ReadFile(files, name)
	if err != nil {
		return func(func(string) bool) {}
	}
	return strings.SplitSeq(string(b), "\n")
}
