// Package backendscheduler is the kind that owns the catalog: the list of blocks, and up to which
// offset each partition of the log is covered by them.
//
// Owns: the catalog's state and the next sequence number of its journal.
//
// Receives: CoveredJob (from live-stores and block-builders), ViewJob (from query-frontends,
// block-builders and queriers), PublishCut (from block-builders), NextMergeJob, MergeBeat and
// MergeDone (from backend-workers), AskStatus (from the operator's pages).
// Sends: CoverageChanged to live-stores, block-builders and queriers, after each commit and now and
// then.
//
//	loading ───────► ready ◄────────► committing     one journal object at a time
//	 ▲   ▲             │               │       │
//	 │   └─────────────┘               │       │ somebody knows of a newer version
//	 │     somebody knows of           │       ▼
//	 │     a newer version             │   overtaken ──► loading, when the write has ended
//	 │                                 │       │
//	pausing ◄──────────────────────────┴───────┘       a load or a commit has failed
//
// While the journal is being read, questions about the version at hand are answered, and cuts wait.
// step.go decides all of this, ledger.go which cuts are accepted, and actor.go carries it out.
//
// A cut is accepted only where it begins at the covered offset, and it is answered only when its
// entry is durable in the journal. Cuts that arrive while one object is being written are committed
// together in the next. Two schedulers cannot both be believed: the second finds its sequence
// number taken, loads the journal again and judges its cuts anew. When a write has failed, only the
// journal tells whether it was made. Loads and writes that fail in a row have pauses of up to a
// minute between them, and one line in the log when they begin and when they end; questions that
// cannot be answered meanwhile are refused at once. Entries of other writers, such as troupectl,
// are looked for every few seconds.
//
// The log is compared with the catalog at the start, every few seconds, and when a live-store
// suspects that the log has been replaced. A new epoch begins when the log has another identity,
// ends below the covered offset, or has another fingerprint for the last covered record; its
// coverage starts at the log's start. A log that begins above the covered offset leaves a gap,
// which answers name. So does a trimmed log of which the catalog has no block: then the bucket is
// another one, or was emptied. Nothing of an older epoch is renamed, overwritten or dropped. When
// the catalog goes over to another log while this node runs, another node uses the bucket; the
// actor then fails with that reason and does not take the catalog back.
//
// The sweep (sweep.go) removes blocks that are not in the catalog and can never be, because their
// offsets are covered or their epoch is over. It removes parts of a block without a meta only after
// a grace longer than any build. Other programs' objects are left alone.
//
// A restart loses nothing: the state is read back from the journal. When the journal is gone,
// damaged, or lacks its newest entries, the catalog is made anew from the blocks and from the
// readable rest of the journal (rebuild.go). Draining: the commit under way ends. When the catalog
// cannot be written the drain ends at once, because whatever is not in the catalog is still in the
// log.
package backendscheduler
