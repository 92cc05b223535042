package traceql

import "strings"

// Words that may stand where an unknown one was found: as an operand in braces, and as a stage.
const (
	fieldWords = "duration name status statusMessage kind rootName rootServiceName traceDuration " +
		"nestedSetLeft nestedSetRight nestedSetParent " +
		"true false nil ok error unset unspecified internal server client producer consumer minInt maxInt"
	stageWords = "count avg max min sum by coalesce select " +
		"rate count_over_time min_over_time max_over_time avg_over_time sum_over_time " +
		"quantile_over_time histogram_over_time compare topk bottomk with"
)

// scopedWords returns the words that may stand behind a scope and a colon.
func scopedWords(scope string) string {
	switch scope {
	case "trace":
		return "duration rootName rootService id"
	case "span":
		return "name duration status statusMessage kind id parentID childCount"
	case "resource":
		return "id"
	case "event":
		return "name timeSinceStart"
	case "link":
		return "traceID spanID"
	case "instrumentation":
		return "name version"
	}
	return ""
}

// didYouMean returns the end of a message that names the word nearest to an unknown one, "" if none
// is near.
func didYouMean(word, among string) string {
	best, least := "", min(3, (len(word)+2)/3+1)
	for w := range strings.FieldsSeq(among) {
		if d := editDistance(word, w, least); d < least {
			best, least = w, d
		}
	}
	if best == "" || len(word) > 64 {
		return ""
	}
	return ", did you mean " + best + "?"
}

// editDistance returns how many letters must be added, dropped, changed or swapped with the next
// one to turn a into b, regardless of case. If these are not fewer than limit it returns any number
// that is not below limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	a, b = strings.ToLower(a), strings.ToLower(b)
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last = last, row
		row = make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
