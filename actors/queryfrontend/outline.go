package queryfrontend

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/engine/long"
)

// outline is the outline of a trace on its way to a client. It is delivered as the chunks of a
// trace are.
type outline struct {
	long.Outline
	hasHeader bool                 // it is in a part that was written
	at        long.OutlinePosition // where the next part begins
}

// outlinePart is about how many bytes of an outline are written at a time.
const outlinePart = 4 << 20

// bytes returns about how much memory the order of the trace takes.
func (o *ordered) bytes() int64 {
	if o.outline != nil {
		return o.outline.Bytes()
	}
	return o.index.Bytes()
}

// refuseOutline ends a query for an outline that is too large.
func (c *course) refuseOutline(limit string, most int64) *step {
	return limitHit(limit, "the outline of the trace, of which %d spans are read, needs more than %d bytes of memory; "+
		"read the trace in pages with /api/v2/traces/%s?page_bytes=…", c.ordered.index.Spans(), most, c.query.Trace)
}

// readOutline writes the next part of the outline, if there is one. Everything has been read by
// now, so its header says what the answer lacks.
func (c *course) readOutline() step {
	o := c.ordered.outline
	if o.hasHeader && o.IsEnd(o.at) {
		c.delivery.atEnd = true
		return c.deliverChunk()
	}
	c.phase = writing
	t := outlineTask{outline: &o.Outline, at: o.at}
	if !o.hasHeader {
		warnings := c.missing.listWarnings()
		t.header = &long.OutlineAbout{
			TraceID:   *c.query.Trace,
			Complete:  len(warnings) == 0,
			Warnings:  warnings,
			Watermark: c.answer.Watermark,
		}
	}
	return c.queueJobs([]job{{task: t}})
}

// outlineTask writes a part of an outline. Its reply is a writtenPart.
type outlineTask struct {
	slotTask
	outline *long.Outline
	header  *long.OutlineAbout // nil: it was written
	at      long.OutlinePosition
}

type writtenPart struct {
	bytes []byte
	next  long.OutlinePosition
}

func (t outlineTask) run(context.Context) (_ any, err error) {
	b := make([]byte, 0, outlinePart+outlinePart/8)
	if t.header != nil {
		if b, err = t.outline.AppendHeader(b, *t.header); err != nil {
			return nil, err
		}
	}
	b, next := t.outline.AppendColumns(b, t.at, outlinePart)
	return writtenPart{b, next}, nil
}

func (t outlineTask) takeReply(c *course, reply any) *step {
	m, ok := reply.(writtenPart)
	if !ok {
		return unexpectedReply(t, reply)
	}
	c.ordered.outline.hasHeader, c.ordered.outline.at = true, m.next
	c.delivery.ready = m.bytes
	return nil
}

func (t outlineTask) takeFailure(_ *course, err error) *step { return &step{fail: err} }
