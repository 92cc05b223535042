package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"
)

// delim joins the keys of a path inside koanf. It is no dot: names of tenants and labels contain
// dots.
const delim = "\x1f"

// Sources are the layers above the defaults, later ones first: flags, environment, file.
type Sources struct {
	File      string            // its name, for messages
	YAML      []byte            // its content, nil without a file
	ExpandEnv bool              // replace ${NAME} and ${NAME:-default} in the file's text, before it is read as YAML
	Env       []string          // NAME=value; of the process
	EnvPrefix string            // PREFIX + keys in capitals joined by two underscores
	Flags     map[string]string // dotted path to value, of the flags that were given
	Foreign   Foreign           // keys of the file that are accepted and not acted on
}

// Loaded is what was learned besides the values.
type Loaded struct {
	Warnings []Warning // one for each key that is accepted and not acted on
	file     map[string]any
	given    map[string]any
}

// Given reports whether a layer above the defaults sets a dotted path. A section without a value
// counts as set.
func (l *Loaded) Given(path string) bool {
	_, ok := findValue(l.given, strings.Split(path, "."))
	return ok
}

// InFile is Given for the file alone.
func (l *Loaded) InFile(path string) bool {
	_, ok := findValue(l.file, strings.Split(path, "."))
	return ok
}

// Load decodes the layers over the defaults in cfg, a pointer to a struct with koanf tags. Lists
// are replaced, maps are merged.
//
// The error joins all problems, each with its path and its place: the line of the file, the
// variable or the flag. Beside an error Load returns what it has learned, and cfg has the values
// that could be read, so that more can be checked.
func Load(cfg any, src Sources) (*Loaded, error) {
	doc, errs := readDocument(src)
	out := &Loaded{file: maps.Copy(doc.tree)}
	src.Foreign.moveKeys(doc.tree)
	out.Warnings = src.Foreign.cutKeys(doc.tree, cfg)
	k := koanf.NewWithConf(koanf.Conf{Delim: delim})
	variables := map[string]string{} // path to name
	environ := env.Opt{Prefix: src.EnvPrefix, EnvironFunc: func() []string { return src.Env },
		TransformFunc: func(name, value string) (string, any) {
			path := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, src.EnvPrefix)), "__", delim)
			variables[strings.ReplaceAll(path, delim, ".")] = name
			return path, value
		}}
	flags := map[string]any{}
	for path, value := range src.Flags {
		flags[strings.ReplaceAll(path, ".", delim)] = value
	}
	err := k.Load(confmap.Provider(doc.tree, ""), nil)
	if err == nil && src.EnvPrefix != "" {
		err = k.Load(env.Provider(delim, environ), nil)
	}
	if err == nil {
		err = k.Load(confmap.Provider(flags, delim), nil)
	}
	if err != nil {
		return out, errors.Join(append(errs, fmt.Errorf("put the layers of the configuration together: %w", err))...)
	}
	out.given = k.Raw()
	place := func(path string) string {
		if _, ok := src.Flags[path]; ok {
			return "on the command line: "
		}
		if name, ok := variables[path]; ok {
			return name + " in the environment: "
		}
		return doc.placeOfPath(path)
	}
	return out, errors.Join(append(errs, Errors(decodeTree(out.given, cfg, place))...)...)
}

func decodeTree(tree map[string]any, cfg any, line func(path string) string) error {
	var meta mapstructure.Metadata
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{Result: cfg, TagName: "koanf", WeaklyTypedInput: true,
		Metadata:  &meta,
		MatchName: func(key, field string) bool { return key == field },
		DecodeHook: mapstructure.ComposeDecodeHookFunc(durationHook, sizeHook, kindHook,
			mapstructure.StringToSliceHookFunc(","),
			mapstructure.TextUnmarshallerHookFunc())})
	if err != nil {
		return fmt.Errorf("BUG: decode configuration: %w", err)
	}
	var errs []error
	for _, e := range Errors(d.Decode(tree)) {
		errs = append(errs, decodeError(e, line))
	}
	// The decoder tells of unused keys only where it found no other problem.
	unused := append(unknownPaths(tree, cfg), meta.Unused...)
	slices.Sort(unused)
	for _, path := range slices.Compact(unused) {
		errs = append(errs, fmt.Errorf("%sunknown key %s%s", line(path), path, proposeKey(path, cfg)))
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

// Errors takes a joined error apart, also one that is wrapped once, and those that it joins. It
// returns nil for nil, and any other error alone.
func Errors(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range j.Unwrap() {
			out = append(out, Errors(e)...)
		}
		return out
	}
	if w := errors.Unwrap(err); w != nil {
		if _, ok := w.(interface{ Unwrap() []error }); ok {
			return Errors(w)
		}
	}
	return []error{err}
}

// kindHook refuses what weak typing would make of a value of another kind: true is not the number
// 1, and a list of one element is not the element.
func kindHook(from, to reflect.Type, v any) (any, error) {
	scalar := to.Kind() >= reflect.Int && to.Kind() <= reflect.Float64 || to.Kind() == reflect.String
	switch {
	case from.Kind() == reflect.Bool && scalar, from.Kind() == reflect.Slice && (scalar || to.Kind() == reflect.Bool):
		return nil, fmt.Errorf("want a %s, found %v", to.Kind(), v)
	}
	return v, nil
}

// findValue follows keys through nested maps.
func findValue(tree map[string]any, keys []string) (any, bool) {
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
