// Package blockbuilder is the kind that turns the uncovered part of the log into blocks: one actor
// per partition.
//
// Owns: the open cut of its partition, from the covered offset of the catalog on.
//
// Receives: Drain. Sends: CoveredJob, ViewJob and PublishCut to the backend-scheduler, CutJob to
// the partition's live-store.
//
//	attaching ─► waiting ──tick──► asking the live-store ──not due──► waiting
//	                ▲                     │ due: the records [from, to), sealed
//	                │                     ▼
//	                │                 building: one block per tenant, uploaded        (pool of one: one build at a time per node)
//	                │                     ▼
//	                └──covered──── publishing the whole cut, all tenants, in one step ──refused──► go on from the covered offset told
//
// A cut is published only after its objects are durable, and the log is trimmed only after the
// catalog has answered, and only below a record that is the one that was covered. Every failure
// leads back to the beginning after a pause, which doubles up to a minute until a cut is published:
// the covered offset is asked for again, so nothing rests on what was believed. Blocks that are
// durable are kept and published again where the catalog still covers what is below them and the
// log has not grown anew (comparing). The catalog accepts a cut only where it begins at the covered
// offset, so two builders of one partition never publish overlapping ranges. Blocks of a refused
// cut are never in the catalog, so they do not exist; the orphan sweep removes their objects.
//
// A cut that cannot be built for what it holds (it takes longer than a build may though storage
// answers, or breaks the engine) is halved, down to one record; a record that has failed three
// times is set aside: its bytes go into the bucket (aside.go) as do those of records that the
// live-store has set aside, and the cut says so, so that answers name them.
//
// A restart loses the open cut; it is read back from the covered offset.
//
// Draining: one last cut of everything, built and published, within the time given.
//
// Next on the way of a span: actors/backendscheduler (the catalog).
package blockbuilder
