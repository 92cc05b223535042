package kafkalog

import (
	"fmt"
)

// Blocks free the log's space, and need some themselves where they lie on the same disk. Of all
// that the log holds they take less than the log does, except where it holds very little of very
// many tenants.
const (
	keptPerByte = 2  // bytes kept free for each byte of the log
	keptOfDisk  = 32 // and at least this part of the disk
)

// Disk is the space on the disk of a log, in bytes.
type Disk struct {
	Free int64
	Kept int64 // below this much free space appends are refused, so that blocks can still be written; 0: no limit
}

// Disk asks for the space on the disk now. An error leaves it unknown.
func (l *Embedded) Disk() (Disk, error) {
	free, total, err := l.cfg.FS.Space(l.dir)
	if err != nil {
		return Disk{}, err
	}
	return Disk{Free: free, Kept: min(l.cfg.KeepFreeBytes, max(keptPerByte*l.Size(), total/keptOfDisk))}, nil
}

// checkSpace returns ErrDiskFull when the disk would have too little space left after an append of so
// many bytes. Called with ioMu held.
func (l *Embedded) checkSpace(bytes int64) error {
	if l.cfg.KeepFreeBytes <= 0 {
		return nil
	}
	d, err := l.Disk()
	if err != nil || d.Free-bytes >= d.Kept {
		return nil // where the space is not known the write itself tells
	}
	return fmt.Errorf("append %d bytes: %w: the disk of %s has %d bytes free, of which %d are kept so that blocks can be written and the log "+
		"can forget", bytes, ErrDiskFull, l.dir, d.Free, d.Kept)
}

// giveUpReserve frees the space that is kept for the writes by which a log forgets.
func (l *Embedded) giveUpReserve() bool { return l.cfg.FS.Remove(l.reserveFile()) == nil }
