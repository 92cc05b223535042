package trace

// HoldsSpans reports whether the protobuf bytes of an OTLP export request are of spans. Requests of
// metrics and of logs have the same outer messages, so it looks at the first item: only a span has
// ids of 16 and 8 bytes and a start in a fixed64. It reports false for bytes that it cannot read
// and for a request without items.
func HoldsSpans(request []byte) bool {
	for pos := 0; pos < len(request); {
		f, body := readField(request, pos)
		if f.end < 0 {
			return false
		}
		if item := firstItem(body); f.num == 1 && item != nil {
			return isSpan(item)
		}
		pos = f.end
	}
	return false
}

// firstItem returns the first span, metric or log record of one resource's group, nil where there
// is none.
func firstItem(group []byte) []byte {
	const scopeField, itemField = 2, 2
	for pos := 0; pos < len(group); {
		f, scope := readField(group, pos)
		if f.end < 0 {
			return nil
		}
		if f.num == scopeField && f.wire == wireLen {
			for p := 0; p < len(scope); {
				g, body := readField(scope, p)
				if g.end < 0 {
					return nil
				}
				if g.num == itemField && g.wire == wireLen {
					return body
				}
				p = g.end
			}
		}
		pos = f.end
	}
	return nil
}

func isSpan(item []byte) bool {
	var traceID, spanID, start bool
	for pos := 0; pos < len(item); {
		f, body := readField(item, pos)
		if f.end < 0 {
			return false
		}
		switch {
		case f.num == 1:
			traceID = f.wire == wireLen && len(body) == 16
		case f.num == 2:
			spanID = f.wire == wireLen && len(body) == 8
		case f.num == 7:
			start = f.wire == wireI64
		}
		pos = f.end
	}
	return traceID && spanID && start
}
