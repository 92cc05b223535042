package catalog

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// contents are the spans of a block, by trace.
type contents map[trace.ID]map[int]bool

// chronicle is a catalog beside what its blocks really hold.
type chronicle struct {
	t       *testing.T
	r       *rand.Rand
	state   *State
	all     map[string]contents // by block id
	live    map[string]bool
	retired map[string]bool
	by      map[string]string // what has replaced a retired block
	seen    []seenVersion     // since the last cut, that one's first
	next    int               // number of the next block
}

// seenVersion is a version that a builder may look for homes in.
type seenVersion struct {
	live map[string]bool
	all  map[string]contents
	view *View
}

func newChronicle(t *testing.T, seed uint64) *chronicle {
	c := &chronicle{t: t, r: rand.New(rand.NewPCG(seed, 7)), state: New(), all: map[string]contents{},
		live: map[string]bool{}, retired: map[string]bool{}, by: map[string]string{}}
	c.apply(&blocks.Entry{Epoch: &blocks.Epoch{Id: "e", Starts: []int64{0}}})
	return c
}

func (c *chronicle) apply(e *blocks.Entry) {
	c.t.Helper()
	require.NoError(c.t, c.state.Apply(&blocks.Commit{Seq: c.state.View().Version + 1, Entries: []*blocks.Entry{e}}))
}

func (c *chronicle) add(spans contents) *blocks.BlockMeta {
	c.next++
	id := fmt.Sprint("block-", c.next)
	c.all[id], c.live[id] = spans, true
	return &blocks.BlockMeta{Id: id, Tenant: "t", Epoch: "e", MaxEndUnixNano: uint64(c.next)}
}

// some returns up to n of the blocks.
func (c *chronicle) some(of map[string]bool, n int) []string {
	list := slices.Sorted(maps.Keys(of))
	c.r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:min(n, len(list))]
}

// publish adds a block, which the builder has compared with the blocks of some version since the
// last cut.
func (c *chronicle) publish() {
	view := c.seen[c.r.IntN(len(c.seen))]
	spans := contents{}
	for range 1 + c.r.IntN(12) {
		id := trace.ID{byte(1 + c.r.IntN(40))}
		spans[id] = map[int]bool{c.r.IntN(60): true, 1000 + c.next: true}
	}
	var list SharedList
	unknown := false
	m := c.add(spans)
	for _, id := range slices.SortedFunc(maps.Keys(spans), func(a, b trace.ID) int { return slices.Compare(a[:], b[:]) }) {
		x, homes := Extent{ID: id, Start: 5, End: 9, Disjoint: true}, []string{m.GetId()}
		for _, other := range slices.Sorted(maps.Keys(view.live)) {
			if holds := view.all[other][id]; holds != nil {
				homes = append(homes, other)
				x.Disjoint = x.Disjoint && areDisjoint(spans[id], holds)
				unknown = unknown || !c.isKnown(other)
			}
		}
		if _, known := view.view.Shared("t").Find(id); known || len(homes) > 1 {
			list.Add(x, homes)
		}
	}
	at, _ := c.state.Covered(0)
	cut := &blocks.PublishCut{Epoch: "e", From: at, To: at + 1, Blocks: []*blocks.BlockMeta{m}}
	if l := list.Message("t"); l != nil {
		cut.SharedTraces = append(cut.SharedTraces, l)
	}
	if unknown {
		require.Error(c.t, c.state.CheckHomes(cut), "a home is forgotten, and so is what has replaced it")
		delete(c.live, m.GetId())
		delete(c.all, m.GetId())
		return
	}
	require.NoError(c.t, c.state.CheckHomes(cut))
	c.apply(&blocks.Entry{CutPublished: cut})
	c.seen = nil
}

// isKnown reports whether the catalog knows a block, and what has replaced it.
func (c *chronicle) isKnown(id string) bool {
	for c.retired[id] && c.by[id] != "" {
		id = c.by[id]
	}
	return c.live[id] || c.retired[id]
}

func areDisjoint(a, b map[int]bool) bool {
	for s := range a {
		if b[s] {
			return false
		}
	}
	return true
}

func (c *chronicle) replace() {
	inputs := c.some(c.live, 2+c.r.IntN(4))
	if len(inputs) < 2 {
		return
	}
	joined := contents{}
	for _, id := range inputs {
		delete(c.live, id)
		c.retired[id] = true
		for x, spans := range c.all[id] {
			if joined[x] == nil {
				joined[x] = map[int]bool{}
			}
			maps.Copy(joined[x], spans)
		}
	}
	output := c.add(joined)
	for _, id := range inputs {
		c.by[id] = output.GetId()
	}
	c.apply(&blocks.Entry{BlocksReplaced: &blocks.BlocksReplaced{Tenant: "t", Inputs: inputs,
		Outputs: []*blocks.BlockMeta{output}}})
}

