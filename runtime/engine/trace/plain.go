package trace

import (
	"encoding/hex"
	"math"
	"strings"
)

// Plain returns attributes as values of encoding/json: string, int64, float64, bool, nil, []any and
// map[string]any. Bytes become hex, numbers that JSON does not have become text, and invalid UTF-8
// becomes U+FFFD. Of keys that repeat, the last one is kept.
func Plain(attrs []Attribute) map[string]any {
	if len(attrs) == 0 {
		return nil
	}
	out := make(map[string]any, len(attrs))
	for i := range attrs {
		out[repairText(attrs[i].Key)] = plainValue(attrs[i].Value)
	}
	return out
}

func repairText(b []byte) string { return strings.ToValidUTF8(string(b), "\ufffd") }

func plainValue(v Value) any {
	switch v.Type {
	case String:
		return repairText(v.Bytes)
	case Bool:
		return v.Num != 0
	case Int:
		return int64(v.Num)
	case Float:
		f := math.Float64frombits(v.Num)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return strings.Trim(string(appendJSONFloat(nil, f)), `"`)
		}
		return f
	case Bytes:
		return hex.EncodeToString(v.Bytes)
	case Array:
		out := []any{}
		v.Elements(func(e Value) { out = append(out, plainValue(e)) })
		return out
	case Map:
		out := map[string]any{}
		v.Entries(func(e Attribute) { out[repairText(e.Key)] = plainValue(e.Value) })
		return out
	}
	return nil
}
