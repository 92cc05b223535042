package blockbuilder

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// asideRecord is one line of an object of records that were set aside. Format:
// docs/format/set-aside.md.
type asideRecord struct {
	Epoch     string    `json:"epoch"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Tenant    string    `json:"tenant"`
	Format    string    `json:"format"`
	Parts     int32     `json:"parts"`
	Arrival   time.Time `json:"arrival"`
	Reason    string    `json:"reason"`
	Value     []byte    `json:"value"`
}

// asideObjectBytes is the size past which another object is begun.
const asideObjectBytes = 4 << 20

// readBytes is the size of one read of the log, to find the bytes of records that were set aside.
const readBytes = 1 << 20

// keepAside writes the records that the cut has in no table to the bucket, and returns what the
// catalog is told of them. When the build sets the cut aside these are all of its records.
func (b *cutBuild) keepAside(ctx context.Context) ([]*blocks.SetAside, error) {
	cut := b.job.cut
	if b.job.aside == "" && len(cut.Aside) == 0 {
		return nil, nil
	}
	defer b.waited.startWait(b.deps.Clock)()
	w := &asideWriter{bucket: b.deps.Bucket, job: b.job, reasons: map[int64]string{}}
	for _, r := range cut.Aside {
		w.reasons[r.Offset] = r.Reason
	}
	next := w.firstOffset(cut.From)
	for next < cut.To {
		batch, err := b.deps.Log.Read(ctx, b.job.partition, next, readBytes, 0)
		if err != nil {
			return nil, fmt.Errorf("read from offset %d: %w", next, err)
		}
		if len(batch.Records) == 0 && batch.Next <= next {
			return nil, fmt.Errorf("read from offset %d: the log has no record there", next)
		}
		for _, r := range batch.Records {
			if err := w.takeRecord(ctx, r); err != nil {
				return nil, err
			}
		}
		next = w.firstOffset(max(batch.Next, next+1))
	}
	if n := len(w.reasons); n > 0 {
		return nil, fmt.Errorf("the log has %d of %d records no more", n, len(cut.Aside))
	}
	if err := w.flush(ctx); err != nil {
		return nil, err
	}
	return jobs.SummarizeSetAside(b.job.epoch, b.job.partition, append(w.added, cut.Aside...)), nil
}

// asideFolder returns the folder of a partition's records that were set aside. An epoch that cannot
// be the name of a folder is written in hexadecimal.
func asideFolder(epoch string, partition int32) string {
	name := fmt.Sprintf("%s-%d", epoch, partition)
	if objstore.CheckName(name) != nil || strings.Contains(name, "/") {
		name = fmt.Sprintf("%s-%d", hex.EncodeToString([]byte(epoch)), partition)
	}
	return "set-aside/" + name + "/"
}

// asideWriter writes records to objects, each named by the offsets of its first and last record and
// by its content: writing the same object again does no harm.
type asideWriter struct {
	bucket  objstore.Bucket
	job     *buildJob
	reasons map[int64]string   // of the records set aside by the live-store that are left to write
	added   []jobs.AsideRecord // by the build

	first, last int64 // offsets in buf
	buf         bytes.Buffer
}

// firstOffset returns the lowest offset from next on of a record to write; the end of the cut when
// there is none.
func (w *asideWriter) firstOffset(next int64) int64 {
	if w.job.aside != "" {
		return next
	}
	list := w.job.cut.Aside
	compare := func(r jobs.AsideRecord, o int64) int { return cmp.Compare(r.Offset, o) }
	i, _ := slices.BinarySearchFunc(list, next, compare)
	if i == len(list) {
		return w.job.cut.To
	}
	return list[i].Offset
}

// takeRecord writes a record if it is one of those that are set aside.
func (w *asideWriter) takeRecord(ctx context.Context, r kafkalog.Record) error {
	reason, known := w.reasons[r.Offset]
	if r.Offset >= w.job.cut.To || !known && w.job.aside == "" {
		return nil
	}
	if !known {
		reason = w.job.aside
		w.added = append(w.added, jobs.AsideRecord{
			Offset:  r.Offset,
			Tenant:  r.Tenant,
			Arrival: r.Time.UnixNano(),
			Reason:  reason,
		})
	}
	delete(w.reasons, r.Offset)
	if w.buf.Len() == 0 {
		w.first = r.Offset
	}
	w.last = r.Offset
	if err := json.NewEncoder(&w.buf).Encode(asideRecord{
		Epoch:     w.job.epoch,
		Partition: w.job.partition,
		Offset:    r.Offset,
		Tenant:    r.Tenant,
		Format:    r.Format,
		Parts:     r.Parts,
		Arrival:   r.Time,
		Reason:    reason,
		Value:     r.Value,
	}); err != nil {
		return fmt.Errorf("encode the record at offset %d: %w", r.Offset, err)
	}
	if w.buf.Len() < asideObjectBytes {
		return nil
	}
	return w.flush(ctx)
}

// flush makes what was taken durable.
func (w *asideWriter) flush(ctx context.Context) error {
	if w.buf.Len() == 0 {
		return nil
	}
	name := fmt.Sprintf("%s%020d-%020d-%08x.jsonl",
		asideFolder(w.job.epoch, w.job.partition), w.first, w.last, crc32.ChecksumIEEE(w.buf.Bytes()))
	_, err := w.bucket.Create(ctx, name, bytes.NewReader(w.buf.Bytes()))
	w.buf.Reset()
	if errors.Is(err, objstore.ErrExists) { // written by an earlier try
		return nil
	}
	return err
}
