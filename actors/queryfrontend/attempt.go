package queryfrontend

import (
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
)

// phase is where an attempt is on its way.
type phase uint8

const (
	viewing phase = iota
	homes
	scanning
	recalling // the known results of candidates
	reading   // fragments of candidates
	assembling
	collecting // fragments of the one trace that was asked for by its id
	joining
	indexing  // keys of a trace that is read in chunks
	sifting   // which of them do not tell spans apart
	comparing // the contents of those
	arranging
	chunking // fragments of the next chunk
	writing
	delivering // the client has a chunk, and another one is ready
)

func (p phase) String() string {
	return [...]string{"viewing", "homes", "scanning", "recalling", "reading", "assembling",
		"collecting", "joining", "indexing", "sifting", "comparing", "arranging", "chunking", "writing",
		"delivering"}[p]
}

// attempt is everything that a query has from one plan. Where the plan turns out to be out of date
// the attempt is replaced by a new one, on a newer catalog. The new one does not know the jobs of
// the old one, so their ends are dropped.
type attempt struct {
	phase phase
	basis plan.Basis
	// counts are the numbers of partitions that live records were routed by; nil until there are
	// found to be several.
	counts []int32
	shared *jobs.Shared
	queue  []job       // wait for slots, in their order
	open   map[int]job // sent, or to be sent again; by number
	// oldest is where the parts of blocks that were scanned begin: no trace in the parts before one
	// of them starts later.
	oldest map[blockPart]uint64
	batch  batch // the traces that are put together at present
	byID   byID
	ordered
	findings
}

// blockPart names a part of a block.
type blockPart struct {
	block string
	part  int
}

// findings is what an attempt has found so far.
type findings struct {
	partial    jobs.Partial
	openFolds  openFolds
	toKeep     []keptResult // to be kept
	candidates candidates
	answer     jobs.Answer
	watermarks int // partitions whose watermark is in answer
	missing    missing
	foundOut   int   // jobs that were answered with something
	size       int64 // bytes, about: of the partial result and of the batch's fragments
	explained  jobs.Explained
}

// newAttempt returns the beginning of an attempt. bytes were read by the attempts before it.
func newAttempt(c *course, bytes int64) attempt {
	return attempt{
		basis:    plan.Basis{Query: c.query, Live: map[int32]*jobs.HomesResult{}},
		open:     map[int]job{},
		oldest:   map[blockPart]uint64{},
		findings: findings{answer: jobs.Answer{Bytes: bytes}},
	}
}
