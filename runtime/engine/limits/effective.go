package limits

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// ParseGenerator returns an operator's section metrics_generator, which was read as YAML. An
// unknown key or a value of the wrong type is an error.
func ParseGenerator(section map[string]any) (g Generator, err error) {
	b, err := json.Marshal(section)
	if err == nil && len(section) > 0 {
		err = decodeStrict(b, &g)
	}
	if err != nil {
		err = fmt.Errorf("metrics_generator: %w", err)
	}
	return g, err
}

// Effective returns, as JSON, the settings in force for a tenant: its own and, where it has none,
// the operator's. The document has every field; null stands for one that neither sets.
func Effective(own Own, operator Tenant) ([]byte, error) {
	g, err := ParseGenerator(operator.Generator)
	if err != nil {
		return nil, err
	}
	base := Own{Generator: g}
	merged, err := Patch(base.JSON(), own.JSON())
	if err != nil {
		return nil, err
	}
	return json.Marshal(allFields(reflect.ValueOf(merged)))
}

// allFields returns a struct as a map of all its JSON fields, including empty ones.
func allFields(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return v.Interface()
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			out[name] = allFields(v.Field(i))
		}
		return out
	}
	return v.Interface()
}
