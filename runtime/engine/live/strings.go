package live

import (
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// Once a dictionary has dictMin values, each of them must be used twice on average; otherwise the
// column goes on without it.
const dictMin = 2048

// stringColumn holds the strings of one column in the order in which they came. The first are codes
// of a dictionary; from where most values are new ones, they are plain. A copy of the struct is a
// view.
type stringColumn struct {
	codes vec[uint32] // of values [0, codes.len())
	dict  []string    // the distinct values; a view's is a prefix
	plain vec[uint32] // of the values after those: references into the arena
}

func (s *stringColumn) len() int { return s.codes.len() + s.plain.len() }

// at returns value i. It aliases the arena.
func (s *stringColumn) at(a *arena, i int) string {
	n := s.codes.len()
	if i < n {
		return s.dict[s.codes.at(i)]
	}
	return a.stringAt(s.plain.at(i - n))
}

// truncate drops the values from n on. The dictionary keeps what it has.
func (s *stringColumn) truncate(n int) {
	if k := s.codes.len(); n > k {
		s.plain.truncate(n - k)
		return
	}
	s.plain.truncate(0)
	s.codes.truncate(n)
}

// readValues appends values [i, j) to dst: as codes if all of them are codes, else as strings.
func (s *stringColumn) readValues(a *arena, i, j int, dst *column.Vector) {
	n := s.codes.len()
	if j <= n {
		if len(s.dict) > 0 {
			dst.Dict = s.dict
			dst.Codes = s.codes.appendTo(dst.Codes, i, j)
		}
		return
	}
	s.codes.eachPart(min(i, n), n, func(part []uint32) {
		for _, c := range part {
			dst.Strings = append(dst.Strings, s.dict[c])
		}
	})
	s.plain.eachPart(max(i-n, 0), j-n, func(part []uint32) {
		for _, ref := range part {
			dst.Strings = append(dst.Strings, a.stringAt(ref))
		}
	})
}

// readNonempty reads rows [i, j) of a column that has a string for every row, where the empty
// string means that the row has no value.
func (s *stringColumn) readNonempty(a *arena, i, j int, dst *column.Vector) {
	s.readValues(a, i, j, dst)
	k := 0 // values kept; they move to the front
	for row := range j - i {
		if dst.Dict != nil {
			c := dst.Codes[row]
			if dst.Dict[c] == "" {
				continue
			}
			dst.Codes[k] = c
		} else {
			if dst.Strings[row] == "" {
				continue
			}
			dst.Strings[k] = dst.Strings[row]
		}
		dst.Present.Set(row)
		k++
	}
	dst.N = k
	if dst.Dict != nil {
		dst.Codes = dst.Codes[:k]
	} else {
		dst.Strings = dst.Strings[:k]
	}
	if k == j-i {
		dst.SetAll()
	}
}

// stringWriter adds strings to a stringColumn.
type stringWriter struct {
	index      hashIndex // codes, by string
	noDict     bool      // from now on values are plain
	recent     string    // the value that was found last, since values come in runs
	recentCode uint32
}

// bytesOf returns the bytes of a string, which MUST NOT be changed.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// addString appends the value b, which is copied.
func (t *stringWriter) addString(s *stringColumn, m *memory, b []byte) {
	if t.noDict {
		ref, _ := m.arena.addString(b, &m.bytes)
		s.plain.add(ref, &m.bytes)
		return
	}
	if t.recent == string(b) && len(b) > 0 {
		s.codes.add(t.recentCode, &m.bytes)
		return
	}
	s.codes.add(t.codeOf(s, m, b), &m.bytes)
	if len(s.dict) >= dictMin && 2*len(s.dict) > s.codes.len() {
		t.noDict = true
		m.bytes -= int64(len(t.index.slots)) * 8
		t.index, t.recent = hashIndex{}, ""
	}
}

// codeOf returns the code of b, a new one if need be.
func (t *stringWriter) codeOf(s *stringColumn, m *memory, b []byte) uint32 {
	h := m.hash.hashBytes(b)
	for c, at := t.index.findNext(h, 0); at != 0; c, at = t.index.findNext(h, at) {
		if s.dict[c] == string(b) {
			t.recent, t.recentCode = s.dict[c], c
			return c
		}
	}
	c := uint32(len(s.dict))
	_, str := m.arena.addString(b, &m.bytes)
	before := cap(s.dict)
	s.dict = append(s.dict, str)
	m.bytes += int64(cap(s.dict)-before) * 16
	t.index.addNumber(h, c, &m.bytes)
	return c
}

// memory is what all columns of a segment share.
type memory struct {
	arena *arena
	bytes int64 // memory taken by columns, tables and the arena
	hash  hasher
}
