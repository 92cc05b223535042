package journal

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// A snapshot of at most partBytes is one object. A larger one is written in parts, which are the
// objects <prefix>snapshot-parts/<n>-<token>/<part>, and then comes an object under the snapshot's
// name that lists them. The token tells them from the parts of an attempt that ended half-way.
const (
	partBytes = min(64<<20, maxObject/2)
	partMagic = "trj2" // begins the object that lists the parts
)

// maxSnapshot bounds a snapshot, when it is written and when it is read, because a protobuf message
// cannot be larger.
const maxSnapshot = 1<<31 - 1

// partList is the content of the object that lists the parts of a snapshot.
type partList struct {
	Token string `json:"token"`
	Parts int    `json:"parts"`
	Bytes int64  `json:"bytes"`
	CRC   uint32 `json:"crc32c"` // of all bytes
}

// snapshotRead is a snapshot that was read.
type snapshotRead struct {
	data  []byte
	token string // of its parts; empty: it is one object
}

func (j *Journal) partsFolder() string { return j.prefix + "snapshot-parts/" }

func (j *Journal) partName(seq uint64, token string, i int) string {
	return fmt.Sprintf("%s%020d-%s/%06d", j.partsFolder(), seq, token, i)
}

// SaveSnapshot makes a snapshot of the state after entry seq durable, or returns ErrTaken if there
// is one. Then it removes the snapshots and entries that no reader needs any more. After
// ErrTooLarge the older snapshots and all entries are still there.
func (j *Journal) SaveSnapshot(ctx context.Context, seq uint64, data []byte) error {
	if err := j.createSnapshot(ctx, seq, data); err != nil {
		return err
	}
	return j.removeNeedless(ctx)
}

func (j *Journal) createSnapshot(ctx context.Context, seq uint64, data []byte) error {
	switch {
	case int64(len(data)) > j.snapshotBytes:
		return fmt.Errorf("create %s of %d bytes, limit %d: %w",
			j.snapshotName(seq), len(data), j.snapshotBytes, ErrTooLarge)
	case len(data) <= j.partBytes:
		return j.createObject(ctx, j.snapshotName(seq), data)
	}
	return j.saveParts(ctx, seq, data)
}

func (j *Journal) saveParts(ctx context.Context, seq uint64, data []byte) error {
	list := partList{Token: rand.Text(), Bytes: int64(len(data)), CRC: crc32.Checksum(data, castagnoli)}
	for rest := data; len(rest) > 0; list.Parts++ {
		n := min(len(rest), j.partBytes)
		if err := j.createObject(ctx, j.partName(seq, list.Token, list.Parts), rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	b, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("encode the list of parts of snapshot %d: %w", seq, err)
	}
	return j.createRaw(ctx, j.snapshotName(seq), encodeAs(partMagic, b))
}

func decodeParts(raw []byte) (list partList, err error) {
	b, err := decodeAs(partMagic, raw)
	if err != nil {
		return list, err
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return list, fmt.Errorf("list of parts: %w: %w", err, ErrCorrupt)
	}
	if list.Bytes < 0 || list.Bytes > maxSnapshot || list.Parts < 1 || int64(list.Parts) > list.Bytes {
		return list, fmt.Errorf("list of %d parts with %d bytes: %w", list.Parts, list.Bytes, ErrCorrupt)
	}
	return list, nil
}

func (j *Journal) readSnapshot(ctx context.Context, seq uint64) (s snapshotRead, err error) {
	name := j.snapshotName(seq)
	raw, err := j.bucket.Read(ctx, name, maxObject)
	if err != nil {
		return s, err
	}
	if !bytes.HasPrefix(raw, []byte(partMagic)) {
		if s.data, err = decodeObject(raw); err != nil {
			err = fmt.Errorf("read %s: %w", name, err)
		}
		return s, err
	}
	list, err := decodeParts(raw)
	if err != nil {
		return s, fmt.Errorf("read %s: %w", name, err)
	}
	s.token = list.Token
	for i := range list.Parts {
		part, err := j.readObject(ctx, j.partName(seq, list.Token, i))
		if err != nil {
			return s, err
		}
		s.data = append(s.data, part...)
	}
	if int64(len(s.data)) != list.Bytes || crc32.Checksum(s.data, castagnoli) != list.CRC {
		return s, fmt.Errorf("read %s: its parts have %d bytes and another checksum, want %d: %w",
			name, len(s.data), list.Bytes, ErrCorrupt)
	}
	return s, nil
}

// removeNeedless removes the entries and snapshots that the oldest of the kept snapshots makes
// needless, if the kept ones are whole.
func (j *Journal) removeNeedless(ctx context.Context) error {
	snapshots, err := j.listNumbers(ctx, j.prefix+"snapshot/")
	if err != nil || len(snapshots) < keptSnapshots {
		return err
	}
	oldest := len(snapshots) - keptSnapshots
	tokens := map[string]bool{}
	for _, seq := range snapshots[oldest:] {
		s, err := j.readSnapshot(ctx, seq)
		if err != nil {
			return fmt.Errorf("remove old entries: %w", err)
		}
		tokens[s.token] = true
	}
	entries, err := j.listNumbers(ctx, j.prefix)
	if err != nil {
		return err
	}
	for _, seq := range entries {
		if seq > snapshots[oldest] {
			break
		}
		if err := j.bucket.Delete(ctx, j.entryName(seq)); err != nil {
			return err
		}
	}
	for _, seq := range snapshots[:oldest] {
		if err := j.bucket.Delete(ctx, j.snapshotName(seq)); err != nil {
			return err
		}
	}
	return j.removeNeedlessParts(ctx, snapshots[len(snapshots)-1], tokens)
}

// removeNeedlessParts removes the parts of snapshots up to newest whose token is not among tokens:
// their snapshot was removed, or was never finished.
func (j *Journal) removeNeedlessParts(ctx context.Context, newest uint64, tokens map[string]bool) error {
	parts, err := j.listParts(ctx)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if p.seq <= newest && !tokens[p.token] {
			if err := j.bucket.Delete(ctx, p.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// snapshotPart is an object of a snapshot in parts.
type snapshotPart struct {
	name  string
	seq   uint64
	token string
}

// listParts lists the parts of all snapshots.
func (j *Journal) listParts(ctx context.Context) (out []snapshotPart, err error) {
	err = j.bucket.List(ctx, j.partsFolder(), func(o objstore.Info) error {
		folder, _, ok := strings.Cut(o.Name[len(j.partsFolder()):], "/")
		digits, token, ok2 := strings.Cut(folder, "-")
		seq, err := strconv.ParseUint(digits, 10, 64)
		if ok && ok2 && err == nil {
			out = append(out, snapshotPart{name: o.Name, seq: seq, token: token})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list journal %s: %w", j.partsFolder(), err)
	}
	return out, nil
}
