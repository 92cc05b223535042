package trace

import (
	"fmt"
	"strings"
)

// Codes of Reason.
const (
	InvalidID       = "invalid_id"        // a trace id or span id is missing, zero or of a wrong length
	MalformedSpan   = "malformed_span"    // a span, or what it was sent under, is not the message it should be
	SpanTooLarge    = "span_too_large"    // the span and its resource and scope do not fit a record
	TraceTooLarge   = "trace_too_large"   // of a trace in Splitter.Large
	RequestTooLarge = "request_too_large" // large resources, repeated for few spans, exceed Splitter's bound
	OldNames        = "old_names"         // fields of old versions of OTLP, which are not read
	ValuesCut       = "values_cut"        // the largest values of spans or resources were cut
	ValuesNested    = "values_nested"     // values nested too deep were folded into one text
)

// Reason tells why spans were refused, or what was changed in them.
type Reason struct {
	Code  string
	Text  string // for the client, with the place of the first
	Spans int
}

// Losses tells what was not kept as it was sent.
type Losses struct {
	Refused int      // spans
	Reasons []Reason // why they were refused, one for each code
	Changed []Reason // what was kept, but not as it was sent, one for each code; Spans ≥ 1
}

// addRefused notes refused spans. Only the first call for a code keeps the cause, and calls place.
func (l *Losses) addRefused(code string, spans int, place func() string, cause string) {
	l.Refused += spans
	l.Reasons = addReason(l.Reasons, code, spans, place, cause)
}

// addChanged notes spans, or parts of a request, that were changed.
func (l *Losses) addChanged(code string, spans int, place func() string, cause string) {
	l.Changed = addReason(l.Changed, code, spans, place, cause)
}

// addLost notes a part of a request that is left out with its spans. A part without spans counts as
// a change.
func (l *Losses) addLost(code string, spans int, place func() string, cause string) {
	if spans > 0 {
		l.addRefused(code, spans, place, cause)
	} else {
		l.addChanged(code, 1, place, cause)
	}
}

// mergePart adds the losses of a part of the request.
func (l *Losses) mergePart(part Losses) {
	for _, r := range part.Reasons {
		l.addRefused(r.Code, r.Spans, nil, r.Text)
	}
	for _, r := range part.Changed {
		l.addChanged(r.Code, r.Spans, nil, r.Text)
	}
}

// addReason keeps the first text of each code. writeCounts adds the numbers later.
func addReason(list []Reason, code string, spans int, place func() string, cause string) []Reason {
	for i := range list {
		if list[i].Code == code {
			list[i].Spans += spans
			return list
		}
	}
	if place != nil {
		if at := place(); at != "" {
			cause = at + ": " + cause
		}
	}
	return append(list, Reason{Code: code, Text: cause, Spans: spans})
}

// writeCounts writes the numbers of spans in front of the texts. It is called once, at the end.
func (l *Losses) writeCounts() {
	for i := range l.Reasons {
		r := &l.Reasons[i]
		if r.Code == TraceTooLarge {
			continue // its text is the API's, and has the number
		}
		r.Text = fmt.Sprintf("%s refused: %s", spellSpans(r.Spans), r.Text)
	}
	for i := range l.Changed {
		r := &l.Changed[i]
		r.Text = fmt.Sprintf("%s changed: %s", spellSpans(r.Spans), r.Text)
	}
}

func spellSpans(n int) string {
	if n == 1 {
		return "1 span"
	}
	return fmt.Sprintf("%d spans", n)
}

// Message joins the reasons for OTLP's partial success. It is empty if everything was kept as sent.
func (l *Losses) Message() string {
	texts := make([]string, 0, len(l.Reasons)+len(l.Changed))
	for _, r := range l.Reasons {
		texts = append(texts, r.Text)
	}
	for _, r := range l.Changed {
		texts = append(texts, r.Text)
	}
	return strings.Join(texts, "; ")
}
