package render

import (
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// gap is the number of spaces between two columns.
const gap = 2

// Column describes a column of a table and what happens to it where the terminal is too narrow:
// first Short is applied, then columns are dropped, then the others are folded.
type Column struct {
	Title string
	Right bool                // align at the right
	Style Style               // of its cells
	Width int                 // columns whatever the cells hold, for rows that are printed one after the other
	Min   int                 // fold down to this many columns; 0: never fold
	Drop  int                 // drop at need, the highest number first; 0: never drop
	Short func(string) string // a shorter form of a cell
}

// Cell is a cell with a style of its own.
type Cell = Part

// Table collects rows and prints them in columns that fit the terminal.
type Table struct {
	p       *Printer
	columns []Column
	rows    [][]Cell
	below   map[int][][]Part // lines that follow a row, by its number
	footer  []Cell
}

// Table starts a table.
func (p *Printer) Table(columns ...Column) *Table {
	return &Table{p: p, columns: columns, below: map[int][][]Part{}}
}

// Row adds a row; missing cells are empty.
func (t *Table) Row(cells ...string) {
	row := make([]Cell, len(t.columns))
	for i := range row {
		if i < len(cells) {
			row[i].Text = cells[i]
		}
		row[i].Style = t.columns[i].Style
	}
	t.rows = append(t.rows, t.quoteCells(row))
}

// StyledRow adds a row whose cells have styles of their own.
func (t *Table) StyledRow(cells ...Cell) { t.rows = append(t.rows, t.quoteCells(cells)) }

// Below adds a line under the last row.
func (t *Table) Below(parts ...Part) {
	i := len(t.rows) - 1
	t.below[i] = append(t.below[i], parts)
}

// Footer sets the last row.
func (t *Table) Footer(cells ...string) {
	row := make([]Cell, len(t.columns))
	for i := range cells {
		row[i] = Cell{cells[i], Dim}
	}
	t.footer = t.quoteCells(row)
}

func (t *Table) quoteCells(row []Cell) []Cell {
	for i := range row {
		row[i].Text = Quote(row[i].Text)
	}
	return row
}

// Print writes the table; one without rows prints nothing.
func (t *Table) Print() {
	if len(t.rows) == 0 {
		return
	}
	widths := t.fitWidths()
	lines := strings.Split(t.render(widths), "\n") // the heading if there is one, then a line for each row
	first := len(lines) - len(t.rows)
	if t.footer != nil {
		first--
	}
	for i, line := range lines {
		_, _ = io.WriteString(t.p.w, strings.TrimRight(line, " ")+"\n")
		for _, parts := range t.below[i-first] {
			t.p.Line(4, parts...)
		}
	}
}

func (t *Table) render(widths []int) string {
	out := table.NewWriter()
	out.SetStyle(tableStyle)
	var configs []table.ColumnConfig
	titled := false
	for i, c := range t.columns {
		if widths[i] == 0 {
			continue
		}
		config := table.ColumnConfig{Number: len(configs) + 1, WidthMin: widths[i]}
		if c.Right {
			config.Align, config.AlignHeader, config.AlignFooter = text.AlignRight, text.AlignRight, text.AlignRight
		}
		configs = append(configs, config)
		titled = titled || c.Title != ""
	}
	out.SetColumnConfigs(configs)
	if titled {
		out.AppendHeader(t.paintRow(widths, func(i int) Cell { return Cell{t.columns[i].Title, Bold} }))
	}
	for _, row := range t.rows {
		out.AppendRow(t.paintRow(widths, func(i int) Cell { return row[i] }))
	}
	if t.footer != nil {
		out.AppendFooter(t.paintRow(widths, func(i int) Cell { return t.footer[i] }))
	}
	return out.Render()
}

// tableStyle has no lines: columns are told apart by space.
var tableStyle = func() table.Style {
	s := table.StyleDefault
	s.Options = table.OptionsNoBordersAndSeparators
	s.Box.PaddingLeft, s.Box.PaddingRight = "", strings.Repeat(" ", gap)
	s.Format = table.FormatOptions{}
	return s
}()

// paintRow makes a row of the columns that are kept; those have a width above zero.
func (t *Table) paintRow(widths []int, cell func(i int) Cell) table.Row {
	var out table.Row
	for i, width := range widths {
		if width == 0 {
			continue
		}
		c := cell(i)
		out = append(out, t.p.paintText(Shorten(c.Text, width), c.Style))
	}
	return out
}

// fitWidths returns the width of each column; zero for those that are dropped.
func (t *Table) fitWidths() []int {
	widths := t.measureWidths()
	if t.p.width == 0 || tableWidth(widths) <= t.p.width {
		return widths
	}
	t.shortenCells()
	widths = t.measureWidths()
	for tableWidth(t.leastWidths(widths)) > t.p.width && t.dropColumn(widths) {
	}
	t.foldColumns(widths, func(i int) int { return t.columns[i].Min })
	t.foldColumns(widths, func(i int) int { return 1 }) // nothing may be wider than the terminal
	return widths
}

func (t *Table) measureWidths() []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = max(1, c.Width, displayWidth(c.Title))
		if c.Width > 0 && t.p.width > 0 {
			continue
		}
		for _, row := range t.rows {
			widths[i] = max(widths[i], displayWidth(row[i].Text))
		}
		if t.footer != nil {
			widths[i] = max(widths[i], displayWidth(t.footer[i].Text))
		}
	}
	return widths
}

func (t *Table) shortenCells() {
	for i, c := range t.columns {
		if c.Short == nil {
			continue
		}
		for _, row := range t.rows {
			row[i].Text = c.Short(row[i].Text)
		}
	}
}

// leastWidths returns the widths after folding as far as the columns allow.
func (t *Table) leastWidths(widths []int) []int {
	out := make([]int, len(widths))
	for i, w := range widths {
		if out[i] = w; t.columns[i].Min > 0 {
			out[i] = min(w, t.columns[i].Min)
		}
	}
	return out
}

// dropColumn removes the column that is needed least and reports whether there was one.
func (t *Table) dropColumn(widths []int) bool {
	least := -1
	for i, c := range t.columns {
		if widths[i] > 0 && c.Drop > 0 && (least < 0 || c.Drop > t.columns[least].Drop) {
			least = i
		}
	}
	if least < 0 {
		return false
	}
	widths[least] = 0
	return true
}

// foldColumns takes columns from the widest cell that may still be folded until the table fits.
func (t *Table) foldColumns(widths []int, least func(i int) int) {
	for over := tableWidth(widths) - t.p.width; over > 0; over-- {
		widest := -1
		for i, w := range widths {
			if l := least(i); l > 0 && w > l && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

func tableWidth(widths []int) int {
	sum := 0
	for _, w := range widths {
		if w > 0 {
			sum += w + gap
		}
	}
	return max(0, sum-gap)
}
