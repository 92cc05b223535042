package traceql

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// An error says where the query went wrong, and names what was probably meant.
func TestErrorsHelp(t *testing.T) {
	for query, want := range map[string]string{
		`{ traceDurationn > 1s }`:            `parse error at line 1, col 3: unknown identifier: traceDurationn, did you mean traceDuration?`,
		`{ statuss = error }`:                `parse error at line 1, col 3: unknown identifier: statuss, did you mean status?`,
		"{ name = \"a\"\n && kind = sever }": `parse error at line 2, col 12: unknown identifier: sever, did you mean server?`,
		`{ span:durration > 1s }`:            `parse error at line 1, col 8: unexpected durration, not an intrinsic of span:, did you mean duration?`,
		`{} | cuont() > 1`:                   `parse error at line 1, col 6: unknown identifier: cuont, did you mean count?`,
		`{ foo = 1 }`:                        `parse error at line 1, col 3: unknown identifier: foo; attributes begin with a scope or a dot, as in .foo or span.foo`,
		`{ span.a == 1 }`:                    `parse error at line 1, col 11: unexpected =, equality is a single =`,
		`{ span.a = "ü`:                      `parse error at line 1, col 12: string is not closed`,
		`{ span.ü = 'x' }`:                   `parse error at line 1, col 12: unexpected ': strings are written in double quotes or back quotes`,
		`({ } | by(name)) > ({ })`:           `parse error at line 1, col 18: operator > needs one spanset on each side, but { } | by(name) may yield several: add | coalesce()`,
	} {
		_, err := Parse(query)
		require.EqualError(t, err, want, query)
	}
}

// Queries beyond the limits are refused by an error that names the limit; nothing overflows.
func TestParseLimits(t *testing.T) {
	for query, want := range map[string]string{
		strings.Repeat(" ", MaxQueryBytes+1):                             "longer than the limit",
		strings.Repeat("(", 100000):                                      "nested deeper",
		"{" + strings.Repeat("(", 100000):                                "nested deeper",
		"{" + strings.Repeat("!", 100000):                                "nested deeper",
		"{ span.a " + strings.Repeat("^ 2 ", 20000) + "= 1 }":            "nested deeper",
		"{ 1" + strings.Repeat("+1", 25000) + "=1 }":                     "parts",
		"{ span.a =~ `" + strings.Repeat("(a{1,50}){1,50}", 400) + "` }": "regular expression",
	} {
		_, err := Parse(query)
		var syntax *SyntaxError
		require.True(t, errors.As(err, &syntax), "%.40s: %v", query, err)
		require.Contains(t, syntax.Message, want, "%.40s", query)
	}
}

// Parse accepts or refuses any text without panic, and what it accepts it prints as a query that
// prints alike.
func FuzzParse(f *testing.F) {
	for _, c := range readParseCases(f) {
		f.Add(c.Query)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := Parse(text)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Line < 1 || syntax.Column < 1 {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		printed := q.String()
		again, err := Parse(printed)
		if err != nil {
			if len(printed) > MaxQueryBytes || strings.Contains(err.Error(), "nested deeper") {
				return // printing adds parentheses
			}
			t.Fatalf("%q printed as %q: %v", text, printed, err)
		}
		if again.String() != printed {
			t.Fatalf("%q printed as %q, and that as %q", text, printed, again)
		}
	})
}
