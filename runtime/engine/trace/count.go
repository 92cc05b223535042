package trace

// CountSpans counts the spans of a TracesData message by its structure alone, without looking into
// them. It stops counting at malformed bytes.
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

// eachSpan calls f with the body of each span, as far as the message is well-formed.
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

// countInResource counts the spans of a ResourceSpans, as far as it is well-formed.
func countInResource(b []byte) (n int) {
	eachOfResource(b, func([]byte) { n++ })
	return n
}

// countInScope counts the spans of a ScopeSpans, as far as it is well-formed.
func countInScope(b []byte) (n int) {
	eachField(b, 2, func([]byte) { n++ })
	return n
}

// eachField calls visit with the body of each length-delimited field that has the given number, up
// to the first malformed field.
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
