package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
)

// delim joins the keys of a path inside koanf. It is no dot: names of tenants and labels contain dots.
const delim = "\x1f"

// Sources are the layers above the defaults, later ones first: flags, environment, file.
type Sources struct {
	File      string            // its name, for messages
	YAML      []byte            // its content, nil without a file
	ExpandEnv bool              // replace ${NAME} and ${NAME:-default} in the file's values
	Env       []string          // NAME=value; of the process
	EnvPrefix string            // PREFIX + keys in capitals joined by two underscores
	Flags     map[string]string // dotted path to value, of the flags that were given
	Foreign   Foreign           // keys of the file that are accepted without having a meaning
}

// Loaded is what was learned besides the values.
type Loaded struct {
	Warnings []string // one for each accepted key without meaning
	file     map[string]any
	given    map[string]any
}

// Given reports whether a dotted path is set by any layer above the defaults. A section without a value is.
func (l *Loaded) Given(path string) bool {
	_, ok := lookup(l.given, strings.Split(path, "."))
	return ok
}

// InFile is Given for the file alone.
func (l *Loaded) InFile(path string) bool {
	_, ok := lookup(l.file, strings.Split(path, "."))
	return ok
}

// Load decodes the layers over the defaults that cfg, a pointer to a struct with koanf tags, holds. An unknown key is an error that names its
// path and line, a value of the wrong kind one that names its path; all problems are told at once. Lists replace, maps merge.
func Load(cfg any, src Sources) (*Loaded, error) {
	k := koanf.NewWithConf(koanf.Conf{Delim: delim})
	out := &Loaded{}
	if len(src.YAML) > 0 {
		tree, err := parse(src)
		if err != nil {
			return nil, err
		}
		out.file = maps.Copy(tree)
		src.Foreign.move(tree)
		out.Warnings = src.Foreign.cut(tree, cfg)
		if err := k.Load(confmap.Provider(tree, ""), nil); err != nil {
			return nil, fmt.Errorf("read %s: %w", src.File, err)
		}
	}
	environ := env.Opt{Prefix: src.EnvPrefix, EnvironFunc: func() []string { return src.Env },
		TransformFunc: func(key, value string) (string, any) {
			return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(key, src.EnvPrefix)), "__", delim), value
		}}
	if src.EnvPrefix != "" {
		if err := k.Load(env.Provider(delim, environ), nil); err != nil {
			return nil, fmt.Errorf("read environment: %w", err)
		}
	}
	flags := map[string]any{}
	for path, value := range src.Flags {
		flags[strings.ReplaceAll(path, ".", delim)] = value
	}
	if err := k.Load(confmap.Provider(flags, delim), nil); err != nil {
		return nil, fmt.Errorf("read flags: %w", err)
	}
	out.given = k.Raw()
	return out, decode(out.given, cfg, lines(src))
}

// parse reads the file and expands variables in its values: in the text, a value with a colon or a line end could change the structure.
func parse(src Sources) (map[string]any, error) {
	k := koanf.NewWithConf(koanf.Conf{Delim: delim})
	if err := k.Load(rawbytes.Provider(src.YAML), yaml.Parser()); err != nil {
		return nil, fmt.Errorf("read %s: %w", src.File, err)
	}
	tree := k.Raw()
	if src.ExpandEnv {
		vars := map[string]string{}
		for _, e := range src.Env {
			name, value, _ := strings.Cut(e, "=")
			vars[name] = value
		}
		expanded, err := expand(tree, vars)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", src.File, err)
		}
		tree = expanded.(map[string]any)
	}
	return tree, nil
}

func decode(tree map[string]any, cfg any, line func(path string) string) error {
	var meta mapstructure.Metadata
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{Result: cfg, TagName: "koanf", WeaklyTypedInput: true, Metadata: &meta,
		MatchName: func(key, field string) bool { return key == field },
		DecodeHook: mapstructure.ComposeDecodeHookFunc(durationHook, sizeHook, kindHook, mapstructure.StringToSliceHookFunc(","),
			mapstructure.TextUnmarshallerHookFunc())})
	if err != nil {
		return fmt.Errorf("BUG: decode configuration: %w", err)
	}
	var errs []error
	for _, e := range flatten(d.Decode(tree)) {
		errs = append(errs, decodeError(e, line))
	}
	// The decoder tells of unused keys only where it found no other problem.
	unused := append(unknown(tree, cfg), meta.Unused...)
	slices.Sort(unused)
	for _, path := range slices.Compact(unused) {
		errs = append(errs, fmt.Errorf("%sunknown key %s%s", line(path), path, nearest(path, cfg)))
	}
	return errors.Join(errs...)
}

func decodeError(err error, line func(string) string) error {
	var d *mapstructure.DecodeError
	if !errors.As(err, &d) {
		return err
	}
	text := d.Unwrap().Error()
	if inner := errors.Unwrap(d.Unwrap()); inner != nil && strings.Contains(text, "error decoding") {
		text = inner.Error()
	}
	return fmt.Errorf("%s%s: %s", line(d.Name()), d.Name(), text)
}

func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range j.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	if w := errors.Unwrap(err); w != nil {
		if _, ok := w.(interface{ Unwrap() []error }); ok {
			return flatten(w)
		}
	}
	return []error{err}
}

// kindHook refuses what weak typing would make of a value of another kind: true is not the number 1, and a list of one is not its element.
func kindHook(from, to reflect.Type, v any) (any, error) {
	scalar := to.Kind() >= reflect.Int && to.Kind() <= reflect.Float64 || to.Kind() == reflect.String
	switch {
	case from.Kind() == reflect.Bool && scalar, from.Kind() == reflect.Slice && (scalar || to.Kind() == reflect.Bool):
		return nil, fmt.Errorf("want a %s, found %v", to.Kind(), v)
	}
	return v, nil
}

// lookup follows keys through nested maps.
func lookup(tree map[string]any, keys []string) (any, bool) {
	var v any = tree
	for _, key := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = m[key]; !ok {
			return nil, false
		}
	}
	return v, true
}
