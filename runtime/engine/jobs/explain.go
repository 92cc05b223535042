package jobs

import "time"

// Explained tells how an answer was found: what was asked of each home, and what came of it.
type Explained struct {
	Version    uint64 // of the catalog
	OutOfRange int    // blocks of the tenant that the range rules out by their meta alone
	Candidates int    // traces with several homes that were put together
	Steps      []Step // in the order in which they ended
}

// Outcome is what came of a step.
type Outcome string

// The outcomes. IndexOnly is that of a block whose index, which is in memory, was enough; mostly it
// tells that nothing can match. Needless is that of a scan before which enough newer traces were
// found.
const (
	WasRead   Outcome = "read"
	IndexOnly Outcome = "index only"
	Needless  Outcome = "needless"
	Failed    Outcome = "failed"
)

// Step is one job of a scan.
type Step struct {
	Home        string // "live-store 3", or the id of a block
	Part, Parts int    // of a block
	Start, End  uint64 // unix ns, of the block; zero: live
	Outcome     Outcome
	Reason      string // why it failed
	HomeSpans   int64  // spans that the home holds
	Spans       int64  // looked at
	Read        BlockReads
	Took        time.Duration // from the order to the answer, without the wait for a slot
}

// BlockReads is what a job has read of the objects of a block.
type BlockReads struct {
	Reads, Waves int // reads of one wave go out together
	Bytes        int64
	Columns      []ColumnRead
}

// ColumnRead is a column of which pages were read.
type ColumnRead struct {
	Object, Name string
	Pages, Of    int
}
