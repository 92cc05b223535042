package render

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"GET /cart":                       "GET /cart",
		"grüße 東京 🚀 naïve":                "grüße 東京 🚀 naïve",
		"e\u0301":                         "e\u0301", // an accent that follows its letter
		"a\nb\tc\r":                       `a\nb\tc\r`,
		"\x1b]0;title\x07":                `\x1b]0;title\x07`,
		"\u009b31m":                       `\u009b31m`, // a control sequence in one character
		"\x9b31m\xff":                     `\x9b31m\xff`,
		"invoice\u202egpj.exe":            `invoice\u202egpj.exe`,
		"\u2066a\u2069":                   `\u2066a\u2069`,
		"pay\u200bment\ufeff":             `pay\u200bment\ufeff`,
		"a\u00a0b\u2028c":                 `a\u00a0b\u2028c`,
		"\u3164\u115f\u2800":              `\u3164\u115f\u2800`, // letters and symbols that show nothing
		"\U000e0041x\ufe0f":               `\U000e0041x\ufe0f`,
		"\u0301a":                         `\u0301a`, // would change the character before the text
		"o" + strings.Repeat("\u0300", 6): "o" + strings.Repeat("\u0300", 4) + strings.Repeat(`\u0300`, 2),
		"\ufffd":                          "\ufffd",
		`C:\new`:                          `C:\new`,
	} {
		require.Equal(t, want, Quote(in))
	}
	var out bytes.Buffer
	NewPrinter(&out, 0, false).Text("troupectl: ", "bad query\r\n\x1b[31mat line 2\n\n")
	require.Equal(t, "troupectl: bad query\n  \\x1b[31mat line 2\n", out.String())
}

// isVisible reports whether a terminal shows r, or joins it to the character before, and does
// nothing else.
func isVisible(r rune) bool {
	return r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.In(r, unicode.Cf, unicode.Cc, unicode.Zl, unicode.Zp,
		unicode.Bidi_Control, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Every character there is comes out visible.
func TestQuoteAllCharacters(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r > 0x32000 && (r < 0xe0000 || r > 0xe0fff) && r%101 != 0 {
			continue // planes of Unicode that are empty or private
		}
		for _, out := range Quote("a" + string(r)) {
			if !isVisible(out) {
				t.Fatalf("%U is printed as %U", r, out)
			}
		}
	}
	for b := range 256 {
		require.True(t, utf8.ValidString(Quote(string([]byte{byte(b)}))))
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("a\x1b[2J\u202e\xff\n", 20)
	f.Add(strings.Repeat("東", 30)+"\u0301", 1)
	f.Fuzz(func(t *testing.T, s string, width int) {
		q := Quote(s)
		for _, r := range q {
			if !isVisible(r) {
				t.Fatalf("%q is printed with %U", s, r)
			}
		}
		width = 20 + (width&0x7fffffff)%100
		var out bytes.Buffer
		p := NewPrinter(&out, width, false)
		p.Line(4, Part{Text: "  "}, Part{Text: s}, Part{Text: s, Style: Red})
		p.Warn(s)
		p.Text("lead: ", s)
		p.BarLine(width, []Part{{Text: s}, {Text: s}}, "12ms", Bar{From: 0.5, To: 2})
		table := p.Table(Column{Title: "a", Min: 4}, Column{Title: "b", Right: true, Drop: 1}, Column{Title: "c"})
		table.Row(s, s, s)
		table.Below(Part{Text: s})
		table.Print()
		for _, line := range strings.Split(out.String(), "\n") {
			if displayWidth(line) > width {
				t.Fatalf("%q is %d columns wide, not %d", line, displayWidth(line), width)
			}
			for _, r := range line {
				if !isVisible(r) {
					t.Fatalf("%q is printed with %U", s, r)
				}
			}
		}
	})
}
