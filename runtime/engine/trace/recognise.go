package trace

// HoldsSpans reports whether the protobuf bytes of an OTLP export request are of spans. Requests of
// metrics and of logs have the same outer messages, so it looks at the first item: only a span has
// ids of 16 and 8 bytes and a start in a fixed64. It reports false for bytes that it cannot read
// and for a request without items.
func HoldsSpans(request []byte) bool {
	for pos := 0; pos < len(request); {
		num, _, _, group, end := next(request, pos)
		if end < 0 {
			return false
		}
		if item := firstItem(group); num == 1 && item != nil {
			return isSpan(item)
		}
		pos = end
	}
	return false
}

// firstItem returns the first span, metric or log record of one resource's group, nil where there
// is none.
func firstItem(group []byte) []byte {
	const scopeField, itemField = 2, 2
	for pos := 0; pos < len(group); {
		num, wire, _, scope, end := next(group, pos)
		if end < 0 {
			return nil
		}
		if num == scopeField && wire == wireLen {
			for p := 0; p < len(scope); {
				num, wire, _, item, end := next(scope, p)
				if end < 0 {
					return nil
				}
				if num == itemField && wire == wireLen {
					return item
				}
				p = end
			}
		}
		pos = end
	}
	return nil
}

func isSpan(item []byte) bool {
	var traceID, spanID, start bool
	for pos := 0; pos < len(item); {
		num, wire, _, body, end := next(item, pos)
		if end < 0 {
			return false
		}
		switch {
		case num == 1:
			traceID = wire == wireLen && len(body) == 16
		case num == 2:
			spanID = wire == wireLen && len(body) == 8
		case num == 7:
			start = wire == wireI64
		}
		pos = end
	}
	return traceID && spanID && start
}
