package upkeep

import "time"

// AskStatus asks the backend-scheduler for its Status.
type AskStatus struct{}

// Status is what the backend-scheduler says of the blocks and of the work on them. It is plain
// data, and is not changed once it is made. Times that are not known are zero.
type Status struct {
	At        time.Time       `json:"at"`
	Version   uint64          `json:"catalogVersion"`
	Trouble   string          `json:"trouble,omitempty"` // why the catalog cannot be read or written
	Merging   MergingStatus   `json:"merging"`
	Retention Retaining       `json:"retention"`
	Sweep     SweepStatus     `json:"sweep"`
	Total     TenantStatus    `json:"total"`
	Tenants   []*TenantStatus `json:"tenants"`
	Jobs      []*Job          `json:"jobs"`
	SetAside  []*SetAside     `json:"setAside"`
	Failures  []Failure       `json:"failures"` // the newest ones first
}

// Amount is some blocks.
type Amount struct {
	Blocks int   `json:"blocks"`
	Bytes  int64 `json:"bytes"`
	Spans  int64 `json:"spans"`
}

func (a *Amount) add(b Amount) {
	a.Blocks, a.Bytes, a.Spans = a.Blocks+b.Blocks, a.Bytes+b.Bytes, a.Spans+b.Spans
}

// TenantStatus is what one tenant has, or all together.
type TenantStatus struct {
	Tenant   string      `json:"tenant,omitempty"`
	Live     Amount      `json:"live"`
	Levels   []Level     `json:"levels"`
	Days     []DayStatus `json:"days"`     // the newest one first
	Debt     Amount      `json:"debt"`     // blocks that are due to be merged, or are being merged
	Waiting  Amount      `json:"waiting"`  // merged later: with more neighbours, or when their day is over
	SetAside Amount      `json:"setAside"` // not merged any more, because merges of them failed
	Retired  Amount      `json:"retired"`  // waits to be removed
	Cause    Cause       `json:"cause"`    // why there is a debt, or why nothing is merged
	// How long blocks are kept after the end of their day; 0: for ever. It says nothing of the
	// total.
	RetentionSeconds int64 `json:"retentionSeconds"`
	Kept             bool  `json:"kept"` // its blocks are neither merged nor retired
}

// Level is what there is of blocks that were merged as often.
type Level struct {
	Level int32 `json:"level"`
	Amount
}

// DayStatus is what there is of one day of arrival.
type DayStatus struct {
	Day string `json:"day"`
	Amount
	Levels []Level   `json:"levels"`
	Goes   time.Time `json:"goes,omitzero"` // when the first of its blocks are due to be retired
	Why    string    `json:"why,omitempty"` // they go
}

// Cause says why blocks that are due to be merged are not merged yet.
type Cause struct {
	Name string `json:"name"` // one of the Cause constants
	Text string `json:"text"`
}

// The names of causes. Each has one remedy, which docs/operate.md names.
const (
	CauseNone     = ""         // nothing is due
	CauseOff      = "off"      // merging is off, for the tenant or for all
	CauseCatalog  = "catalog"  // the catalog can not be read or written
	CauseNoWorker = "noWorker" // no backend-worker asks for work
	CauseFull     = "diskFull" // merges fail for want of space
	CauseFailing  = "failing"  // merges fail
	CauseBusy     = "busy"     // workers merge
	CauseResting  = "resting"  // workers rest
	CauseSoon     = "soon"     // a worker takes the next merge as soon as it asks
)

// MergingStatus says how fast blocks are merged.
type MergingStatus struct {
	Workers []*Worker `json:"workers"`
	// What the workers merge in a second, with their rests; 0: no merge has ended since the
	// scheduler was started.
	BytesPerSecond float64 `json:"bytesPerSecond"`
	// How long it takes until what is due now is merged.
	ETASeconds float64 `json:"etaSeconds"`
	ETAKnown   bool    `json:"etaKnown"`
	Measured   int     `json:"measuredMerges"` // that the rate is the mean of
}

// Worker is a backend-worker, as the scheduler has heard of it.
type Worker struct {
	Name  string    `json:"name"`
	State string    `json:"state"` // merging, resting, idle or silent
	Heard time.Time `json:"heard"`
	Rests time.Time `json:"restsUntil,omitzero"`
}

// Job is a merge that a worker has begun.
type Job struct {
	Lease   string    `json:"id"`
	Tenant  string    `json:"tenant"`
	Day     string    `json:"day"`
	Level   int32     `json:"level"` // of the block that it makes
	Inputs  []string  `json:"inputs"`
	Amount            // of the inputs
	Worker  string    `json:"worker"`
	Attempt int32     `json:"attempt"`
	Began   time.Time `json:"began,omitzero"` // or was first seen, after a restart of the scheduler
	Heard   time.Time `json:"heard,omitzero"` // when its worker was heard of last
}

// SetAside is blocks that are not merged any more, because merges of them failed for one reason.
type SetAside struct {
	Tenant string   `json:"tenant"`
	Inputs []string `json:"inputs"`
	Amount
	Reason string `json:"reason"`
}

// Failure is something that did not succeed. What is tried again stays a failure.
type Failure struct {
	At       time.Time `json:"at"`
	What     string    `json:"what"` // merge, remove, sweep or catalog
	Tenant   string    `json:"tenant,omitempty"`
	Lease    string    `json:"job,omitempty"`
	Inputs   []string  `json:"inputs,omitempty"`
	Attempt  int32     `json:"attempt,omitempty"`
	SetAside bool      `json:"setAside,omitempty"` // it is not tried again
	Reason   string    `json:"reason"`
}

// Retaining says what goes and what waits to be removed.
type Retaining struct {
	DoubtedUntil time.Time `json:"clockDoubtedUntil,omitzero"` // nothing is retired before; zero: the clock is believed
	LastDay      time.Time `json:"lastDayAt,omitzero"`         // when this scheduler retired a day last
	Next         *NextDay  `json:"next,omitempty"`             // nil: no block ever goes
	Overdue      Amount    `json:"overdue"`                    // due to be retired, and live yet
	// When the first retired blocks are removed, which queries may still read until then.
	NextRemoval time.Time `json:"nextRemoval,omitzero"`
	MaxBytes    int64     `json:"maxBucketBytes"` // 0: any number
}

// NextDay is the day that is retired next.
type NextDay struct {
	Day string    `json:"day"`
	At  time.Time `json:"at"`
	Amount
	Tenants int `json:"tenants"`
}

// SweepStatus says how the bucket was searched for objects that the catalog does not list.
type SweepStatus struct {
	Began      time.Time `json:"began,omitzero"`
	Ended      time.Time `json:"ended,omitzero"`
	Removed    int       `json:"removedBlocks"`     // by the last sweep: whole blocks
	Strays     int       `json:"removedUnfinished"` // by the last sweep: parts of blocks
	Unfinished int       `json:"unfinished"`        // parts of blocks that are being written, or wait for their grace
	Error      string    `json:"error,omitempty"`
	Next       time.Time `json:"next,omitzero"`
}
