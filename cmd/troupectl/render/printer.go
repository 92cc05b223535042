package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
)

// Style is how a text looks where colours are on.
type Style string

// The styles of troupectl.
const (
	Plain  Style = ""
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
	Blue   Style = "34"
	Purple Style = "35"
	Cyan   Style = "36"
)

// Part is a piece of a line. Its text is quoted when it is printed.
type Part struct {
	Text  string
	Style Style
}

// Printer writes lines that fit a terminal. All text that it is given is quoted (see Quote).
type Printer struct {
	w     io.Writer
	width int  // columns of the terminal; 0: as wide as needed
	color bool // write colours
}

// NewPrinter makes a printer for lines of at most width columns; 0 means that lines may have any
// width.
func NewPrinter(w io.Writer, width int, color bool) *Printer {
	return &Printer{w: w, width: width, color: color}
}

// Width returns the columns of a line, or otherwise where lines may have any width.
func (p *Printer) Width(otherwise int) int {
	if p.width > 0 {
		return p.width
	}
	return otherwise
}

// Linef prints one line in the default style, wrapped where it is too long.
func (p *Printer) Linef(format string, args ...any) {
	p.Line(0, Part{Text: fmt.Sprintf(format, args...)})
}

// Warn prints a line that begins with "warning:".
func (p *Printer) Warn(text string) {
	p.Line(2, Part{"warning: ", Yellow}, Part{text, Plain})
}

// Text prints a text that may have several lines. Lines after the first are indented, so that no
// text can look like a line of troupectl's own.
func (p *Printer) Text(lead, text string) {
	for i, line := range strings.Split(strings.TrimRight(text, "\r\n"), "\n") {
		if line = strings.TrimSuffix(line, "\r"); i == 0 {
			p.Line(2, Part{Text: lead}, Part{Text: line})
		} else {
			p.Line(4, Part{Text: "  " + line})
		}
	}
}

// Line prints parts as one line. Where it is too long it goes on in further lines, indented by
// indent columns.
func (p *Printer) Line(indent int, parts ...Part) {
	p.wrapText(strings.Repeat(" ", min(indent, p.width/2)), parts)
}

// Under prints parts as one line behind trunk. Where it is too long it goes on in further lines
// behind trunk.
func (p *Printer) Under(trunk string, parts ...Part) {
	line := append([]Part{{trunk, Dim}}, parts...)
	if trunk = Quote(trunk); displayWidth(trunk)+4 > p.width/2 {
		trunk = ""
	}
	p.wrapText(p.paintText(trunk, Dim)+strings.Repeat(" ", min(4, p.width/2)), line)
}

// wrapText prints parts; further lines begin with lead, which is not quoted.
func (p *Printer) wrapText(lead string, parts []Part) {
	var out strings.Builder
	column, indent := 0, displayWidth(lead)
	for _, part := range parts {
		rest := Quote(part.Text)
		for rest != "" {
			head := rest
			if p.width > 0 {
				head = headThatFits(rest, p.width-column, column > indent)
			}
			rest = rest[len(head):]
			out.WriteString(p.paintText(head, part.Style))
			column += displayWidth(head)
			if rest != "" {
				out.WriteString("\n" + lead)
				column = indent
				rest = strings.TrimLeft(rest, " ")
			}
		}
	}
	out.WriteByte('\n')
	_, _ = io.WriteString(p.w, trimLines(out.String()))
}

// shortPart is the number of columns up to which a part is not broken but put into the next line.
const shortPart = 16

// headThatFits returns the longest beginning of s that has at most width columns, and ends at a
// space if it can. It may be empty only where mayWait says that the next line has more room.
func headThatFits(s string, width int, mayWait bool) string {
	if displayWidth(s) <= width {
		return s
	}
	if mayWait && displayWidth(s) <= shortPart {
		return ""
	}
	head := text.Trim(s, max(width, 0))
	if i := strings.LastIndexByte(head, ' '); i > len(head)/2 || i >= 0 && mayWait {
		return head[:i]
	}
	if head == "" && !mayWait { // not even one character fits: print it all the same
		for i := range s[1:] {
			if head = s[:i+1]; displayWidth(head) > 0 {
				return head
			}
		}
		return s
	}
	return head
}

func (p *Printer) paintText(s string, style Style) string {
	if !p.color || style == Plain || s == "" {
		return s
	}
	return "\x1b[" + string(style) + "m" + s + "\x1b[0m"
}

// trimLines removes spaces at the ends of lines.
func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

// displayWidth is the number of columns that s takes.
func displayWidth(s string) int { return text.StringWidthWithoutEscSequences(s) }

// Shorten cuts s to width columns and ends it with "…" where something was cut.
func Shorten(s string, width int) string {
	if displayWidth(s) <= width {
		return s
	}
	if width < 1 {
		return ""
	}
	return text.Trim(s, width-1) + "…"
}
