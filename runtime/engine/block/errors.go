package block

import (
	"errors"
	"fmt"
)

// ErrCorrupt: the bytes of a block are damaged. Errors that wrap it say in which object, column and
// offset.
var ErrCorrupt = errors.New("block is corrupt")

// ErrTooLarge: the tables do not fit in one block; fewer at once do.
var ErrTooLarge = errors.New("too large for one block")

// corruptError says where a block is damaged.
type corruptError struct {
	object string
	column string // empty: the index
	offset int64
	cause  string
}

func (e *corruptError) Error() string {
	if e.column == "" {
		return fmt.Sprintf("read %s at %d: %s: %v", e.object, e.offset, e.cause, ErrCorrupt)
	}
	return fmt.Sprintf("read %s column %s at %d: %s: %v", e.object, e.column, e.offset, e.cause, ErrCorrupt)
}

func (e *corruptError) Unwrap() error { return ErrCorrupt }

// StatusClass names the error's class for the table of the kernel.
func (e *corruptError) StatusClass() string { return "corrupt" }
