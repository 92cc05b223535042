package block

import (
	"math/bits"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Text comes from the inputs as codes of a dictionary, or as it is, and that may change from page
// to page. It is gathered as codes of one dictionary, which all inputs share. Each code of an input
// is looked up once, and its number in the common dictionary remembered in a memo.
//
// Five values of three inputs, and the common dictionary after each:
//
//	input  value   dictionary of the input  code  looked up     common dictionary  out
//	1      "PUT"   GET PUT                  1     yes           PUT                0
//	1      "GET"   GET PUT                  0     yes           PUT GET            1
//	2      "PUT"   PUT POST                 0     yes           PUT GET            0
//	2      "PUT"   PUT POST                 0     in the memo   PUT GET            0
//	3      "POST"  none                           yes           PUT GET POST       2
//
// Values that hardly repeat do not get a dictionary: looking them up would cost more than it saves.

// Values that come without a dictionary are given one only while they repeat: after tryValues of
// them at least half must have been there before, and the distinct ones must not pass tryBytes.
const (
	tryValues = 4096
	tryBytes  = 32 << 20
)

// gatherText gathers a column of strings, bytes or any: as codes of one dictionary for all inputs,
// or as they are if they hardly repeat.
func (g *gatherer) gatherText(k column.Key, c coding, extras []extra) (*cells, error) {
	g.beginColumn()
	if g.dict == nil {
		g.dict = newInterner(g.seed)
	}
	g.dict.empty()
	t := &textGatherer{gatherer: g, dict: g.dict, coding: c}
	g.translated = translation{to: t.dict, memo: g.translated.memo}
	if c == dictNever {
		t.noDict = true
		g.texts = resize(g.texts, g.slots)
	} else {
		g.codes = resize(g.codes, g.slots)
	}
	if err := g.eachPage(k, t.gatherPage); err != nil {
		return nil, err
	}
	t.putExtras(k, extras)
	if t.noDict {
		return &cells{present: g.endColumn(), texts: g.texts}, nil
	}
	return &cells{present: g.endColumn(), codes: g.codes, dict: t.dict}, nil
}

// textGatherer gathers a column of text, in g.codes or, once noDict is set, in g.texts.
type textGatherer struct {
	*gatherer
	dict   *interner
	coding coding
	noDict bool
	plain  int // values that came without a dictionary
	fresh  int // those of them that were new to dict
}

// putExtras puts the extras in the places of their slots.
func (t *textGatherer) putExtras(k column.Key, extras []extra) {
	for _, x := range extras {
		s := unsafe.String(unsafe.SliceData(x.value.Bytes), len(x.value.Bytes))
		if k.Type == column.Any {
			s = string(trace.AppendValue(nil, &x.value))
		}
		t.putText(x.slot, s)
		t.markPresent(x.slot)
	}
}

// gatherPage is the pageFunc of the column. There are three ways: texts stay texts, codes become
// codes of the common dictionary, and where the two are mixed every value is looked at by itself.
func (t *textGatherer) gatherPage(_ int, v *column.Vector, slots []uint32) error {
	g := t.gatherer
	switch {
	case t.noDict && v.Dict == nil:
		scatterValues(g, g.texts, v, v.Strings, slots)
	case v.Dict != nil && !t.noDict:
		t.scatterCodes(v, slots)
	default:
		row := -1
		for i := range v.N {
			row++
			if v.Present != nil {
				row = v.Present.Next(row)
			}
			if s := slots[row]; s-g.from < g.slots {
				t.putText(s, v.Text(i))
				g.markPresent(s)
			}
		}
	}
	return nil
}

// scatterCodes puts the codes of a page, translated to those of the common dictionary, in the
// places of their slots. It is scatterValues with a look into the memo.
func (t *textGatherer) scatterCodes(v *column.Vector, slots []uint32) {
	g := t.gatherer
	memo := g.translated.useDict(v.Dict)
	if v.Present == nil {
		for i, s := range slots {
			if d := s - g.from; d < g.slots {
				c := v.Codes[i]
				n := memo[c]
				if n == 0 {
					n = g.translated.numberOf(v.Dict, c) + 1
				}
				g.codes[d] = n - 1
				g.present[d>>6] |= 1 << (d & 63)
				g.presentCount++
			}
		}
		return
	}
	n := 0
	for i, w := range v.Present {
		for ; w != 0; w &= w - 1 {
			if d := slots[i<<6+bits.TrailingZeros64(w)] - g.from; d < g.slots {
				c := v.Codes[n]
				m := memo[c]
				if m == 0 {
					m = g.translated.numberOf(v.Dict, c) + 1
				}
				g.codes[d] = m - 1
				g.present[d>>6] |= 1 << (d & 63)
				g.presentCount++
			}
			n++
		}
	}
}

// putText puts one value that has no code in the place of its slot. It gives the dictionary up when
// the values have turned out not to repeat; the values so far become texts.
func (t *textGatherer) putText(slot uint32, s string) {
	g := t.gatherer
	if t.noDict {
		g.texts[slot-g.from] = s
		return
	}
	before := len(t.dict.list)
	g.codes[slot-g.from] = t.dict.intern(s, true)
	t.plain++
	t.fresh += len(t.dict.list) - before
	if t.coding == dictMay && (t.plain >= tryValues && 2*t.fresh > t.plain || t.dict.bytes > tryBytes) {
		t.noDict = true
		g.texts = resize(g.texts, g.slots)
		list := t.dict.list
		for d := g.present.Next(0); d >= 0; d = g.present.Next(d + 1) {
			g.texts[d] = list[g.codes[d]]
		}
		g.texts[slot-g.from] = s
	}
}
