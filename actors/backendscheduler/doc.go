// Package backendscheduler is the kind that owns the catalog: which offsets of the log are covered by which blocks.
//
// Owns: the catalog's state and the next sequence number of its journal.
//
// Receives: CoveredJob (live stores, block-builders), ViewJob (query-frontends, block-builders), PublishCut (block-builders).
// Sends: CoverageChanged to live stores and block-builders.
//
//	loading ─► checking the log against the catalog ─► ready ◄─► committing (one journal object at a time)
//
// A cut is accepted only where it begins at the covered offset, and nothing is answered before its entry is durable in the journal. What
// arrives while one object is being written is committed together in the next. Two schedulers cannot both be believed: the second finds
// its sequence number taken, loads the journal again and decides anew.
//
// At start the log is compared with the catalog: another identity, an end below the covered offset, or another fingerprint of the last covered
// record begin a new epoch, whose coverage starts at the log's start; a log that begins above the covered offset leaves a gap, which answers name.
// Nothing of an older epoch is renamed, overwritten or dropped.
//
// A restart loses nothing: the state is read back from the journal. Draining: the commit under way ends.
package backendscheduler
