package live

import "unsafe"

// Past dictMin distinct values a dictionary must have every value twice, on average, or the column
// goes on without it.
const dictMin = 2048

// strs holds the strings of one column in the order they came: dictionary coded at first, plain
// once most values are new ones. Its copy is a view.
type strs struct {
	codes vec[uint32] // values [0, codes.len())
	dict  []string    // distinct values; a view's is a prefix
	plain vec[uint32] // values from there on: arena references
}

func (s *strs) len() int { return s.codes.len() + s.plain.len() }

func (s *strs) at(a *arena, i int) string {
	n := s.codes.len()
	if i < n {
		return s.dict[s.codes.at(i)]
	}
	return a.get(s.plain.at(i - n))
}

func (s *strs) truncate(n int) {
	if k := s.codes.len(); n > k {
		s.plain.truncate(n - k)
		return
	}
	s.plain.truncate(0)
	s.codes.truncate(n)
}

// text is how a strs is written.
type text struct {
	index    index
	noDict   bool
	again    string // the value that came twice last, and its code: values come in runs
	againNum uint32
}

func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// add appends the value b, which is copied.
func (t *text) add(s *strs, m *memory, b []byte) {
	if t.noDict {
		ref, _ := m.arena.add(b, &m.bytes)
		s.plain.add(ref, &m.bytes)
		return
	}
	if t.again == string(b) && len(b) > 0 {
		s.codes.add(t.againNum, &m.bytes)
		return
	}
	s.codes.add(t.code(s, m, b), &m.bytes)
	if len(s.dict) >= dictMin && 2*len(s.dict) > s.codes.len() {
		t.noDict = true
		m.bytes -= int64(len(t.index.slots)) * 8
		t.index, t.again = index{}, ""
	}
}

// code returns the code of b, a new one if need be.
func (t *text) code(s *strs, m *memory, b []byte) uint32 {
	h := m.hash.bytes(b)
	for c, at := t.index.find(h, 0); at != 0; c, at = t.index.find(h, at) {
		if s.dict[c] == string(b) {
			t.again, t.againNum = s.dict[c], c
			return c
		}
	}
	c := uint32(len(s.dict))
	_, str := m.arena.add(b, &m.bytes)
	before := cap(s.dict)
	s.dict = append(s.dict, str)
	m.bytes += int64(cap(s.dict)-before) * 16
	t.index.add(h, c, &m.bytes)
	return c
}

// memory is what all columns of a segment share.
type memory struct {
	arena *arena
	bytes int64 // memory taken by columns, tables and the arena
	hash  hasher
}
