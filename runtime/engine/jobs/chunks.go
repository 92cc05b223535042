package jobs

import (
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/long"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Chunks asks for a trace in chunks, which the asker takes one by one with TakeChunk.
type Chunks struct {
	// Outline asks for the outline of the trace in place of its spans.
	Outline  bool
	After    *long.Cursor // where to begin; nil: with the trace
	MaxBytes int64        // end after about so many; 0: with the trace
}

// TakeChunk asks the query-frontend for the next chunk of the trace that a query reads. The answer
// is *TraceChunk, or the error in which the query has ended. It may not be repeated.
type TakeChunk struct{ Query string }

// TraceChunk answers TakeChunk: some of the trace as a TracesData message, or some of its outline.
// After the last one comes an empty one, and then the answer to the query.
type TraceChunk struct{ Bytes []byte }

// KeysFrom is where a job that reads keys begins: at a row of the trace, counted from its first, in
// one of the tables or blocks of the job.
type KeysFrom struct{ Home, Row int }

// LiveKeysJob asks a live-store for the keys of a trace in [From, UpTo), from At on. UpTo < 0 means
// everything that it has read. The result says how far that is; further jobs name it.
type LiveKeysJob struct {
	Snapshot
	Tenant     string
	From, UpTo int64
	KeysWanted
}

// BlockKeysJob asks a querier for the keys of a trace in some blocks, from At on.
type BlockKeysJob struct {
	Blocks []*blocks.BlockMeta
	KeysWanted
}

// KeysWanted says which keys are wanted.
type KeysWanted struct {
	ID      trace.ID
	At      KeysFrom
	Details bool // together with what an outline tells beside them
}

// KeysResult answers LiveKeysJob and BlockKeysJob.
type KeysResult struct {
	Keys   []HomeKeys
	Next   *KeysFrom      // where the next job begins; nil: these are all keys
	Bytes  int64          // read for this job
	Failed []BlockFailure // blocks of the job that could not be read

	// The rest is of a live-store only.
	Retained
	UpTo      int64
	Watermark int64  // as in HomesResult
	Behind    string // as in HomesResult
}

// HomeKeys are keys of one home: a table of a live-store, or a block of the job.
type HomeKeys struct {
	Home int
	*long.Keys
}

// keysAtOnce bounds the keys of one result.
const keysAtOnce = 1 << 18

// AddKeys adds the keys of a trace in a table, which is a home, as far as there is room. It reports
// whether there is room for more.
func (r *KeysResult) AddKeys(
	ctx context.Context, t column.Table, ordinal, home int, want KeysWanted,
) (more bool, err error) {
	from := 0
	if home == want.At.Home {
		from = want.At.Row
	}
	room := keysAtOnce
	for _, k := range r.Keys {
		room -= len(k.Rows)
	}
	rows := t.TraceRows(ordinal, nil)
	rows = rows[min(from, len(rows)):]
	n := min(len(rows), room)
	read := long.ReadKeys
	if want.Details {
		read = long.ReadDetails
	}
	k, err := read(ctx, t, slices.Clone(rows[:n]))
	if err != nil {
		return false, err
	}
	r.Keys = append(r.Keys, HomeKeys{home, k})
	if n < len(rows) {
		r.Next = &KeysFrom{Home: home, Row: from + n}
		return false, nil
	}
	return true, nil
}

// RunKeys reads the keys of a trace in tables.
func RunKeys(ctx context.Context, tables []column.Table, want KeysWanted) (*KeysResult, error) {
	r := &KeysResult{}
	for home := want.At.Home; home < len(tables); home++ {
		ordinal, ok, err := tables[home].Lookup(ctx, want.ID)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if more, err := r.AddKeys(ctx, tables[home], ordinal, home, want); err != nil || !more {
			return r, err
		}
	}
	return r, nil
}

// HomeRows are rows of a table of a live-store, ascending.
type HomeRows struct {
	Home int
	Rows []uint32
}

// LiveSpansJob asks a live-store for rows of its tables of [From, UpTo).
type LiveSpansJob struct {
	Snapshot
	Tenant     string
	From, UpTo int64
	Rows       []HomeRows
	SpansWanted
}

// BlockSpansJob asks a querier for rows, which ascend, of the table of a block that holds a trace.
type BlockSpansJob struct {
	Block *blocks.BlockMeta
	ID    trace.ID
	Rows  []uint32
	SpansWanted
}

// SpansWanted says what is wanted of rows.
type SpansWanted struct {
	ContentsOnly bool  // what is known of the contents, and not the spans themselves
	MaxBytes     int64 // of the spans of a job; fewer rows are to be asked for then
}

// SpansResult answers LiveSpansJob and BlockSpansJob: Fragments, or Contents, by home and row.
type SpansResult struct {
	Fragments [][]trace.Fragment
	Contents  [][]long.Content
	TooLarge  bool  // there are more than MaxBytes; Fragments lack some
	Bytes     int64 // read for this job
	Retained        // of a live-store only
	size      int64
}

// AddRows adds rows of a table.
func (r *SpansResult) AddRows(ctx context.Context, t column.Table, rows []uint32, want SpansWanted) error {
	if r.TooLarge {
		return nil
	}
	var fragments []trace.Fragment
	var contents []long.Content
	for part := range batchesOf(rows) {
		before := len(fragments)
		var err error
		if fragments, err = column.Fragments(ctx, t, part, fragments); err != nil {
			return err
		}
		for i := range fragments[before:] {
			f := &fragments[before+i]
			if want.ContentsOnly {
				contents = append(contents, long.ContentOf(f.Span))
				continue
			}
			r.size += int64(len(f.Span))
		}
		if want.ContentsOnly {
			fragments = fragments[:0]
		} else if r.TooLarge = r.size > want.MaxBytes; r.TooLarge {
			return nil
		}
	}
	if want.ContentsOnly {
		r.Contents = append(r.Contents, contents)
	} else {
		r.Fragments = append(r.Fragments, fragments)
	}
	return nil
}
