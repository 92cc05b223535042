package random

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// Search makes up a valid search.
func Search(r *rand.Rand) *traceql.Query { return valid(r, search) }

// Metrics makes up a valid metrics query.
func Metrics(r *rand.Rand) *traceql.Query { return valid(r, metrics) }

func valid(r *rand.Rand, text func(*rand.Rand) string) *traceql.Query {
	for {
		if q, err := traceql.Parse(text(r)); err == nil {
			return q
		}
	}
}

func search(r *rand.Rand) string {
	if chance(r, 8) {
		q := operand(r)
		for n := 1 + r.IntN(2); n > 0; n-- {
			q += " " + oneOf(r, spansetOps) + " " + operand(r)
		}
		return q
	}
	return pipeline(r, true)
}

func operand(r *rand.Rand) string { return "(" + pipeline(r, chance(r, 70)) + ")" }

var spansetOps = []string{"&&", "||", ">", ">>", "<", "<<", "~", "!>", "!>>", "!<", "!<<", "!~", "&>", "&>>", "&<",
	"&<<", "&~"}

// pipeline makes up stages; bare ones may be a filter only.
func pipeline(r *rand.Rand, more bool) string {
	stages := []string{spanset(r, 2)}
	if chance(r, 4) {
		stages = nil
	}
	for more && (chance(r, 40) || len(stages) == 0) {
		stages = append(stages, stage(r))
	}
	if len(stages) == 0 {
		return "{ }"
	}
	return strings.Join(stages, " | ")
}

func stage(r *rand.Rand) string {
	switch r.IntN(11) {
	case 0:
		return spanset(r, 1)
	case 1, 2:
		return "by(" + oneOf(r, []func(*rand.Rand) string{field, field, numberOf, condition})(r) + ")"
	case 3:
		return "select(" + fields(r) + ")"
	case 4:
		return "coalesce()"
	case 5, 6:
		return fmt.Sprintf("count() %s %s", oneOf(r, orders), few(r, []string{"1", "2", "3", "0", "1.5", "-1"}))
	}
	return fmt.Sprintf("%s(%s) %s %s", oneOf(r, []string{"min", "max", "avg", "sum"}), numberOf(r), oneOf(r, orders),
		numberLiteral(r))
}

func fields(r *rand.Rand) string {
	list := []string{field(r)}
	for chance(r, 50) && len(list) < 4 {
		list = append(list, field(r))
	}
	return strings.Join(list, ", ")
}

func spanset(r *rand.Rand, depth int) string {
	if depth > 0 && chance(r, 35) {
		q := spanset(r, depth-1) + " " + oneOf(r, spansetOps) + " " + spanset(r, depth-1)
		if depth == 1 || chance(r, 30) {
			return "(" + q + ")"
		}
		return q
	}
	if chance(r, 20) {
		return "{ }"
	}
	return "{ " + boolean(r, 2) + " }"
}

var (
	orders = []string{"=", "!=", "<", "<=", ">", ">="}
	arith  = []string{"+", "-", "*", "/", "%", "^"}
)

// boolean makes up what stands in braces.
func boolean(r *rand.Rand, depth int) string {
	if depth == 0 {
		return condition(r)
	}
	switch r.IntN(12) {
	case 0, 1, 2:
		return boolean(r, depth-1) + " && " + boolean(r, depth-1)
	case 3, 4:
		return boolean(r, depth-1) + " || " + boolean(r, depth-1)
	case 5:
		return "!(" + boolean(r, depth-1) + ")"
	case 6:
		return "(" + boolean(r, depth-1) + ")"
	case 7:
		return few(r, []string{"true", "false", constant(r), "(" + condition(r) + ") = true", "(" +
			boolean(r, depth-1) + ") != (" + condition(r) + ")"})
	}
	return condition(r)
}

// regex makes up a regular expression: a common one, or odd pieces.
func regex(r *rand.Rand) string {
	if chance(r, 50) {
		return oneOf(r, []string{".*", "x|y", "G.*", "(?i)post.*", "", "[0-9]+", ".", ".*T", ".*/.*", "GET|POST|x"})
	}
	var b strings.Builder
	for n := 1 + r.IntN(4); n > 0; n-- {
		b.WriteString(oneOf(r, []string{".*", ".", "x", "y", "G", "ET", "PO", "ST", "cart", " ", "/", "500", "ü",
			"[a-z]", "[^x]", "(x|y)", "(PO|GE)", "x?", "[0-9]*", "^", "$", "\\n", "\\s", "(?i:g)", "n{1}",
			".+", "()", "|"}))
	}
	return b.String()
}

