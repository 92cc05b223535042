package traceql

import (
	"regexp"
	"regexp/syntax"
	"strings"
)

// matcher is a compiled regular expression that must match a whole string. Expressions that are a fixed text with or without .* around it,
// or a choice of texts, are matched without the automaton.
type matcher struct {
	re     *regexp.Regexp // nil: the fields below decide
	texts  map[string]struct{}
	prefix string
	suffix string
	middle string
	kind   matcherKind
}

type matcherKind uint8

const (
	matchTexts matcherKind = iota
	matchPrefix
	matchSuffix
	matchMiddle
	matchAll
)

func newMatcher(expr string) (*matcher, error) {
	if m := simpleMatcher(expr); m != nil {
		return m, nil
	}
	re, err := compileRegex(expr)
	if err != nil {
		return nil, err
	}
	return &matcher{re: re}, nil
}

func (m *matcher) match(s string) bool {
	if m.re != nil {
		return m.re.MatchString(s)
	}
	switch m.kind {
	case matchPrefix:
		return strings.HasPrefix(s, m.prefix)
	case matchSuffix:
		return strings.HasSuffix(s, m.suffix)
	case matchMiddle:
		return strings.Contains(s, m.middle)
	case matchAll:
		return true
	}
	_, ok := m.texts[s]
	return ok
}

// simpleMatcher returns nil where the automaton is needed. Values that are not UTF-8 are why .* is simple only around texts: . takes any byte there.
func simpleMatcher(expr string) *matcher {
	re, err := syntax.Parse(`(?s:`+expr+`)`, syntax.Perl)
	if err != nil {
		return nil
	}
	re = plainGroup(re)
	if texts, ok := choice(re, nil); ok {
		m := &matcher{kind: matchTexts, texts: make(map[string]struct{}, len(texts))}
		for _, t := range texts {
			m.texts[t] = struct{}{}
		}
		return m
	}
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	anything := func(r *syntax.Regexp) bool {
		return r.Op == syntax.OpStar && r.Sub[0].Op == syntax.OpAnyChar
	}
	switch {
	case len(parts) == 1 && anything(parts[0]):
		return &matcher{kind: matchAll}
	case len(parts) == 2 && anything(parts[1]) && exact(parts[0]):
		return &matcher{kind: matchPrefix, prefix: string(parts[0].Rune)}
	case len(parts) == 2 && anything(parts[0]) && exact(parts[1]):
		return &matcher{kind: matchSuffix, suffix: string(parts[1].Rune)}
	case len(parts) == 3 && anything(parts[0]) && exact(parts[1]) && anything(parts[2]):
		return &matcher{kind: matchMiddle, middle: string(parts[1].Rune)}
	}
	return nil
}

func plainGroup(re *syntax.Regexp) *syntax.Regexp {
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	return re
}

// exact says whether re is a text and nothing else. A rune that stands for damaged bytes may match several texts.
func exact(re *syntax.Regexp) bool {
	return re.Op == syntax.OpLiteral && re.Flags&syntax.FoldCase == 0 && !strings.ContainsRune(string(re.Rune), '\uFFFD')
}

// choice appends the texts that re matches, if they are few and no more than texts.
func choice(re *syntax.Regexp, texts []string) ([]string, bool) {
	const most = 1000
	switch re = plainGroup(re); {
	case re.Op == syntax.OpEmptyMatch:
		return append(texts, ""), true
	case exact(re):
		return append(texts, string(re.Rune)), true
	case re.Op == syntax.OpCharClass && re.Flags&syntax.FoldCase == 0:
		for i := 0; i+1 < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if r == '\uFFFD' || len(texts) >= most {
					return nil, false
				}
				texts = append(texts, string(r))
			}
		}
		return texts, true
	case re.Op == syntax.OpAlternate:
		for _, s := range re.Sub {
			var ok bool
			if texts, ok = choice(s, texts); !ok || len(texts) > most {
				return nil, false
			}
		}
		return texts, true
	case re.Op == syntax.OpConcat:
		all := []string{""}
		for _, s := range re.Sub {
			part, ok := choice(s, nil)
			if !ok || len(all)*len(part) > most {
				return nil, false
			}
			next := make([]string, 0, len(all)*len(part))
			for _, a := range all {
				for _, p := range part {
					next = append(next, a+p)
				}
			}
			all = next
		}
		return append(texts, all...), true
	case re.Op == syntax.OpQuest:
		if texts, ok := choice(re.Sub[0], append(texts, "")); ok {
			return texts, true
		}
	}
	return nil, false
}
