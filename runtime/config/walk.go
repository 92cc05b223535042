package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"go.yaml.in/yaml/v3"
)

// Key is one declared key of a configuration.
type Key struct {
	Path  string
	Value reflect.Value
	Leaf  bool
	Owner reflect.Type // the struct that declares it
	Field string       // and the name of its field
}

// Keys lists the keys that cfg, a struct or a pointer to one, declares, in their order.
func Keys(cfg any) []Key {
	var out []Key
	walkKeys(reflect.Indirect(reflect.ValueOf(cfg)), "", func(k Key) { out = append(out, k) })
	return out
}

func walkKeys(v reflect.Value, prefix string, f func(Key)) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("koanf"), ",")
		if !field.IsExported() || name == "-" {
			continue
		}
		if options == "squash" {
			walkKeys(v.Field(i), prefix, f)
			continue
		}
		path := strings.TrimPrefix(prefix+"."+name, ".")
		leaf := field.Type.Kind() != reflect.Struct
		f(Key{Path: path, Value: v.Field(i), Leaf: leaf, Owner: v.Type(), Field: field.Name})
		if !leaf {
			walkKeys(v.Field(i), path, f)
		}
	}
}

func declaredPaths(cfg any) []string {
	var out []string
	for _, k := range Keys(cfg) {
		out = append(out, k.Path)
	}
	return out
}

// unknownPaths lists the paths of tree for which cfg has no field, also below the values of maps
// and lists.
func unknownPaths(tree map[string]any, cfg any) []string {
	var out []string
	unknownIn(tree, reflect.TypeOf(cfg), "", &out)
	return out
}

func unknownIn(v any, t reflect.Type, path string, out *[]string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch tree := v.(type) {
	case []any:
		for i, e := range tree {
			if t.Kind() == reflect.Slice {
				unknownIn(e, t.Elem(), fmt.Sprintf("%s[%d]", path, i), out)
			}
		}
	case map[string]any:
		switch t.Kind() {
		case reflect.Map:
			for key, e := range tree {
				unknownIn(e, t.Elem(), fmt.Sprintf("%s[%s]", path, key), out)
			}
		case reflect.Struct:
			fields := fieldsOf(t)
			for key, e := range tree {
				here := strings.TrimPrefix(path+"."+key, ".")
				if f, ok := fields[key]; ok {
					unknownIn(e, f, here, out)
				} else {
					*out = append(*out, here)
				}
			}
		}
	}
}

// fieldsOf are the types of a section's keys.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("koanf"), ",")
		switch {
		case !field.IsExported() || name == "-":
		case options == "squash":
			maps.Copy(out, fieldsOf(field.Type))
		default:
			out[name] = field.Type
		}
	}
	return out
}

// Validate calls the Validate method of cfg and of every section in it. It returns all their
// errors, each with its path.
func Validate(cfg any) error {
	var errs []string
	validateSection(reflect.Indirect(reflect.ValueOf(cfg)), "", &errs)
	var out []error
	for _, e := range errs {
		out = append(out, errors.New(e))
	}
	return errors.Join(out...)
}

func validateSection(v reflect.Value, path string, errs *[]string) {
	if c, ok := v.Interface().(interface{ Validate() error }); ok {
		for _, e := range Errors(c.Validate()) {
			text := strings.TrimPrefix(path+"."+e.Error(), ".")
			if !slices.Contains(*errs, text) { // an embedded section's method is its holder's too
				*errs = append(*errs, text)
			}
		}
	}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("koanf"), ",")
		if field.Type.Kind() != reflect.Struct || !field.IsExported() || name == "-" {
			continue
		}
		sub := path
		if options != "squash" {
			sub = strings.TrimPrefix(path+"."+name, ".")
		}
		validateSection(v.Field(i), sub, errs)
	}
}

// Tree is cfg as nested maps. Secrets stay hidden when it is printed.
func Tree(cfg any) (map[string]any, error) {
	out := map[string]any{}
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{Result: &out, TagName: "koanf"})
	if err == nil {
		err = d.Decode(cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("BUG: print configuration: %w", err)
	}
	return out, nil
}

// YAML prints cfg. Secrets are hidden.
func YAML(cfg any) ([]byte, error) {
	tree, err := Tree(cfg)
	if err != nil {
		return nil, err
	}
	return yaml.Marshal(tree)
}

// Diff returns as a tree what differs between cfg and defaults; nil if nothing does.
func Diff(cfg, defaults any) (map[string]any, error) {
	a, err := Tree(cfg)
	if err != nil {
		return nil, err
	}
	b, err := Tree(defaults)
	if err != nil {
		return nil, err
	}
	return diffTrees(a, b), nil
}

func diffTrees(a, b map[string]any) map[string]any {
	out := map[string]any{}
	for key, v := range a {
		x, ok := v.(map[string]any)
		y, both := b[key].(map[string]any)
		switch {
		case ok && both:
			if d := diffTrees(x, y); len(d) > 0 {
				out[key] = d
			}
		case !reflect.DeepEqual(v, b[key]):
			out[key] = v
		}
	}
	return out
}

// proposeKey names the declared key of the same section that is most like an unknown one.
func proposeKey(path string, cfg any) string {
	section, name := "", path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		section, name = path[:i+1], path[i+1:]
	}
	best, proposal := 3, ""
	for _, k := range declaredPaths(cfg) {
		rest, ok := strings.CutPrefix(k, section)
		if !ok || strings.Contains(rest, ".") {
			continue
		}
		if d := editDistance(name, rest); d < best {
			best, proposal = d, rest
		}
	}
	if proposal == "" {
		return ""
	}
	return fmt.Sprintf(" (is %s meant?)", section+proposal)
}

// editDistance is the number of letters to insert, delete, replace or swap with their neighbour
// that turns a into b.
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
