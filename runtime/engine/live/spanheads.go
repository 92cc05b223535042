package live

import "github.com/troupe-tracing/troupe/runtime/engine/trace"

// SpanHead is what tells the spans of one trace apart at a glance, with when a span happened and
// where in the log it came.
type SpanHead struct {
	ID         trace.SpanID
	Kind       int32
	Start, End uint64 // unix ns; a span that ends before it starts ends where it starts
	Offset     int64  // of the span's record
}

// TraceID returns the id of a trace by its number: traces are numbered in the order in which they
// came. Only the goroutine that appends may call it.
func (s *Segment) TraceID(number int) trace.ID { return s.traces.at(number) }

// EachMarked calls visit for the rows from one on whose trace has a mark other than 0, in their
// order. The marks are by the number of the trace; traces beyond their end have none. Only the
// goroutine that appends may call it.
func (s *Segment) EachMarked(from int, marks []int32, visit func(row int, mark int32, h SpanHead)) {
	record, row := 0, from
	s.trace.eachPart(from, s.rowCount(), func(part []uint32) {
		for _, t := range part {
			if int(t) < len(marks) && marks[t] != 0 {
				for record+1 < s.records.len() && int(s.records.addressOf(record+1).row) <= row {
					record++
				}
				start := uint64(s.start.at(row))
				visit(row, marks[t], SpanHead{
					ID:     s.id.at(row),
					Kind:   s.heads[s.head.at(row)].kind,
					Start:  start,
					End:    max(start, start+uint64(s.duration.at(row))),
					Offset: s.records.addressOf(record).offset,
				})
			}
			row++
		}
	})
}