func (c *chronicle) retire() {
	if list := c.some(c.live, 1); len(list) > 0 {
		delete(c.live, list[0])
		c.retired[list[0]] = true
		c.apply(&blocks.Entry{BlocksRetired: &blocks.BlocksRetired{Tenant: "t", Blocks: list}})
	}
}

func (c *chronicle) forget() {
	list := c.some(c.retired, 1+c.r.IntN(20))
	for _, id := range list {
		delete(c.retired, id)
		delete(c.all, id)
	}
	c.apply(&blocks.Entry{Forgotten: &blocks.Forgotten{Blocks: list}})
}

// dump lists the shared traces with their homes.
func dump(s *SharedTraces) map[Extent][]string {
	out := map[Extent][]string{}
	for x := range s.All() {
		out[x] = slices.Sorted(slices.Values(s.HomesOf(x.ID)))
	}
	return out
}

// check compares the catalog with what the blocks hold. before is what an earlier check returned.
func (c *chronicle) check(before map[Extent][]string) map[Extent][]string {
	must := func(ok bool, what string) { // require is slow
		if !ok {
			require.Fail(c.t, what)
		}
	}
	s := c.state.View().Shared("t")
	now := dump(s)
	must(len(now) == s.Len(), "each trace is listed once")
	byID := map[trace.ID][]string{}
	ofBlock := map[string]map[Extent]bool{}
	repeating := 0
	for x, homes := range now {
		byID[x.ID] = homes
		found, ok := s.Find(x.ID)
		must(ok && found == x, "a trace is listed and not found")
		if !x.Disjoint {
			repeating++
		}
		spans := map[int]bool{}
		for _, h := range homes {
			if ofBlock[h] == nil {
				ofBlock[h] = map[Extent]bool{}
			}
			ofBlock[h][x] = true
			must(c.live[h] || c.retired[h], "a home is forgotten")
			must(c.all[h][x.ID] != nil, "a home does not hold the trace")
			for n := range c.all[h][x.ID] {
				must(!c.live[h] || !x.Disjoint || !spans[n], "a span of a disjoint trace is in two blocks")
				spans[n] = spans[n] || c.live[h]
			}
		}
	}
	for x, homes := range before {
		homes = slices.DeleteFunc(slices.Clone(homes), func(h string) bool { return !c.live[h] && !c.retired[h] })
		must(len(homes) < 2 || holdsAll(byID[x.ID], homes), "a newer set is smaller")
	}
	for n := range 41 {
		id := trace.ID{byte(n)}
		var holders []string
		for h := range c.live {
			if c.all[h][id] != nil {
				holders = append(holders, h)
			}
		}
		homes, shared := byID[id]
		must(!shared && len(holders) < 2 || holdsAll(homes, holders), "a live home is missing")
	}
	must(repeating == count(s.Repeating()), "repeating traces")
	for h := range c.all {
		sum, repeating := Prints{}, 0
		for x := range s.OfBlock(h) {
			must(ofBlock[h][x], "a trace is not of the block")
			delete(ofBlock[h], x)
			sum = sum.add(x.prints())
			if !x.Disjoint {
				repeating++
			}
		}
		must(len(ofBlock[h]) == 0, "a trace of the block is not listed")
		must(sum == c.state.View().PrintsOf("t", h), "prints")
		must(repeating == count(s.RepeatingOf(h)), "repeating traces of a block")
	}
	return now
}

func holdsAll(list, part []string) bool {
	return !slices.ContainsFunc(part, func(x string) bool { return !slices.Contains(list, x) })
}

func count(list func(func(Extent) bool)) (n int) {
	for range list {
		n++
	}
	return n
}

// Whatever happens to blocks, in 10,000 commits: the homes of each shared trace are the blocks that
// hold it, sets never become too small, no trace is called disjoint wrongly, what is kept by block
// fits, and views stay as they were. A catalog that was saved and loaded goes on in the same way.
func TestHomesAreThoseOfTheBlocks(t *testing.T) {
	disjoint := 0
	for seed := range uint64(10) {
		c := newChronicle(t, seed)
		var now map[Extent][]string
		type old struct {
			view *View
			dump map[Extent][]string
		}
		var olds []old
		for n := range 1000 {
			c.seen = append(c.seen, seenVersion{maps.Clone(c.live), maps.Clone(c.all), c.state.View()})
			switch n := c.r.IntN(20); {
			case n < 12:
				c.publish()
			case n < 15 || len(c.live) > 25:
				c.replace()
			case n < 16:
				c.retire()
			case n < 19:
				c.forget()
			default:
				again, err := Restore(proto.Clone(c.state.Snapshot()).(*blocks.Snapshot))
				require.NoError(t, err)
				c.state = again
			}
			if n%8 > 0 { // a check is slow
				continue
			}
			now = c.check(now)
			for x := range now {
				if x.Disjoint {
					disjoint++
				}
			}
			if c.r.IntN(50) == 0 {
				olds = append(olds, old{c.state.View(), now})
			}
		}
		for _, o := range olds {
			require.Equal(t, o.dump, dump(o.view.Shared("t")))
		}
	}
	require.NotZero(t, disjoint)
}
