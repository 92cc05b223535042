// Package overrides is the kind that owns the limits of tenants: one actor per node.
//
// Owns: the limits in force, as one value that is replaced as a whole (Limits), and the documents
// in which tenants set some things themselves.
//
// Receives: ReadOwn, ListOwn, WriteOwn and RemoveOwn from the gateway of /api/overrides, Drain.
// Sends: nothing. Whoever needs limits reads the value in force (Live), which costs no message: the
// distributor for every push, the gateways for every query.
//
// Two things go on side by side, each with at most one job or timer outstanding:
//
//	the operator's file     waiting ──lookAtFile──► reading ──changed──► put in force ──► waiting
//	                                                   └──unchanged, or wrong: logged──► waiting
//
//	the tenants' documents  idle ◄───────────► writing, or reading what other processes wrote
//
// Documents are read from memory, at once. They are written one at a time, in the order in which
// the writes came: each write appends to a journal in the bucket, and it is answered when that is
// durable. A write names the version that it replaces, so of two writes that name the same version
// one is refused.
//
// A file that cannot be read, or that has a wrong value in it, leaves the limits as they are. At
// the start of the node it keeps the node from starting: the first limits are read before any actor
// runs (ReadFile).
//
// A restart loses the writes that were not answered; their senders get an error and read the
// document again. The limits in force stay in force.
//
// Draining: every write that was accepted is answered.
package overrides
