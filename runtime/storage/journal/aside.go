package journal

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// Salvaged is the readable rest of a damaged journal.
type Salvaged struct {
	Snapshot    []byte // the newest that is whole; nil: none
	SnapshotSeq uint64
	// Entries are those that are whole, in order. Some may be missing between them, and some may be
	// older than the snapshot.
	Entries []Entry
	Last    uint64 // the newest number that is taken, by an object that may be damaged
}

// Entry is one entry and its number.
type Entry struct {
	Seq  uint64
	Data []byte
}

// Salvage reads the parts of a journal that are whole.
func (j *Journal) Salvage(ctx context.Context) (out Salvaged, err error) {
	snapshots, err := j.listNumbers(ctx, j.prefix+"snapshot/")
	if err != nil {
		return out, err
	}
	for i := len(snapshots) - 1; i >= 0 && out.Snapshot == nil; i-- {
		s, err := j.readSnapshot(ctx, snapshots[i])
		if err != nil && !isLost(err) {
			return out, err
		}
		if err == nil {
			out.Snapshot, out.SnapshotSeq = s.data, snapshots[i]
		}
		out.Last = max(out.Last, snapshots[i])
	}
	entries, err := j.listNumbers(ctx, j.prefix)
	if err != nil {
		return out, err
	}
	for _, seq := range entries {
		data, err := j.readObject(ctx, j.entryName(seq))
		if err != nil && !isLost(err) {
			return out, err
		}
		if err == nil {
			out.Entries = append(out.Entries, Entry{seq, data})
		}
		out.Last = max(out.Last, seq)
	}
	return out, nil
}

// isLost reports whether the error means that an object can never be read again. Other errors mean
// that the store does not answer now.
func isLost(err error) bool {
	return errors.Is(err, ErrCorrupt) ||
		errors.Is(err, objstore.ErrNotFound) ||
		errors.Is(err, objstore.ErrTooLarge)
}

// Remake begins a damaged journal anew with a snapshot of the state after entry seq, which is above
// all numbers that are taken. Then it moves the older objects below the prefix to, and returns how
// many it has moved. After any error the journal is either as it was or begins with the snapshot.
func (j *Journal) Remake(ctx context.Context, seq uint64, snapshot []byte, to string) (int, error) {
	if err := j.createSnapshot(ctx, seq, snapshot); err != nil {
		return 0, err
	}
	names, err := j.namesBefore(ctx, seq)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		r := &objectReader{ctx: ctx, bucket: j.bucket, name: name}
		_, err := j.bucket.Create(ctx, to+name[len(j.prefix):], r)
		if err != nil && !errors.Is(err, objstore.ErrExists) {
			return 0, fmt.Errorf("set journal %s aside: %w", j.prefix, err)
		}
	}
	for _, name := range names {
		if err := j.bucket.Delete(ctx, name); err != nil {
			return 0, fmt.Errorf("set journal %s aside: %w", j.prefix, err)
		}
	}
	return len(names), nil
}

// namesBefore lists all objects of snapshots and entries before seq.
func (j *Journal) namesBefore(ctx context.Context, seq uint64) (names []string, err error) {
	for _, prefix := range []string{j.prefix + "snapshot/", j.prefix} {
		numbers, err := j.listNumbers(ctx, prefix)
		if err != nil {
			return nil, err
		}
		for _, n := range numbers {
			if n < seq {
				names = append(names, fmt.Sprintf("%s%020d", prefix, n))
			}
		}
	}
	parts, err := j.listParts(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		if p.seq < seq {
			names = append(names, p.name)
		}
	}
	return names, nil
}

// Newer reports whether another writer has written an entry after seq.
func (j *Journal) Newer(ctx context.Context, seq uint64) (bool, error) {
	_, err := j.bucket.ReadRange(ctx, j.entryName(seq+1), 0, make([]byte, 1))
	switch {
	case err == nil:
		return true, nil
	case !errors.Is(err, objstore.ErrNotFound):
		return false, err
	}
	return j.hasSnapshotOf(ctx, seq+1)
}

// objectReader reads an object of any size from its beginning.
type objectReader struct {
	ctx    context.Context
	bucket objstore.Bucket
	name   string
	off    int64
}

func (r *objectReader) Read(p []byte) (int, error) {
	n, err := r.bucket.ReadRange(r.ctx, r.name, r.off, p)
	r.off += int64(n)
	if err == nil && n == 0 && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}
