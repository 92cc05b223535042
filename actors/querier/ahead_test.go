package querier

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/test/kit"
)

// Blocks are opened ahead newest first, until their indexes fill what there is room for; one that
// is gone or damaged hides no other.
func TestOpenAhead(t *testing.T) {
	d, s := newDeps()
	list := []*blocks.BlockMeta{s.add(t, "a", 30, 40), s.add(t, "b", 20, 30), s.add(t, "c", 10, 20), s.add(t, "d", 0, 10)}
	s.gone["a"] = true
	file := s.objects["b"]["spans.parquet"]
	for i := 4; i < len(file)-4; i++ {
		file[i] ^= 0x5a
	}
	c, err := s.Open(context.Background(), list[2])
	require.NoError(t, err)

	s.opened, d.Ahead = 0, c.Memory()
	d.openAhead(context.Background(), list)
	require.Equal(t, 3, s.opened, "the damaged ones take no room, and c takes all of it")

	s.opened, d.Ahead = 0, c.Memory()+1
	d.openAhead(context.Background(), list)
	require.Equal(t, 4, s.opened)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.opened = 0
	d.openAhead(ctx, list)
	require.Zero(t, s.opened, "nobody wants it any more")
}

// What is opened ahead, and when, as text.
func TestReadAhead(t *testing.T) {
	kit.Scripts(t, func(t *testing.T) func(kit.Event) []string {
		c := &aheadCourse{t: t, catalog: catalog.New()}
		return c.on
	})
}

// aheadCourse drives the read-ahead of one querier.
type aheadCourse struct {
	t       *testing.T
	ahead   readAhead
	catalog *catalog.State
}

func (c *aheadCourse) on(e kit.Event) []string {
	switch e.Name {
	case "start":
		return c.show(c.ahead.onStarted())
	case "announced":
		return c.show(c.ahead.onAnnounced(uint64(e.Int(c.t, "version"))))
	case "published": // t=a:10,b:30: tenant t has got blocks a and b, which end at 10 and 30
		c.publish(e)
		return nil
	case "view":
		return c.show(c.ahead.onView(c.catalog.View()))
	case "no-view":
		return c.show(c.ahead.onView(nil))
	case "opened":
		return c.show(c.ahead.onOpened())
	}
	c.t.Fatalf("unknown event %s", e.Name)
	return nil
}

func (c *aheadCourse) publish(e kit.Event) {
	commit := &blocks.Commit{Seq: c.catalog.View().Version + 1}
	if commit.Seq == 1 {
		commit.Entries = append(commit.Entries, &blocks.Entry{Epoch: &blocks.Epoch{Id: "e", Starts: []int64{7}}})
	}
	for _, tenant := range slices.Sorted(maps.Keys(e.Fields)) {
		add := &blocks.BlocksReplaced{Tenant: tenant}
		for _, f := range strings.Split(e.Fields[tenant], ",") {
			id, end, _ := strings.Cut(f, ":")
			at, err := strconv.ParseUint(end, 10, 64)
			require.NoError(c.t, err)
			add.Outputs = append(add.Outputs, &blocks.BlockMeta{Id: id, Tenant: tenant, Partition: -1, MaxEndUnixNano: at})
		}
		commit.Entries = append(commit.Entries, &blocks.Entry{BlocksReplaced: add})
	}
	require.NoError(c.t, c.catalog.Apply(commit))
}

func (c *aheadCourse) show(s aheadStep) (out []string) {
	if s.askView != nil {
		out = append(out, fmt.Sprintf("ask for the catalog, at least version %d", s.askView.AtLeast))
	}
	if len(s.open) > 0 {
		var ids []string
		for _, m := range s.open {
			ids = append(ids, m.GetId())
		}
		out = append(out, "open "+strings.Join(ids, ","))
	}
	return out
}
