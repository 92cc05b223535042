package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Foreign lists keys of another program's file that are accepted and have no meaning here. A line is a dotted path, in which * stands for
// one key and a last ** for all below, and after a space, where there is something to say, what follows from it.
// A line "path -> path" moves a key that has another name here; each * of the second path is what the one of the first stood for. Lines that begin with # are comments.
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

// move gives keys with another name here their own. Where the file has both, it stays as it is, to be refused.
func (f Foreign) move(tree map[string]any) {
	for _, k := range f.keys() {
		if to, ok := strings.CutPrefix(k.note, "-> "); ok {
			moveKey(tree, tree, k.path, strings.Split(to, "."), nil)
		}
	}
}

func moveKey(root, at map[string]any, from, to, stars []string) {
	key, rest := from[0], from[1:]
	if key == "*" {
		for _, name := range slices.Sorted(maps.Keys(at)) {
			if sub, ok := at[name].(map[string]any); ok && len(rest) > 0 {
				moveKey(root, sub, rest, to, append(slices.Clone(stars), name))
			}
		}
		return
	}
	v, ok := at[key]
	if !ok {
		return
	}
	if len(rest) > 0 {
		if sub, ok := v.(map[string]any); ok {
			moveKey(root, sub, rest, to, stars)
		}
		return
	}
	in := root
	for _, name := range to[:len(to)-1] {
		if name == "*" && len(stars) > 0 {
			name, stars = stars[0], stars[1:]
		}
		sub, ok := in[name].(map[string]any)
		if !ok {
			if in[name] != nil {
				return
			}
			sub = map[string]any{}
			in[name] = sub
		}
		in = sub
	}
	if last := to[len(to)-1]; in[last] == nil {
		in[last] = v
		delete(at, key)
	}
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
			if i := slices.IndexFunc(keys, func(k foreignKey) bool { return !strings.HasPrefix(k.note, "->") && k.matches(here) }); i >= 0 {
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