// constant makes up something that depends on no span.
func constant(r *rand.Rand) string {
	one := func() string {
		return oneOf(r, []string{"true", "false", "!true", "1 = 1.0", "2 ^ 3 = 8", "1 / 0 = 1", "\"a\" < \"b\"",
			"-1 ^ -1 = -1", "1s = 1e9", "7 % 4 > 3", "error = error", "nil = nil"})
	}
	return "(" + one() + oneOf(r, []string{" && ", " || "}) + one() + ")"
}

func condition(r *rand.Rand) string {
	switch r.IntN(16) {
	case 0:
		return attribute(r, anyKeys) + " " + oneOf(r, []string{"=", "!="}) + " nil"
	case 1:
		return field(r) + oneOf(r, []string{" = nil", " != nil"})
	case 2:
		return oneOf(r, []string{"", "!"}) + attribute(r, boolKeys)
	case 3, 4:
		return stringField(r) + " " + oneOf(r, []string{"=~", "!~"}) + " " + "`" + regex(r) + "`"
	case 5:
		return enum(r)
	case 6, 7, 8:
		return stringField(r) + " " + few(r, orders) + " " + quoted(few(r, strs))
	case 9:
		return numberOf(r) + " " + oneOf(r, orders) + " " + numberOf(r)
	case 10:
		return field(r) + " " + oneOf(r, orders) + " " + field(r)
	case 11:
		return numberLiteral(r) + " " + oneOf(r, orders) + " " + numberOf(r)
	case 12:
		return attribute(r, oneOf(r, [][]string{intKeys, stringKeys, floatKeys, boolKeys, anyKeys})) + " " +
			few(r, orders) + " " + literal(r)
	case 13:
		return id(r)
	case 14:
		return "parent.resource.service.name " + oneOf(r, []string{"=", "!=", ">"}) + " " +
			oneOf(r, []string{"resource.service.name", "nil", quoted(few(r, strs))})
	}
	return numberOf(r) + " " + oneOf(r, orders) + " " + numberLiteral(r)
}

func id(r *rand.Rand) string {
	return few(r, []string{"trace:id = \"" + traceID(r, 1+r.IntN(3)).Short() + "\"", "trace:id != \"000" +
		traceID(r, 1).Short() + "\"",
		"span:id = \"" + spanID(r.IntN(4)).String() + "\"", "span:parentID = \"" + spanID(r.IntN(4)).String() + "\"",
		"span:parentID != \"0000000000000000\"", "link:spanID = \"" + spanID(r.IntN(4)).String() + "\"",
		"link:traceID = \"0" + traceID(r, 1+r.IntN(3)).String() + "\"", "trace:id =~ `7.*`", "span:id < \"5\"",
		"trace:id = \"" + strings.ToUpper(traceID(r, 1+r.IntN(3)).String()) + "\"", "span:id != \"" +
			strings.ToUpper(strings.TrimLeft(spanID(r.IntN(4)).String(), "0")) + "\"",
		"link:spanID = \"" + strings.TrimLeft(spanID(r.IntN(4)).String(), "0") + "\""})
}

func enum(r *rand.Rand) string {
	if chance(r, 50) {
		return oneOf(r, []string{"status", "span:status"}) + oneOf(r, []string{" = ", " != "}) +
			oneOf(r, []string{"error", "ok", "unset"})
	}
	return "kind" + oneOf(r, []string{" = ", " != "}) + oneOf(r,
		[]string{"server", "client", "internal", "unspecified", "producer"})
}

func literal(r *rand.Rand) string {
	switch r.IntN(5) {
	case 0:
		return quoted(few(r, strs))
	case 1:
		return oneOf(r, []string{"true", "false"})
	case 2:
		return oneOf(r, []string{"error", "server"})
	}
	return numberLiteral(r)
}

func numberLiteral(r *rand.Rand) string {
	return few(r, []string{"1", "2", "0", "500", "10ms", "1ms", "0.5", "-5", "1.0", "2.5", "1s", "100ms", "3", "minInt",
		"9007199254740993", "1e6", "0s", "0.0"})
}

func quoted(v any) string { return fmt.Sprintf("%q", v) }

// attribute makes up an attribute of any scope, the own and the unscoped ones more often.
func attribute(r *rand.Rand, keys []string) string {
	key := few(r, keys)
	if strings.Contains(key, " ") {
		key = `"` + key + `"`
	}
	return few(r, []string{"span.", ".", "resource.", "event.", "instrumentation.", "link."}) + key
}

func stringField(r *rand.Rand) string {
	if chance(r, 45) {
		return oneOf(r, []string{"name", "name", "resource.service.name", ".service.name", "rootName",
			"rootServiceName", "statusMessage", "event:name", "event:name",
			"instrumentation:name", "instrumentation:version"})
	}
	return attribute(r, stringKeys)
}

