package compact

import (
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// SettledAt returns when what is left of a day is merged once more.
func SettledAt(day int64) time.Time { return EndOfDay(day).Add(settleTime) }

// IsUnfinished reports whether a block is merged once more when its day is over, unless it is the
// only one that is left of it or has all the spans that a block may have.
func IsUnfinished(m *blocks.BlockMeta) bool { return m.GetLevel() < dayLevel }
