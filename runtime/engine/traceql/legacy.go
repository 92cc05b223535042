package traceql

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ParseTags makes a query of the older search by tags: key=value pairs in logfmt, and bounds of the
// trace's duration, both inclusive, of which 0 is none. Every pair must hold somewhere in the
// trace.
//
// The keys name, service.name, root.name and root.service.name match part of a text, and
// status.code matches a status by its word. Any other key stands for the whole text of an
// attribute, http.status_code also for a number. These must meet in one resource: each holds for
// the resource or for one of its spans.
//
// Source: docs/spec/traceql.md, "Autocomplete", the older search by tags.
func ParseTags(tags string, least, most time.Duration) (*Query, error) {
	pairs, err := parseLogfmt(tags)
	if err != nil {
		return nil, err
	}
	var filters, generic []string
	for _, p := range pairs {
		if c := mappedTag(p.key, p.value); c != "" {
			filters = append(filters, "{ "+c+" }")
		} else {
			generic = append(generic, genericTag(p.key, p.value))
		}
	}
	var bounds []string
	if least > 0 {
		bounds = append(bounds, "traceDuration >= "+least.String())
	}
	if most > 0 {
		bounds = append(bounds, "traceDuration <= "+most.String())
	}
	if len(bounds) > 0 {
		filters = append(filters, "{ "+strings.Join(bounds, " && ")+" }")
	}
	switch len(generic) {
	case 0:
	case 1:
		filters = append(filters, "{ "+generic[0]+" }")
	default:
		filters = append(filters, "{ ("+strings.Join(generic, ") || (")+") } | by(resource:id)"+
			" | { "+strings.Join(generic, " } && { ")+" }")
		if len(filters) > 1 {
			return Parse("(" + strings.Join(filters, ") && (") + ")")
		}
	}
	if len(filters) == 0 {
		return Parse("{}")
	}
	return Parse(strings.Join(filters, " && "))
}

// mappedTag returns the condition of a key that has a meaning of its own, "" for any other key.
func mappedTag(key, value string) string {
	part := " =~ " + strconv.Quote(".*"+regexp.QuoteMeta(value)+".*")
	switch key {
	case "name":
		return "name" + part
	case "root.name":
		return "rootName" + part
	case "root.service.name":
		return "rootServiceName" + part
	case "service.name":
		return "resource.service.name" + part
	case "status.code":
		if _, ok := StatusNumber(value); !ok {
			value = "unset"
		}
		return "status = " + value
	}
	return ""
}

// genericTag returns the condition of a key that names an attribute.
func genericTag(key, value string) string {
	inSpan, inResource := &Field{Scope: ScopeSpan, Name: key}, &Field{Scope: ScopeResource, Name: key}
	same := " = " + strconv.Quote(value)
	out := inSpan.String() + same + " || " + inResource.String() + same
	if n, err := strconv.ParseInt(value, 10, 64); err == nil && key == "http.status_code" {
		out += " || " + inSpan.String() + " = " + strconv.FormatInt(n, 10)
	}
	if key == "error" && value == "true" {
		out += " || status = error"
	}
	return out
}

// pair is one key=value of logfmt.
type pair struct{ key, value string }

// parseLogfmt reads pairs. Positions in its errors are bytes, counted from 1.
func parseLogfmt(s string) (pairs []pair, err error) {
	seen := map[string]bool{}
	space := func(c byte) bool { return c <= ' ' }
	for i := 0; i < len(s); {
		if space(s[i]) {
			i++
			continue
		}
		from := i
		for i < len(s) && !space(s[i]) && s[i] != '=' && s[i] != '"' {
			i++
		}
		p := pair{key: s[from:i]}
		if i < len(s) && (s[i] == '"' || s[i] == '=' && p.key == "") {
			return nil, fmt.Errorf("unexpected '%c' at pos %d", s[i], i+1)
		}
		if i < len(s) && s[i] == '=' {
			if p.value, i, err = parseLogfmtValue(s, i+1); err != nil {
				return nil, err
			}
		}
		if seen[p.key] {
			return nil, fmt.Errorf("tag %s has been set twice", p.key)
		}
		seen[p.key] = true
		pairs = append(pairs, p)
	}
	return pairs, nil
}

// parseLogfmtValue reads the value that begins at the byte offset from.
func parseLogfmtValue(s string, from int) (value string, end int, err error) {
	i := from
	if i < len(s) && s[i] == '"' {
		for i++; i < len(s) && s[i] != '"'; i++ {
			if s[i] == '\\' {
				i++
			}
		}
		if i >= len(s) {
			return "", i, fmt.Errorf("unterminated quoted value at pos %d", from+1)
		}
		if value, err = strconv.Unquote(s[from : i+1]); err != nil {
			return "", i, fmt.Errorf("invalid quoted value at pos %d", from+1)
		}
		if i++; i < len(s) && s[i] > ' ' {
			return "", i, fmt.Errorf("unexpected '%c' at pos %d", s[i], i+1)
		}
		return value, i, nil
	}
	for i < len(s) && s[i] > ' ' {
		if s[i] == '=' || s[i] == '"' {
			return "", i, fmt.Errorf("unexpected '%c' at pos %d", s[i], i+1)
		}
		i++
	}
	return s[from:i], i, nil
}
