package conformance

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// added are fields that the recorded server does not know; its clients do not look at them.
var added = []string{"complete", "warnings", "watermark"}

// kept are fields of spans that the recorded server loses and this one does not.
var kept = []string{"schemaUrl", "flags"}

// compareJSON compares decoded JSON by the rules of a case.
func compareJSON(c *rules, want, got any) error {
	for path, n := range c.Lengths {
		if l, err := lengthAt(got, path); err != nil || l != n {
			return fmt.Errorf("%s has %d elements (%v), want %d", path, l, err, n)
		}
	}
	if c.Compare == "status-only" {
		return nil
	}
	if err := firstSpanSet(got); err != nil {
		return err
	}
	drop := append([]string{"spanSet"}, c.Drop...)
	for _, k := range kept {
		if !strings.Contains(text(want), `"`+k+`":`) {
			drop = append(drop, k)
		}
	}
	w, g := without(want, drop, "", c.DropValues), without(got, drop, "", c.DropValues)
	if m, ok := w.(map[string]any); ok {
		gm, _ := g.(map[string]any)
		for _, k := range append([]string{"metrics"}, c.Ignore...) {
			_, wanted := m[k]
			if _, is := gm[k]; wanted && !is {
				return fmt.Errorf("key %s is missing", k)
			}
			delete(m, k)
			delete(gm, k)
		}
		for _, k := range added {
			if _, wanted := m[k]; !wanted {
				delete(gm, k)
			}
		}
	}
	if c.Compare == "unordered" || c.Compare == "subset" {
		w, g = sorted(w, "", c.Ordered), sorted(g, "", c.Ordered)
	}
	if c.Compare == "subset" {
		return within(w, g, "")
	}
	return equal(w, g, "")
}

// firstSpanSet demands that the deprecated spanSet of a trace is the first of its spanSets.
func firstSpanSet(v any) error {
	m, _ := v.(map[string]any)
	traces, _ := m["traces"].([]any)
	for _, t := range traces {
		tm, _ := t.(map[string]any)
		sets, _ := tm["spanSets"].([]any)
		if (len(sets) > 0) != (tm["spanSet"] != nil) || len(sets) > 0 && !reflect.DeepEqual(sets[0], tm["spanSet"]) {
			return fmt.Errorf("spanSet of %v is not the first of its spanSets", tm["traceID"])
		}
	}
	return nil
}

func lengthAt(v any, path string) (int, error) {
	for _, step := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(x) {
				return 0, fmt.Errorf("no element %s", step)
			}
			v = x[i]
		}
	}
	list, ok := v.([]any)
	if !ok {
		return 0, fmt.Errorf("no list at %s", path)
	}
	return len(list), nil
}

// without copies v without the keys of drop, and without key of key@name inside the list called
// name.
func without(v any, drop []string, in string, inside []string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k := range v {
			if !slices.Contains(drop, k) && !slices.Contains(inside, k+"@"+in) {
				out[k] = without(v[k], drop, k, inside)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = without(v[i], drop, in, inside)
		}
		return out
	}
	return v
}

// sorted puts lists of objects, and all lists below tagValues, into one order, except those named
// as ordered and the values of array attributes.
func sorted(v any, name string, ordered []string) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			below := k
			if name == "tagValues" {
				below = name
			}
			v[k] = sorted(v[k], below, ordered)
		}
	case []any:
		for i := range v {
			v[i] = sorted(v[i], name, ordered)
		}
		if len(v) > 0 && !slices.Contains(ordered, name) && name != "values" {
			if _, object := v[0].(map[string]any); object || name == "tagValues" {
				sort.SliceStable(v, func(i, j int) bool { return text(v[i]) < text(v[j]) })
			}
		}
	}
	return v
}

func text(v any) string { b, _ := json.Marshal(v); return string(b) }