// numberOf makes up a number that depends on the span.
func numberOf(r *rand.Rand) string {
	switch r.IntN(12) {
	case 0:
		return "(" + numberOf(r) + " " + oneOf(r, arith) + " " +
			oneOf(r, []string{"1", "2", "0", "0.5", "-1", "-2", "10ms"}) + ")"
	case 1:
		return "(" + numberOf(r) + " " + oneOf(r, arith) + " " + numberOf(r) + ")"
	case 2:
		return "(-" + attribute(r, intKeys) + ")"
	case 3, 4, 5:
		return oneOf(r, []string{"duration", "duration", "traceDuration", "span:childCount", "nestedSetLeft",
			"nestedSetRight", "nestedSetParent", "event:timeSinceStart"})
	case 6:
		return attribute(r, floatKeys)
	case 7:
		return attribute(r, anyKeys)
	}
	return attribute(r, intKeys)
}

func field(r *rand.Rand) string {
	switch r.IntN(4) {
	case 0:
		return stringField(r)
	case 1:
		return oneOf(r, []string{"status", "kind", "duration", "span:childCount", "span:parentID", "nestedSetParent",
			"trace:id", "link:spanID", "link:traceID", "event:timeSinceStart",
			"traceDuration"})
	}
	return attribute(r, oneOf(r, [][]string{intKeys, stringKeys, floatKeys, boolKeys, anyKeys}))
}

// metrics makes up a metrics query: one function, or arithmetic on several.
func metrics(r *rand.Rand) string {
	q := function(r)
	if chance(r, 20) && !strings.Contains(q, "compare(") {
		other := "(" + function(r) + ")"
		if chance(r, 30) {
			other = few(r, []string{"2", "0", "0.5", "(1 / 2)", "-1", "1e300"})
		}
		q, other = "("+q+")", oneOf(r, []string{" + ", " - ", " * ", " / "})+other
		q += other
	}
	for chance(r, 20) {
		q += few(r, []string{" | topk(2)", " | bottomk(1)", " > 1", " != 0", " <= 2.5", " >= 10ms", " | topk(1)"})
	}
	return q
}

func function(r *rand.Rand) string {
	p := pipeline(r, chance(r, 25))
	by := ""
	if chance(r, 55) {
		by = " by (" + fields(r) + ")"
	}
	switch r.IntN(12) {
	case 0, 1:
		return p + " | rate()" + by
	case 2, 3:
		return p + " | count_over_time()" + by
	case 4:
		return p + " | quantile_over_time(" + measured(r) + ", " +
			few(r, []string{"0.5", "0.9, .5", "0", "1", "0.25, 0.75, 1"}) + ")" + by
	case 5:
		return p + " | histogram_over_time(" + measured(r) + ")" + by
	case 6:
		return p + " | compare({ " + boolean(r, 1) + " }" + few(r,
			[]string{"", ", 2", ", 1", fmt.Sprintf(", 3, %d, %d", int64(Base+10e9), int64(Base+100e9))}) + ")"
	}
	return p + " | " + oneOf(r, []string{"min", "max", "sum", "avg"}) + "_over_time(" + measured(r) + ")" + by
}

// measured makes up a field that is usually a number.
func measured(r *rand.Rand) string {
	if chance(r, 15) {
		return field(r)
	}
	return oneOf(r, []string{"duration", "duration", "duration", attribute(r, intKeys), attribute(r, intKeys),
		attribute(r, floatKeys), "span:childCount", "event:timeSinceStart"})
}

// Filter makes up the filter of an autocomplete request: nil, or one filter. It asks nothing of the
// trace as a whole: under such a filter names and values are looked up in each home by itself.
func Filter(r *rand.Rand) *traceql.Query {
	if chance(r, 30) {
		return nil
	}
	for {
		q := valid(r, func(r *rand.Rand) string { return "{ " + boolean(r, 1) + " }" })
		if !ofTrace(q.String()) {
			return q
		}
	}
}

// ofTrace says whether a text names a field whose value depends on other spans of the trace.
func ofTrace(text string) bool {
	return slices.ContainsFunc(
		[]string{"rootName", "rootServiceName", "traceDuration", "childCount", "nestedSet", "parent."},
		func(f string) bool { return strings.Contains(text, f) })
}

// Field makes up a field whose values are to be listed; none of the trace as a whole.
func Field(r *rand.Rand) *traceql.Field {
	for {
		if f, err := traceql.ParseField(field(r)); err == nil && !ofTrace(f.String()) {
			return f
		}
	}
}

// Counting makes up a metrics query that counts spans.
func Counting(r *rand.Rand) *traceql.Query {
	return valid(r, func(r *rand.Rand) string {
		q := pipeline(r, chance(r, 25)) + oneOf(r, []string{" | count_over_time()", " | histogram_over_time(duration)"})
		if chance(r, 50) {
			q += " by (" + fields(r) + ")"
		}
		return q
	})
}
