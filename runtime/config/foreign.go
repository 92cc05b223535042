package config

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// Foreign lists keys of another program's file that are accepted and not acted on. A line is a
// dotted path, in which * stands for one key and a last ** for all below, and after a space the
// cause: why the key is not acted on, and what that means. A cause that several keys share has a
// line "@name cause" of its own, and its keys have @name in the cause's place. A line "path ->
// path" moves a key that has another name here; each * of the second path is what the one of the
// first stood for. Lines that begin with # are comments.
type Foreign string

// Warning is about a key or a flag that is accepted and not acted on.
type Warning struct {
	Key   string
	Cause string
}

// GroupWarnings joins the keys of each cause, in the order in which the causes appear first.
func GroupWarnings(in []Warning) (causes []string, keys map[string][]string) {
	keys = map[string][]string{}
	for _, w := range in {
		if len(keys[w.Cause]) == 0 {
			causes = append(causes, w.Cause)
		}
		keys[w.Cause] = append(keys[w.Cause], w.Key)
	}
	return causes, keys
}

// LogWarnings writes one line for each cause. of says what the warnings are about.
func LogWarnings(log *slog.Logger, of string, warnings []Warning) {
	causes, keys := GroupWarnings(warnings)
	for _, cause := range causes {
		log.Warn(of+": "+cause, "keys", strings.Join(keys[cause], ", "))
	}
}

type foreignKey struct {
	path []string
	note string // the cause, or where the key moves to
}

func (f Foreign) parseKeys() []foreignKey {
	var out []foreignKey
	shared := map[string]string{}
	for line := range strings.Lines(string(f)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		path, note, _ := strings.Cut(line, " ")
		note = strings.TrimSpace(note)
		if path[0] == '@' {
			shared[path] = note
			continue
		}
		if cause, ok := shared[note]; ok {
			note = cause
		}
		out = append(out, foreignKey{path: strings.Split(path, "."), note: note})
	}
	return out
}

// moveKeys renames keys that have another name in Troupe. If the file has both names, the key
// stays, so that it is refused.
func (f Foreign) moveKeys(tree map[string]any) {
	for _, k := range f.parseKeys() {
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

func (k foreignKey) matchesPath(path []string) bool {
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

// cutKeys takes the listed keys out of the tree and returns a warning for each. A key that cfg
// declares stays. A key that turns something off is no reason to warn: what is not there is off.
func (f Foreign) cutKeys(tree map[string]any, cfg any) []Warning {
	keys := f.parseKeys()
	known := declaredPaths(cfg)
	var warnings []Warning
	var walk func(m map[string]any, path []string)
	walk = func(m map[string]any, path []string) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			here := append(slices.Clone(path), key)
			name := strings.Join(here, ".")
			sub, branch := m[key].(map[string]any)
			switch {
			case slices.Contains(known, name):
				if branch {
					walk(sub, here)
				}
				continue
			case branch && len(sub) > 0:
				if walk(sub, here); len(sub) == 0 {
					delete(m, key)
				}
				continue
			}
			i := slices.IndexFunc(keys, func(k foreignKey) bool {
				return !strings.HasPrefix(k.note, "->") && k.matchesPath(here)
			})
			if i < 0 {
				continue
			}
			if off := m[key] == false && strings.HasSuffix(key, "enabled"); !off {
				warnings = append(warnings, Warning{name, keys[i].note})
			}
			delete(m, key)
		}
	}
	walk(tree, nil)
	return warnings
}
