package config

import (
	"fmt"
	"regexp"
	"strings"
)

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand replaces ${NAME} and ${NAME:-default} in all strings of a tree; $$ is a dollar sign. A variable that is not set is empty.
func expand(v any, vars map[string]string) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, e := range v {
			x, err := expand(e, vars)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			out[key] = x
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			x, err := expand(e, vars)
			if err != nil {
				return nil, err
			}
			out[i] = x
		}
		return out, nil
	case string:
		return expandString(v, vars)
	}
	return v, nil
}

func expandString(s string, vars map[string]string) (string, error) {
	var b strings.Builder
	for {
		at := strings.IndexByte(s, '$')
		if at < 0 || at+1 == len(s) {
			b.WriteString(s)
			return b.String(), nil
		}
		b.WriteString(s[:at])
		s = s[at+1:]
		switch s[0] {
		case '$':
			b.WriteByte('$')
			s = s[1:]
		case '{':
			inside, rest, ok := strings.Cut(s[1:], "}")
			if !ok {
				return "", fmt.Errorf("expand variables: ${ without }")
			}
			name, fallback, _ := strings.Cut(inside, ":-")
			if !variable.MatchString(name) {
				return "", fmt.Errorf("expand variables: ${%s}: only ${NAME} and ${NAME:-default} are known", inside)
			}
			value := vars[name]
			if value == "" {
				value = fallback
			}
			b.WriteString(value)
			s = rest
		default:
			b.WriteByte('$')
		}
	}
}
