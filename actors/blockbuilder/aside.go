package blockbuilder

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// asideRecord is a line of an object of set-aside records. Format: docs/format/set-aside.md.
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

// asideObject is the size in bytes past which another object is begun.
const asideObject = 4 << 20

// keepAside writes the records of the cut that are in no table to the bucket, and returns what the
// catalog is to say of them. Where the build sets the cut aside it is all of its records.
func (d Deps) keepAside(ctx context.Context, b *buildJob, waited *storageTime) ([]*blocks.SetAside, error) {
	list := b.cut.Aside
	if b.aside == "" && len(list) == 0 {
		return nil, nil
	}
	defer waited.begin(d.Clock)()
	o := &asideWriter{deps: d, prefix: asideFolder(b.epoch, b.partition)}
	known := map[int64]string{} // reasons
	for _, r := range list {
		known[r.Offset] = r.Reason
	}
	var more []jobs.AsideRecord
	next, at := b.cut.From, 0
	for next < b.cut.To {
		if b.aside == "" {
			for at < len(list) && list[at].Offset < next {
				at++
			}
			if at == len(list) {
				break
			}
			next = list[at].Offset
		}
		batch, err := d.Log.Read(ctx, b.partition, next, 1<<20, 0)
		if err != nil {
			return nil, fmt.Errorf("read from offset %d: %w", next, err)
		}
		if len(batch.Records) == 0 && batch.Next <= next {
			return nil, fmt.Errorf("read from offset %d: the log has no record there", next)
		}
		for _, r := range batch.Records {
			reason, ok := known[r.Offset]
			if r.Offset >= b.cut.To || !ok && b.aside == "" {
				continue
			}
			if !ok {
				reason = b.aside
				more = append(more, jobs.AsideRecord{Offset: r.Offset, Tenant: r.Tenant, Arrival: r.Time.UnixNano(), Reason: reason})
			}
			if err := o.add(ctx, b, r, reason); err != nil {
				return nil, err
			}
			delete(known, r.Offset)
		}
		next = max(batch.Next, next+1)
	}
	if len(known) > 0 {
		return nil, fmt.Errorf("the log has %d of %d records no more", len(known), len(list))
	}
	if err := o.close(ctx); err != nil {
		return nil, err
	}
	return jobs.SetAside(b.epoch, b.partition, append(more, list...)), nil
}

// asideFolder is where records of a partition go that were set aside. An epoch that is no name of a
// folder is written in hexadecimal.
func asideFolder(epoch string, partition int32) string {
	name := fmt.Sprintf("%s-%d", epoch, partition)
	if objstore.CheckName(name) != nil || strings.Contains(name, "/") {
		name = fmt.Sprintf("%s-%d", hex.EncodeToString([]byte(epoch)), partition)
	}
	return "set-aside/" + name + "/"
}

// asideWriter writes records to objects, each named by the offsets of its first and last record and
// by its content: to write the same again does no harm.
type asideWriter struct {
	deps        Deps
	prefix      string
	first, last int64
	buf         bytes.Buffer
}

func (w *asideWriter) add(ctx context.Context, b *buildJob, r kafkalog.Record, reason string) error {
	if w.buf.Len() == 0 {
		w.first = r.Offset
	}
	w.last = r.Offset
	if err := json.NewEncoder(&w.buf).Encode(asideRecord{Epoch: b.epoch, Partition: b.partition, Offset: r.Offset, Tenant: r.Tenant, Format: r.Format, Parts: r.Parts,
		Arrival: r.Time, Reason: reason, Value: r.Value}); err != nil {
		return fmt.Errorf("encode the record at offset %d: %w", r.Offset, err)
	}
	if w.buf.Len() < asideObject {
		return nil
	}
	return w.close(ctx)
}

// close makes what was added durable.
func (w *asideWriter) close(ctx context.Context) error {
	if w.buf.Len() == 0 {
		return nil
	}
	name := fmt.Sprintf("%s%020d-%020d-%08x.jsonl", w.prefix, w.first, w.last, crc32.ChecksumIEEE(w.buf.Bytes()))
	_, err := w.deps.Bucket.Create(ctx, name, bytes.NewReader(w.buf.Bytes()))
	w.buf.Reset()
	if errors.Is(err, objstore.ErrExists) { // of an earlier try
		return nil
	}
	return err
}
