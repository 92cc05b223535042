package trace

import "iter"

// OpeningDepths yields the depth behind each opening bracket of a JSON text: 1 for the outermost.
// It does not look whether the text is JSON.
func OpeningDepths(b []byte) iter.Seq[int] {
	return func(yield func(int) bool) {
		depth, text := 0, false
		for i := 0; i < len(b); i++ {
			switch c := b[i]; {
			case text && c == '\\':
				i++
			case c == '"':
				text = !text
			case text:
			case c == '{' || c == '[':
				if depth++; !yield(depth) {
					return
				}
			case c == '}' || c == ']':
				depth--
			}
		}
	}
}

// NestsWithin reports whether the brackets of a JSON text nest no deeper than most.
func NestsWithin(b []byte, most int) bool {
	for depth := range OpeningDepths(b) {
		if depth > most {
			return false
		}
	}
	return true
}
