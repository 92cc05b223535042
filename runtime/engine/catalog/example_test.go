package catalog_test

import (
	"fmt"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
)

// A new log begins an epoch; then a cut of it is published, and a view of the version that results
// tells which blocks a query must read, and how far blocks cover the log.
func ExampleState_Apply() {
	s := catalog.New()
	log := catalog.Log{Identity: "log-1", Partitions: []catalog.Partition{{Start: 0, End: 250}}}
	first := &blocks.Commit{Seq: 1, Entries: s.Reconcile(log, 0)}
	if err := s.Apply(first); err != nil {
		panic(err)
	}
	before := s.View()

	cut := &blocks.PublishCut{
		Epoch: "log-1", Partition: 0, From: 0, To: 200,
		Blocks: []*blocks.BlockMeta{
			{Id: "b1", Tenant: "shop", MinStartUnixNano: 1000, MaxEndUnixNano: 2000},
		},
	}
	second := &blocks.Commit{Seq: 2, Entries: []*blocks.Entry{{CutPublished: cut}}}
	if err := s.Apply(second); err != nil {
		panic(err)
	}
	after := s.View()

	fmt.Println("version", after.Version, "covers partition 0 up to", after.Covered[0])
	for _, m := range after.Blocks("shop", 1500, 3000) {
		fmt.Println("block", m.GetId())
	}
	fmt.Println("version", before.Version, "still has", before.Count(), "blocks")
	// Output:
	// version 2 covers partition 0 up to 200
	// block b1
	// version 1 still has 0 blocks
}
