// Package blockbuilder is the kind that turns records of the log into blocks. There is one
// block-builder for each partition.
//
// It owns the open cut of its partition: the records from the covered offset of the catalog on that
// are becoming blocks.
//
// It sends CoveredJob, ViewJob and PublishCut to the backend-scheduler and CutJob to the live-store
// of its partition. It receives their answers, and Drain.
//
// Every message makes one step (step.go), which do carries out (actor.go). The phases are:
//
//	attaching     asks for the covered offset
//	    ▼
//	waiting       until it is time to ask for a cut
//	    ▼
//	cutting       asks the live-store ─────────────────── none is due: waiting
//	    ▼
//	viewing       asks for the catalog
//	    ▼
//	building      writes a block for each tenant; one build at a time on a node
//	    ▼
//	publishing    the whole cut, all tenants, in one step
//	    │                ▲ viewing, building: only what the catalog lists since is looked in
//	    ├────────────────┘ refused, because the view was too old
//	    ▼
//	waiting       from the new covered offset on
//
// Where the new blocks share traces with others is true of one version of the catalog. If it was
// too old when the cut was to be published, or if a block was gone meanwhile that it lists, the
// blocks stay, a newer version is asked for, and what it lists besides is looked in (builtcut.go).
//
// A cut is published only after its objects are durable. The log is trimmed only after the catalog
// has answered, and only if the log still has the record that was covered last.
//
// Every failure leads back to attaching after a pause, which doubles up to a minute until a cut is
// published. The covered offset is asked for again, so nothing rests on an assumption. Blocks that
// are durable are kept. They are published again if the catalog still covers exactly what lies
// below them, and if the log has not been rewritten (comparing). The catalog accepts a cut only
// where it begins at the covered offset, so two builders of one partition never publish overlapping
// ranges. Blocks of a refused cut are never in the catalog, so they do not exist; the orphan sweep
// removes their objects.
//
// A cut that cannot be built because of what it holds is halved, down to one record (cutlimit.go).
// That is so if the build breaks the engine, or takes longer than a build may although storage
// answers. A record that has failed three times alone is set aside: its bytes go into the bucket
// (aside.go), as do those of records that the live-store has set aside. The cut says so, so answers
// name these records.
//
// A restart loses the open cut. It is read back from the covered offset.
//
// Draining means one last cut of everything, built and published within the time given.
//
// Next on the way of a span: actors/backendscheduler, which keeps the catalog.
package blockbuilder