func equal(w, g any, at string) error {
	switch w := w.(type) {
	case map[string]any:
		gm, ok := g.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: %.100s, want an object", at, text(g))
		}
		for k := range gm {
			if _, ok := w[k]; !ok {
				return fmt.Errorf("%s.%s: not wanted: %.200s", at, k, text(gm[k]))
			}
		}
		return within(w, g, at)
	case []any:
		ga, ok := g.([]any)
		if !ok || len(ga) != len(w) {
			return fmt.Errorf("%s: %.600s, want %.600s", at, text(g), text(w))
		}
		for i := range w {
			if err := equal(w[i], ga[i], fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
		return nil
	case float64:
		if gf, ok := g.(float64); ok && math.Abs(gf-w) <= 1e-9*math.Max(math.Abs(gf), math.Abs(w)) {
			return nil
		}
	}
	if !reflect.DeepEqual(w, g) {
		return fmt.Errorf("%s: %.200s, want %.200s", at, text(g), text(w))
	}
	return nil
}

// within demands that everything of w is in g.
func within(w, g any, at string) error {
	m, ok := w.(map[string]any)
	if !ok {
		return equal(w, g, at)
	}
	gm, _ := g.(map[string]any)
	for k := range m {
		gv, ok := gm[k]
		if !ok {
			return fmt.Errorf("%s.%s: missing, want %.200s", at, k, text(m[k]))
		}
		if err := equal(m[k], gv, at+"."+k); err != nil {
			return err
		}
	}
	return nil
}

func decode(t testing.TB, s string) (v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(s), &v))
	return v
}

// The comparison itself finds what differs and overlooks what may.
func TestCompare(t *testing.T) {
	for _, c := range []struct {
		rules     rules
		want, got string
		differ    string
	}{
		{rules{}, `{"a":[1,2],"metrics":{}}`, `{"a":[1,2],"metrics":{"x":1},"complete":true}`, ""},
		{rules{}, `{"metrics":{}}`, `{}`, "metrics is missing"},
		{rules{}, `{"a":[1,2]}`, `{"a":[2,1]}`, "a[0]"},
		{rules{}, `{"a":1}`, `{"a":1,"b":2}`, "not wanted"},
		{rules{Compare: "unordered"}, `{"a":[{"x":1},{"y":2}]}`, `{"a":[{"y":2},{"x":1}]}`, ""},
		{rules{Compare: "unordered", Ordered: []string{"a"}}, `{"a":[{"x":1},{"y":2}]}`, `{"a":[{"y":2},{"x":1}]}`, "a[0]"},
		{rules{Compare: "unordered"}, `{"values":[{"x":1},{"y":2}]}`, `{"values":[{"y":2},{"x":1}]}`, "values[0]"},
		{rules{Compare: "unordered"}, `{"tagValues":["a","b"]}`, `{"tagValues":["b","a"]}`, ""},
		{rules{Compare: "unordered"}, `{"tagValues":{"string":["a","b"]}}`, `{"tagValues":{"string":["b","a"]}}`, ""},
		{rules{}, `{"warnings":[]}`, `{}`, "missing"},
		{rules{Compare: "subset"}, `{"a":1}`, `{"a":1,"b":2}`, ""},
		{rules{Compare: "subset"}, `{"a":1}`, `{"b":2}`, "missing"},
		{rules{Compare: "status-only"}, `{"a":1}`, `{"b":2}`, ""},
		{rules{Lengths: map[string]int{"a.0.b": 2}}, `{"a":[{"b":[1,2]}]}`, `{"a":[{"b":[1,2]}]}`, ""},
		{rules{Lengths: map[string]int{"a.0.b": 1}}, `{"a":[{"b":[1,2]}]}`, `{"a":[{"b":[1,2]}]}`, "has 2 elements"},
		{rules{DropValues: []string{"t@e"}}, `{"e":[{"t":1,"v":1}],"t":3}`, `{"e":[{"t":2,"v":1}],"t":3}`, ""},
		{rules{}, `{"v":0.1}`, `{"v":0.1000000000000001}`, ""},
		{rules{}, `{"v":0.1}`, `{"v":0.1001}`, "want 0.1"},
		{rules{}, `{"traces":[]}`, `{"traces":[{"traceID":"1","spanSets":[{"matched":1}]}]}`, "not the first"},
	} {
		err := compareJSON(&c.rules, decode(t, c.want), decode(t, c.got))
		if c.differ == "" {
			require.NoError(t, err, "%s %s", c.want, c.got)
		} else {
			require.ErrorContains(t, err, c.differ, "%s %s", c.want, c.got)
		}
	}
}
