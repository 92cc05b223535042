package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Foreign lists keys of another program's file that are accepted and have no meaning here. A line is a dotted path, in which * stands for
// one key and a last ** for all below, and after a space, where there is something to say, what follows from it.
// Lines that begin with # are comments.
type Foreign string

type foreignKey struct {
	path []string
	note string
}

func (f Foreign) keys() []foreignKey {
	var out []foreignKey
	for line := range strings.Lines(string(f)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		path, note, _ := strings.Cut(line, " ")
		out = append(out, foreignKey{path: strings.Split(path, "."), note: strings.TrimSpace(note)})
	}
	return out
}

func (k foreignKey) matches(path []string) bool {
	for i, p := range k.path {
		if p == "**" {
			return true
		}
		if i >= len(path) || p != "*" && p != path[i] {
			return false
		}
	}
	return len(path) == len(k.path)
}

// cut takes the listed keys out of the tree and returns a warning for each. A key that cfg declares stays.
func (f Foreign) cut(tree map[string]any, cfg any) []string {
	keys := f.keys()
	known := declared(cfg)
	var warnings []string
	var walk func(m map[string]any, path []string)
	walk = func(m map[string]any, path []string) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			here := append(slices.Clone(path), key)
			if slices.Contains(known, strings.Join(here, ".")) {
				if sub, ok := m[key].(map[string]any); ok {
					walk(sub, here)
				}
				continue
			}
			sub, branch := m[key].(map[string]any)
			if branch && len(sub) > 0 {
				before := len(sub)
				walk(sub, here)
				if len(sub) == 0 && before > 0 {
					delete(m, key)
				}
				continue
			}
			if i := slices.IndexFunc(keys, func(k foreignKey) bool { return k.matches(here) }); i >= 0 {
				w := fmt.Sprintf("%s has no meaning here and is ignored", strings.Join(here, "."))
				if keys[i].note != "" {
					w = fmt.Sprintf("%s is ignored: %s", strings.Join(here, "."), keys[i].note)
				}
				warnings = append(warnings, w)
				delete(m, key)
			}
		}
	}
	walk(tree, nil)
	return warnings
}
