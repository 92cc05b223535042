package traceql

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// SyntaxError tells where and why a query does not parse or breaks a rule of the language. Its text
// is meant for clients.
type SyntaxError struct {
	Line, Column int // from 1; columns count characters
	Message      string
	Semantic     bool // the query meets the grammar and breaks a rule beyond it
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("parse error at line %d, col %d: %s", e.Line, e.Column, e.Message)
}

// errorAt returns an error for the byte offset pos of q.
func errorAt(q string, pos int, semantic bool, format string, args ...any) *SyntaxError {
	pos = min(max(pos, 0), len(q))
	before := q[:pos]
	line := 1 + strings.Count(before, "\n")
	col := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return &SyntaxError{Line: line, Column: col, Message: fmt.Sprintf(format, args...), Semantic: semantic}
}
