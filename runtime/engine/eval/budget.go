package eval

import (
	"errors"
	"fmt"
)

// ErrLimit: a query needs more memory than one evaluation may use.
var ErrLimit = errors.New("query is too large to evaluate")

// MaxMemory bounds the memory that the evaluation of one query over one table keeps beside the
// pages it reads, in bytes.
const MaxMemory = 256 << 20

// budget counts the memory of one evaluation.
type budget struct{ used int64 }

// giveBack returns n bytes that were taken and are not kept any more.
func (b *budget) giveBack(n int) { b.used -= int64(n) }

// takeBytes counts n bytes; what names their use in the error, in the plural. The error wraps
// ErrLimit.
func (b *budget) takeBytes(n int, what string) error {
	if b.used += int64(n); b.used > MaxMemory {
		return fmt.Errorf("%w: %s take more than %d MiB; narrow the query by a filter or a shorter time range",
			ErrLimit, what, MaxMemory>>20)
	}
	return nil
}
