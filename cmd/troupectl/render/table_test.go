package render

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Too narrow a terminal first shortens cells, then drops columns by their number, then folds names.
func TestTableFits(t *testing.T) {
	draw := func(width int) string {
		var out bytes.Buffer
		table := NewPrinter(&out, width, false).Table(Column{Title: "id"}, Column{Title: "start", Short: ShortTime, Drop: 1},
			Column{Title: "name", Min: 8}, Column{Title: "n", Right: true, Drop: 2})
		table.Row("0123456789", "2026-01-02 03:04:05.000", "GET /products", "12")
		table.Row("abc", "2026-01-02 03:04:06.000", "POST", "7")
		table.Below(Part{Text: "  below"})
		table.Footer("2 rows")
		table.Print()
		return out.String()
	}
	require.Equal(t, `id          start                    name            n
0123456789  2026-01-02 03:04:05.000  GET /products  12
abc         2026-01-02 03:04:06.000  POST            7
  below
2 rows
`, draw(0))
	require.Equal(t, draw(0), draw(54))
	require.Equal(t, `id          start     name            n
0123456789  03:04:05  GET /products  12
abc         03:04:06  POST            7
  below
2 rows
`, draw(53))
	require.Equal(t, `id          start     name
0123456789  03:04:05  GET /pr…
abc         03:04:06  POST
  below
2 rows
`, draw(30))
	require.Equal(t, `id          name
0123456789  GET /pr…
abc         POST
  below
2 rows
`, draw(20))
}

// No line of any table is wider than the terminal, and colours change nothing but colours.
func TestTableNeverWider(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		return strings.Repeat([]string{"a", "東", "é", "x y ", "\x1b[31m"}[r.IntN(5)], r.IntN(30))
	}
	for range 150 {
		columns := make([]Column, 1+r.IntN(8))
		for i := range columns {
			columns[i] = Column{Title: fmt.Sprint("c", i), Right: r.IntN(2) == 0, Min: r.IntN(2) * 8, Drop: r.IntN(3), Style: Red}
		}
		rows := make([][]string, 1+r.IntN(5))
		for i := range rows {
			for range columns {
				rows[i] = append(rows[i], text())
			}
		}
		width := leastColumns + r.IntN(120)
		var plain, colored bytes.Buffer
		for out, color := range map[*bytes.Buffer]bool{&plain: false, &colored: true} {
			table := NewPrinter(out, width, color).Table(columns...)
			for _, row := range rows {
				table.Row(row...)
			}
			table.Print()
		}
		for _, line := range strings.Split(plain.String(), "\n") {
			require.LessOrEqual(t, displayWidth(line), width, "%q", line)
		}
		require.Equal(t, trimLines(plain.String()), trimLines(withoutColors(colored.String())))
	}
}

const leastColumns = 24 // eight columns of one character and the space between them

func withoutColors(s string) string {
	for _, style := range []Style{Bold, Dim, Red, Green, Yellow, Blue, Purple, Cyan, "0"} {
		s = strings.ReplaceAll(s, "\x1b["+string(style)+"m", "")
	}
	return s
}
