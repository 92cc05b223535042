package catalog

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// Records that were set aside are named by every later version, through snapshots too; those of one
// hour, tenant and partition in one entry, so that their number is bounded.
func TestSetAsideIsKept(t *testing.T) {
	s := New()
	apply := func(e *blocks.Entry) {
		require.NoError(t, s.Apply(&blocks.Commit{Seq: s.View().Version + 1, Entries: []*blocks.Entry{e}}))
	}
	apply(&blocks.Entry{Epoch: &blocks.Epoch{Id: "e", Starts: []int64{0}}})
	hour := time.Hour.Nanoseconds()
	for i := range int64(180) { // a cut each minute
		at := i * hour / 60
		m := &blocks.PublishCut{Epoch: "e", From: i, To: i + 1, SetAside: []*blocks.SetAside{
			{Epoch: "e", Tenant: "a", From: i, To: i + 1, Records: 1, MinArrivalUnixNano: at, MaxArrivalUnixNano: at, Reason: "broken"}}}
		if i == 7 {
			m.SetAside = append(m.SetAside, &blocks.SetAside{Epoch: "e", Tenant: "b", From: i, To: i + 1, Records: 2, MinArrivalUnixNano: at, MaxArrivalUnixNano: at})
		}
		apply(&blocks.Entry{CutPublished: m})
	}
	records := map[string]int64{}
	for _, m := range s.View().SetAside {
		records[m.GetTenant()] += m.GetRecords()
		require.LessOrEqual(t, m.GetMaxArrivalUnixNano()-m.GetMinArrivalUnixNano(), hour)
	}
	require.Equal(t, map[string]int64{"a": 180, "b": 2}, records)
	require.LessOrEqual(t, len(s.View().SetAside), 4)
	again, err := Restore(proto.Clone(s.Snapshot()).(*blocks.Snapshot))
	require.NoError(t, err)
	require.Len(t, again.View().SetAside, len(s.View().SetAside))
	for i, m := range s.View().SetAside {
		require.True(t, proto.Equal(m, again.View().SetAside[i]))
	}
}
