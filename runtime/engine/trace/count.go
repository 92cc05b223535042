package trace

// CountSpans counts the spans of a TracesData message by its structure alone, without looking into
// them. Of bytes that are no such message it counts what can be counted.
func CountSpans(otlp []byte) (n int) {
	eachSpan(otlp, func([]byte) { n++ })
	return n
}

// SpanSizes calls f with the trace id and the bytes of each span of a TracesData message, in order,
// as far as it is well-formed. Spans without a trace id are left out.
func SpanSizes(otlp []byte, f func(id ID, bytes int)) {
	eachSpan(otlp, func(span []byte) {
		var id ID
		eachField(span, 1, func(b []byte) {
			if len(b) == len(id) {
				copy(id[:], b)
			}
		})
		if !id.IsZero() {
			f(id, len(span))
		}
	})
}

func eachSpan(otlp []byte, f func(span []byte)) {
	eachField(otlp, 1, func(resourceSpans []byte) { eachOfResource(resourceSpans, f) })
}

func eachOfResource(resourceSpans []byte, f func(span []byte)) {
	found := false
	eachField(resourceSpans, 2, func(scopeSpans []byte) {
		found = true
		eachField(scopeSpans, 2, f)
	})
	if !found {
		eachField(resourceSpans, oldScopeSpans, func(scopeSpans []byte) { eachField(scopeSpans, 2, f) })
	}
}

// countInResource and countInScope count the spans of a ResourceSpans and of a ScopeSpans, as far
// as they are well-formed.

func countInResource(b []byte) (n int) {
	eachOfResource(b, func([]byte) { n++ })
	return n
}

func countInScope(b []byte) (n int) {
	eachField(b, 2, func([]byte) { n++ })
	return n
}

// eachField calls visit with the body of each field of a number, up to the first malformed one.
func eachField(b []byte, number uint32, visit func(body []byte)) {
	for pos := 0; pos < len(b); {
		f, body := readField(b, pos)
		if f.end < 0 {
			return
		}
		if f.num == number && f.wire == wireLen {
			visit(body)
		}
		pos = f.end
	}
}
