package trace

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// maxJSONDepth bounds brackets: pdata's decoder recurses, and a stack overflow cannot be recovered from. 100 nested maps need 412.
const maxJSONDepth = 512

// FromJSON turns OTLP/JSON (hex ids, enums by number or name, 64-bit numbers as number or string) into a TracesData message by
// pdata. `null` and `{}` give an empty message; no bytes at all are an error, unknown fields are not. The errors are pdata's, whose
// texts clients know.
func FromJSON(b []byte) (otlp []byte, err error) {
	if !NestsWithin(b, maxJSONDepth) {
		return nil, fmt.Errorf("read JSON: nested deeper than %d", maxJSONDepth)
	}
	defer func() {
		// pdata and the JSON library under it are not ours: a panic of theirs on bytes from outside is the sender's error.
		if p := recover(); p != nil {
			otlp, err = nil, errors.New("read JSON: unexpected structure")
		}
	}()
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(b)
	if err != nil {
		return nil, err
	}
	return (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
}

// NestsWithin reports whether the brackets of a JSON text nest no deeper than most. It does not look whether the text is JSON.
func NestsWithin(b []byte, most int) bool {
	depth, text := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			if depth++; depth > most {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}
