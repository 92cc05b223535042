package kafkalog_test

import (
	"context"
	"fmt"
	"os"

	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
)

// The embedded log needs a directory and nothing else. Records are durable when Append returns, and
// are there when the log is opened again.
func ExampleOpenEmbedded() {
	dir, err := os.MkdirTemp("", "log")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()

	log, err := kafkalog.OpenEmbedded(dir, kafkalog.EmbeddedConfig{Partitions: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	epoch := log.Epoch()
	next, err := log.Append(ctx, 1, []kafkalog.Record{
		{Tenant: "acme", Format: kafkalog.FormatOTLP, Parts: 2, Value: []byte("first")},
		{Tenant: "acme", Format: kafkalog.FormatOTLP, Parts: 2, Value: []byte("second")},
	})
	fmt.Println("next offset:", next, err)
	fmt.Println(log.Close())

	log, err = kafkalog.OpenEmbedded(dir, kafkalog.EmbeddedConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()
	batch, err := log.Read(ctx, 1, 0, 1<<20, 0)
	for _, r := range batch.Records {
		fmt.Printf("%d %s %s\n", r.Offset, r.Tenant, r.Value)
	}
	fmt.Println(err, log.Epoch() == epoch)

	// Records that lie in blocks are forgotten. Their offsets are not used again.
	err = log.Trim(ctx, 1, 1)
	start, end, _ := log.Bounds(ctx, 1)
	fmt.Println("bounds:", start, end, err)
	// Output:
	// next offset: 2 <nil>
	// <nil>
	// 0 acme first
	// 1 acme second
	// <nil> true
	// bounds: 1 2 <nil>
}
