package trace

import (
	"encoding/hex"
	"math"
	"strings"
)

// Plain returns attributes as encoding/json likes them: text, int64, float64, bool, nil, []any and
// map[string]any. Bytes become hex, numbers that JSON does not have become text, and broken text is
// repaired. Of keys that repeat the last is kept.
func Plain(attrs []Attribute) map[string]any {
	if len(attrs) == 0 {
		return nil
	}
	out := make(map[string]any, len(attrs))
	for i := range attrs {
		out[repaired(attrs[i].Key)] = plain(attrs[i].Value)
	}
	return out
}

func repaired(b []byte) string { return strings.ToValidUTF8(string(b), "\ufffd") }

func plain(v Value) any {
	switch v.Type {
	case String:
		return repaired(v.Bytes)
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
		v.Elements(func(e Value) { out = append(out, plain(e)) })
		return out
	case Map:
		out := map[string]any{}
		v.Entries(func(e Attribute) { out[repaired(e.Key)] = plain(e.Value) })
		return out
	}
	return nil
}
