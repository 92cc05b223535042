package eval

import (
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// matcher is a compiled regular expression that must match a whole string. Two forms of
// expressions, which most users write, are matched without the automaton: a choice of texts, and
// texts with .* between, before or behind them.
type matcher struct {
	automaton *regexp.Regexp // nil: the fields below decide
	texts     map[string]struct{}
	// parts are found one behind the other, the first at the start and the last at the end of the
	// string. An expression that begins or ends with .* has an empty part there.
	parts []string
}

func newMatcher(expr string) (*matcher, error) {
	if m := simpleMatcher(expr); m != nil {
		return m, nil
	}
	re, err := traceql.CompileRegex(expr)
	if err != nil {
		return nil, err
	}
	return &matcher{automaton: re}, nil
}

// matchString reports whether the expression matches the whole of s.
func (m *matcher) matchString(s string) bool {
	if m.automaton != nil {
		return m.automaton.MatchString(s)
	}
	if m.texts != nil {
		_, ok := m.texts[s]
		return ok
	}
	first, last := m.parts[0], m.parts[len(m.parts)-1]
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, p := range m.parts[1 : len(m.parts)-1] {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return true
}

// simpleMatcher returns a matcher without an automaton, nil if the expression needs one. A dot
// matches any byte of damaged UTF-8, so .* matches everything.
func simpleMatcher(expr string) *matcher {
	re, err := syntax.Parse(`(?s:`+expr+`)`, syntax.Perl)
	if err != nil {
		return nil
	}
	re = stripGroups(re)
	if texts, ok := listChoices(re, nil); ok {
		m := &matcher{texts: make(map[string]struct{}, len(texts))}
		for _, t := range texts {
			m.texts[t] = struct{}{}
		}
		return m
	}
	list := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		list = re.Sub
	}
	parts, open := []string{""}, false // open: behind .*
	for _, r := range list {
		switch {
		case r.Op == syntax.OpStar && r.Sub[0].Op == syntax.OpAnyChar:
			open = true
		case !isLiteral(r):
			return nil
		case open:
			parts, open = append(parts, string(r.Rune)), false
		default:
			parts[len(parts)-1] += string(r.Rune)
		}
	}
	if open {
		parts = append(parts, "")
	}
	return &matcher{parts: parts}
}

// stripGroups returns the expression inside of groups.
func stripGroups(re *syntax.Regexp) *syntax.Regexp {
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	return re
}

// isLiteral reports whether re matches one text and nothing else. The replacement rune may match
// several damaged texts.
func isLiteral(re *syntax.Regexp) bool {
	return re.Op == syntax.OpLiteral && re.Flags&syntax.FoldCase == 0 &&
		!strings.ContainsRune(string(re.Rune), '\uFFFD')
}

// maxChoices bounds the texts of a choice.
const maxChoices = 1000

// listChoices appends the texts that re matches to texts. ok is false if re matches anything but a
// few texts.
func listChoices(re *syntax.Regexp, texts []string) (out []string, ok bool) {
	switch re = stripGroups(re); {
	case re.Op == syntax.OpEmptyMatch:
		return append(texts, ""), true
	case isLiteral(re):
		return append(texts, string(re.Rune)), true
	case re.Op == syntax.OpCharClass && re.Flags&syntax.FoldCase == 0:
		for i := 0; i+1 < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if r == '\uFFFD' || len(texts) >= maxChoices {
					return nil, false
				}
				texts = append(texts, string(r))
			}
		}
		return texts, true
	case re.Op == syntax.OpAlternate:
		for _, s := range re.Sub {
			var ok bool
			if texts, ok = listChoices(s, texts); !ok || len(texts) > maxChoices {
				return nil, false
			}
		}
		return texts, true
	case re.Op == syntax.OpConcat:
		all, ok := listConcatenations(re.Sub)
		return append(texts, all...), ok
	case re.Op == syntax.OpQuest:
		if texts, ok := listChoices(re.Sub[0], append(texts, "")); ok {
			return texts, true
		}
	}
	return nil, false
}

// listConcatenations returns the texts that a sequence of expressions matches.
func listConcatenations(sequence []*syntax.Regexp) (out []string, ok bool) {
	out = []string{""}
	for _, s := range sequence {
		part, ok := listChoices(s, nil)
		if !ok || len(out)*len(part) > maxChoices {
			return nil, false
		}
		next := make([]string, 0, len(out)*len(part))
		for _, a := range out {
			for _, b := range part {
				next = append(next, a+b)
			}
		}
		out = next
	}
	return out, true
}
