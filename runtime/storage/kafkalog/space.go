package kafkalog

import "fmt"

// Blocks free the log's space, but need some of it themselves when they lie on the same disk. The
// blocks of all records of the log take less space than the log, except for a log with very little
// of very many tenants.
const (
	keptPerByte = 2  // bytes kept free for each byte of the log
	keptOfDisk  = 32 // and at least this part of the disk
)

// Disk is the space on the disk of a log, in bytes.
type Disk struct {
	Free int64
	Kept int64 // with less free space than this, appends are refused, so that blocks can be written; 0: no limit
}

// Disk returns the present space on the disk. After an error it is not known.
func (l *Embedded) Disk() (Disk, error) {
	free, total, err := l.cfg.FS.Space(l.dir)
	if err != nil {
		return Disk{}, err
	}
	kept := min(l.cfg.KeepFreeBytes, max(keptPerByte*l.Size(), total/keptOfDisk))
	return Disk{Free: free, Kept: kept}, nil
}

// checkSpace returns ErrDiskFull when the disk would have too little space left after an append of
// so many bytes. It is called with files.mu held.
func (l *Embedded) checkSpace(bytes int64) error {
	if l.cfg.KeepFreeBytes <= 0 {
		return nil
	}
	d, err := l.Disk()
	if err != nil || d.Free-bytes >= d.Kept {
		return nil // when the space is not known, the write itself tells
	}
	return fmt.Errorf("append %d bytes: %w: the disk of %s has %d bytes free, "+
		"of which %d are kept so that blocks can be written and the log can forget",
		bytes, ErrDiskFull, l.dir, d.Free, d.Kept)
}

// giveUpReserve frees the space that is kept for the writes by which a log forgets.
func (l *Embedded) giveUpReserve() bool { return l.cfg.FS.Remove(l.reserveFile()) == nil }
