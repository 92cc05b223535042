package render

import (
	"strings"
)

// Bar is a stretch of time, in shares of the whole from 0 to 1.
type Bar struct {
	From, To float64
	Style    Style
}

const (
	tookWidth = 8  // columns of a duration
	leastLeft = 30 // columns that a bar must leave for the text at its left
)

// BarLine prints text at the left, a duration, and a bar. Text that is too long is cut; where the
// line is too narrow for a bar there is none.
func (p *Printer) BarLine(width int, left []Part, took string, bar Bar) {
	barWidth := min(width/4, 40)
	if width-barWidth-tookWidth-2*gap < leastLeft {
		barWidth = 0
	}
	room := width - tookWidth - gap
	if barWidth > 0 {
		room -= barWidth + gap
	}
	var out strings.Builder
	used := 0
	for _, part := range left {
		text := Quote(part.Text)
		if p.width > 0 {
			text = Shorten(text, max(room-used, 0))
		}
		used += displayWidth(text)
		out.WriteString(p.paintText(text, part.Style))
		if p.width > 0 && used >= room {
			break
		}
	}
	out.WriteString(strings.Repeat(" ", max(room-used, 0)+gap+max(tookWidth-displayWidth(took), 0)))
	out.WriteString(took)
	if barWidth > 0 {
		out.WriteString(strings.Repeat(" ", gap) + p.drawBar(bar, barWidth))
	}
	_, _ = p.w.Write([]byte(Shorten(strings.TrimRight(out.String(), " "), max(width, 1)) + "\n"))
}

// drawBar draws at least one column for any stretch.
func (p *Printer) drawBar(b Bar, width int) string {
	first := min(int(b.From*float64(width)), width-1)
	end := min(max(int(b.To*float64(width)+0.5), first+1), width)
	style := b.Style
	if style == Plain {
		style = Blue
	}
	return strings.Repeat(" ", first) + p.paintText(strings.Repeat("━", end-first), style)
}
