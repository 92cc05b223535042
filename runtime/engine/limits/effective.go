package limits

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// ParseGenerator reads an operator's section metrics_generator, as YAML was read; unknown keys are
// refused.
func ParseGenerator(section map[string]any) (g Generator, err error) {
	b, err := json.Marshal(section)
	if err == nil && len(section) > 0 {
		err = strict(b, &g)
	}
	if err != nil {
		err = fmt.Errorf("metrics_generator: %w", err)
	}
	return g, err
}

// Effective are the values that hold for a tenant with these settings of its own and limits of the
// operator: every field, null where neither sets it.
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
	return json.Marshal(whole(reflect.ValueOf(merged)))
}

// whole is a struct as a map of all its JSON fields.
func whole(v reflect.Value) any {
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
			out[name] = whole(v.Field(i))
		}
		return out
	}
	return v.Interface()
}
