package distributor

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// logWriter writes requests to the log. It runs on the pool, for several requests at a time.
type logWriter struct {
	cfg      Config
	log      kafkalog.Log
	clock    clock.Clock
	metrics  *Metrics
	refusals *refusals.Refusals
}

// written is the outcome of a request.
type written struct {
	reply any   // *ingest.PushSpansReply or *status.Error
	acks  []ack // what is in the log now, whatever the reply
	fail  error // the log takes nothing until it is opened again
}

// writeSpans splits a request by partition and appends it to the log. It returns when all of it is
// durable or something has failed. A request that fails half-way is refused as a whole: its client
// sends it again, and readers remove duplicates. Spans of traces in large are refused.
// Next: runtime/storage/kafkalog, and when the log has the records, actors/livestore.
func (w *logWriter) writeSpans(ctx context.Context, large map[trace.ID]struct{}, m *ingest.PushSpans) written {
	sp := trace.Splitter{
		MaxRecordBytes: int(w.cfg.MaxRecordBytes),
		MaxSpanBytes:   int(w.cfg.MaxSpanBytes),
		MaxHeadBytes:   int(w.cfg.MaxResourceBytes),
		Parts:          w.log.Partitions(),
		Large:          large,
	}
	split, err := sp.Split(m.Tenant, m.Otlp)
	if err != nil {
		refused := status.Errorf(status.Invalid, "%w", err)
		countRefused(w.refusals, m, refusals.Malformed, refused)
		return written{reply: refused}
	}
	acks, err := w.appendParts(ctx, m.Tenant, split.Parts)
	if err != nil {
		out := w.refuseFailed(m, err)
		out.acks = acks
		return out
	}
	w.countTaken(m, &split)
	return written{acks: acks, reply: &ingest.PushSpansReply{
		Spans:    int64(split.Spans),
		Rejected: int64(split.Refused),
		Message:  split.Message(),
	}}
}

// appendParts appends the parts of a request to the partitions. It returns what is in the log, also
// when another partition has failed.
func (w *logWriter) appendParts(ctx context.Context, tenant string, parts []trace.Part) ([]ack, error) {
	now, partitions := w.clock.Now(), int32(w.log.Partitions())
	records := map[int32][]kafkalog.Record{}
	bytes := map[int32]int64{}
	for _, p := range parts {
		records[p.Partition] = append(records[p.Partition], kafkalog.Record{
			Tenant: tenant,
			Format: kafkalog.FormatOTLP,
			Parts:  partitions,
			Time:   now,
			Value:  p.Value,
		})
		bytes[p.Partition] += int64(len(p.Value))
	}
	next, err := kafkalog.AppendAll(ctx, w.log, records)
	var acks []ack
	for p, n := range next {
		acks = append(acks, ack{partition: p, entry: entry{next: n, bytes: bytes[p]}})
	}
	return acks, err
}

// refuseFailed tells errors after which nothing was written to the log from those after which the
// records may have been written: these may be found later although the request was refused.
func (w *logWriter) refuseFailed(m *ingest.PushSpans, err error) (out written) {
	const text = "append to the log: %w"
	refused, reason := status.Errorf(status.Unavailable, text, err), refusals.LogFailed
	switch {
	case errors.Is(err, kafkalog.ErrDiskFull):
		refused, reason = status.Limitedf(w.cfg.RetryAfter, text, err), refusals.DiskFull
	case errors.Is(err, kafkalog.ErrFull):
		refused, reason = status.Limitedf(w.cfg.RetryAfter, text, err), refusals.LogFull
	case errors.Is(err, kafkalog.ErrTooLarge):
		refused, reason = status.Errorf(status.Invalid, text, err), refusals.MessageTooLarge
	case errors.Is(err, kafkalog.ErrFailed):
		out.fail = fmt.Errorf(text, err)
	}
	countRefused(w.refusals, m, reason, refused)
	out.reply = refused
	return out
}

// countTaken counts a request that is in the log, and the spans of it that were left out or cut.
func (w *logWriter) countTaken(m *ingest.PushSpans, split *trace.Split) {
	label := w.refusals.Tenants().Grant(m.Tenant)
	w.metrics.spans.WithLabelValues(label).Add(float64(split.Spans - split.Refused))
	w.metrics.bytes.WithLabelValues(label).Add(float64(len(m.Otlp)))
	for _, r := range split.Reasons {
		w.refusals.CountSpans(m.Tenant, refusals.Reason(r.Code), int64(r.Spans), r.Text)
	}
	for _, r := range split.Changed {
		w.refusals.CountWarning(m.Tenant, refusals.Reason(r.Code), int64(r.Spans), r.Text)
	}
}

// countRefused counts a request that is refused as a whole. A tenant whose request has spans gets a
// label of its own.
func countRefused(f *refusals.Refusals, m *ingest.PushSpans, reason refusals.Reason, refused error) {
	spans := int64(trace.CountSpans(m.Otlp))
	if spans > 0 && reason != refusals.Malformed {
		f.Tenants().Grant(m.Tenant)
	}
	f.CountRequest(m.Tenant, reason, spans, refused.Error())
}
