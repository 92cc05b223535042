package traceql

// IntrinsicType returns the static type of an intrinsic by its canonical name.
func IntrinsicType(name string) Type {
	switch name {
	case "duration", "traceDuration", "event:timeSinceStart":
		return TypeDuration
	case "status":
		return TypeStatus
	case "kind":
		return TypeKind
	case "span:childCount", "nestedSetLeft", "nestedSetRight", "nestedSetParent":
		return TypeInt
	case "parent":
		return TypeNil
	case "instrumentation:name", "instrumentation:version":
		return TypeDynamic
	}
	return TypeString
}

// canonicalIntrinsic returns the canonical name of the intrinsic that a bare word names, "" if
// there is none.
func canonicalIntrinsic(word string) string {
	switch word {
	case "duration", "name", "status", "statusMessage", "kind", "parent",
		"rootName", "rootServiceName", "traceDuration", "nestedSetLeft", "nestedSetRight", "nestedSetParent":
		return word
	}
	return ""
}

// scopedIntrinsic returns the canonical name of the intrinsic scope:word, "" if there is none.
func scopedIntrinsic(scope, word string) string {
	switch s := scope + ":" + word; s {
	case "span:name", "span:duration", "span:status", "span:statusMessage", "span:kind":
		return word
	case "trace:duration":
		return "traceDuration"
	case "trace:rootName":
		return "rootName"
	case "trace:rootService":
		return "rootServiceName"
	case "trace:id", "resource:id", "span:id", "span:parentID", "span:childCount",
		"event:name", "event:timeSinceStart", "link:traceID", "link:spanID",
		"instrumentation:name", "instrumentation:version":
		return s
	}
	return ""
}

// StatusNumber returns the OTLP number of a status by the word that stands for it in queries.
func StatusNumber(word string) (int64, bool) {
	switch word {
	case "unset":
		return 0, true
	case "ok":
		return 1, true
	case "error":
		return 2, true
	}
	return 0, false
}

// StatusName returns the word of a status by its OTLP number.
func StatusName(n int64) string {
	switch n {
	case 0:
		return "unset"
	case 1:
		return "ok"
	case 2:
		return "error"
	}
	return "unknown"
}

// KindNumber returns the OTLP number of a span kind by the word that stands for it in queries.
func KindNumber(word string) (int64, bool) {
	switch word {
	case "unspecified":
		return 0, true
	case "internal":
		return 1, true
	case "server":
		return 2, true
	case "client":
		return 3, true
	case "producer":
		return 4, true
	case "consumer":
		return 5, true
	}
	return 0, false
}

// KindName returns the word of a span kind by its OTLP number.
func KindName(n int64) string {
	switch n {
	case 0:
		return "unspecified"
	case 1:
		return "internal"
	case 2:
		return "server"
	case 3:
		return "client"
	case 4:
		return "producer"
	case 5:
		return "consumer"
	}
	return "unknown"
}

// isKeyword reports whether a word is reserved.
func isKeyword(w string) bool {
	if canonicalIntrinsic(w) != "" {
		return true
	}
	if _, ok := StatusNumber(w); ok {
		return true
	}
	if _, ok := KindNumber(w); ok {
		return true
	}
	switch w {
	case "true", "false", "nil",
		"id", "traceID", "spanID", "parentID", "childCount", "timeSinceStart", "version", "rootService",
		"count", "avg", "max", "min", "sum", "by", "coalesce", "select", "with",
		"rate", "count_over_time", "min_over_time", "max_over_time", "avg_over_time", "sum_over_time",
		"quantile_over_time", "histogram_over_time", "compare", "topk", "bottomk":
		return true
	}
	return false
}
