package traceql

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// SyntaxError says where and why a query does not parse or does not make sense. Its text is meant
// for clients.
type SyntaxError struct {
	Line, Column int // from 1; columns count characters
	Message      string
	Semantic     bool // the grammar is met; types or rules are not
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("parse error at line %d, col %d: %s", e.Line, e.Column, e.Message)
}

// errorAt returns the error for the byte offset pos of q.
func errorAt(q string, pos int, semantic bool, format string, args ...any) *SyntaxError {
	pos = min(max(pos, 0), len(q))
	before := q[:pos]
	line := 1 + strings.Count(before, "\n")
	col := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return &SyntaxError{Line: line, Column: col, Message: fmt.Sprintf(format, args...), Semantic: semantic}
}
