// Package sim runs all kinds in one process, in an order drawn from a seed, while everything fails:
// actors and processes are killed, processes sleep, messages are lost, log and bucket refuse or
// lose their answers, and the log loses parts of its history or grows. Whatever happens: an
// acknowledged span is found exactly once, by id, by search and in metrics; coverage never passes
// durable data; every listed block can be read; no fuse blows.
//
// TestSimulation runs rounds of chance; `make sim SEED=n` repeats one, `-log` shows what the nodes
// log. The schedules that break a naive form of the design are courses that were thought out, named
// after them; those that need fewer actors, or none, are tested beside the code:
//
//	H1–H6, H10–H14, H16–H19, H22, H24   here, TestH01… (H15 with H10: two builders)
//	H7   the log survives the machine     kafkalog: TestDirectoryEntries, TestFailedSync, TestKill, TestTornTail
//	H8   so does the bucket, and no hang  objstore: TestLocalOrder, TestLocalKill, TestLocalSweep, TestLocalFaults
//	H9   produce waits for no fetch       kafkalog: TestKafkaWaitingReadHoldsUpNothing
//	H15  ids are never used twice         objstore: TestBucket (an object is never overwritten);
//	                                      blockstore: NewID takes an attempt and chance
//	H20  long query, deleted block        actors/queryfrontend: planned again when a block is gone;
//	                                      cmd/troupe: -config.verify compares the grace with queries and builds
//	H21  fail-over in mid-stream          actors/queryfrontend: rows of a job count when it ends, by attempt
//	H23  readers and the append head      engine/live, with the race detector
//	H25  a catalog made anew              here: TestOneObjectDamaged; test/faults: TestJournalIsDamaged
//	H26  retention does not see merges    engine/compact: blocks of one day of arrival meet; engine/upkeep
//	H29  merged blocks have new ids       blockstore: NewID takes the lease and chance; objects are create-only
//	H30  fragments join in a partition    engine/compact: TestPlan, TestPlanOfPartitions
//	H31–H36, H38, H43                     here
//	H37  rows in the order of start       engine/block
//	H39  sums do not depend on order      engine/eval, test/metamorphic
//	H40  every truncation has an order    test/oracle, test/metamorphic
//	H41  a fast clock hides nothing       test/e2e: TestLateSpans
//	H42  the size of traces at push       comes with the limits of ingestion; nothing here may make it hard
//
// Schedules of merges are tests of their names, too: C2–C4, C26 and C37 in engine/catalog, C5, C28
// and C39 in actors/blockbuilder, C13, C17, C36 and C37 in actors/backendscheduler, C18 in
// storage/journal, C9 and C32 in storage/objstore, and C14 here. H27 and H28 come with retention by
// query and with erasure.
package sim
