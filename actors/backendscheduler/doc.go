// Package backendscheduler is the kind that owns the catalog: which offsets of the log are covered
// by which blocks.
//
// Owns: the catalog's state and the next sequence number of its journal.
//
// Receives: CoveredJob (live stores, block-builders), ViewJob (query-frontends, block-builders,
// queriers), PublishCut (block-builders).
// Sends: CoverageChanged to live stores, block-builders and queriers, after each commit and now and
// then.
//
//	loading ─► checking the log against the catalog ─► ready ◄─► committing (one journal object at a time)
//	   ▲                                                 │
//	   └── a commit failed, or somebody knows of a newer version ◄┘   (questions are answered from the version at hand meanwhile; cuts wait)
//
// A cut is accepted only where it begins at the covered offset, and nothing is answered before its
// entry is durable in the journal. What arrives while one object is being written is committed
// together in the next. Two schedulers cannot both be believed: the second finds its sequence
// number taken, loads the journal again and decides anew. Whether a write that failed was made only
// the journal tells. Loads and writes that fail in a row have pauses between them of up to a
// minute, one line in the log when they begin and one when they end; whoever asks for what cannot
// be told meanwhile hears so at once. Entries of other writers, such as troupectl, are looked for
// every few seconds.
//
// At start, every few seconds, and when a live-store says that the log is not what it was, the log
// is compared with the catalog: another identity, an end below the covered offset, or another
// fingerprint of the last covered record begin a new epoch, whose coverage starts at the log's
// start; a log that begins above the covered offset leaves a gap, which answers name. So does a log
// of which the catalog has no block although it was trimmed: the bucket is another one, or was
// emptied. Nothing of an older epoch is renamed, overwritten or dropped. When the catalog goes over
// to another log while this node runs, another node uses the bucket: the actor ends with that
// reason, and does not take the catalog back.
//
// Blocks that are not in the catalog and can never be, because their offsets are covered or their
// epoch is over, are removed (sweep.go); parts of a block without a meta only after a grace longer
// than any build. Other programs' objects are left alone.
//
// A restart loses nothing: the state is read back from the journal. Where that is gone, damaged, or
// lacks its newest entries, the catalog is made anew from the blocks and from what can be read of
// the journal (rebuild.go). Draining: the commit under way ends; where the catalog cannot be
// written the drain ends at once, because what is not in the catalog is still in the log.
package backendscheduler
