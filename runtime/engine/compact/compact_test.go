package compact

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

const day = 20_000 // in 2024

// at is a time of the day.
func at(d time.Duration) time.Time { return EndOfDay(day - 1).Add(d) }

// newBlock makes a block of partition 0 that arrived at a time.
func newBlock(id string, level int32, spans, from int64, arrived time.Time) *blocks.BlockMeta {
	return &blocks.BlockMeta{Id: id, Tenant: "t", Epoch: "e", From: from, To: from + 10, Spans: spans, Bytes: 40 * spans, Level: level,
		MinArrivalUnixNano: arrived.Add(-time.Minute).UnixNano(), MaxArrivalUnixNano: arrived.UnixNano()}
}

// neighbours makes blocks "a", "b" and so on, one after another, with these numbers of spans.
func neighbours(level int32, spans ...int64) (out []*blocks.BlockMeta) {
	for i, n := range spans {
		out = append(out, newBlock(string(rune('a'+i)), level, n, int64(i)*10, at(time.Duration(i+1)*time.Minute)))
	}
	return out
}

// show prints jobs by the ids of their inputs, with the level of the output.
func show(jobs []Job) string {
	var out []string
	for _, j := range jobs {
		s := fmt.Sprintf("%d:", j.Level())
		for _, m := range j.Inputs {
			s += m.GetId()
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func none(*blocks.BlockMeta) bool { return false }

func TestPlan(t *testing.T) {
	limits := Limits{MaxSpans: 1000}
	noon, night := at(12*time.Hour), at(25*time.Hour)
	for name, c := range map[string]struct {
		list  []*blocks.BlockMeta
		taken string
		now   time.Time
		want  string
	}{
		"three neighbours wait":                 {neighbours(0, 10, 10, 10), "", noon, ""},
		"four are merged":                       {neighbours(0, 10, 10, 10, 10), "", noon, "1:abcd"},
		"eight at most":                         {neighbours(0, 10, 10, 10, 10, 10, 10, 10, 10, 10), "", noon, "1:abcdefgh"},
		"the size differs by a factor of four":  {neighbours(0, 10, 40, 39, 11, 41, 10, 10), "", noon, "1:abcd"},
		"a large one parts its neighbours":      {neighbours(0, 10, 10, 90, 10, 10), "", noon, ""},
		"one that is being merged parts them":   {neighbours(0, 10, 10, 10, 10, 10, 10), "c", noon, ""},
		"fewer than four fill a block":          {neighbours(0, 400, 400, 400), "", noon, "1:ab"},
		"a full one stays as it is":             {neighbours(0, 900, 900, 900, 900, 900), "", noon, ""},
		"twice merged ones wait for the night":  {neighbours(2, 10, 10, 10, 10), "", noon, ""},
		"the level is one above the highest":    {append(neighbours(0, 10, 10, 10), newBlock("z", 1, 10, 30, at(time.Hour))), "", noon, "2:abcz"},
		"not at once when the day is over":      {neighbours(0, 10, 90), "", at(24*time.Hour + 59*time.Minute), ""},
		"an hour later whatever fits":           {neighbours(0, 10, 90, 900, 500, 400, 300), "", night, "3:abc 3:de"},
		"the levels of a day that is over":      {neighbours(2, 10, 90), "", night, "3:ab"},
		"once in the night is enough":           {neighbours(3, 10, 90), "", night, ""},
		"of one block nothing can be merged":    {neighbours(0, 10), "", night, ""},
		"taken blocks part those of the night":  {neighbours(0, 10, 10, 10, 10, 10), "c", night, "3:ab 3:de"},
		"blocks without spans are merged, too":  {neighbours(0, 0, 0, 0, 0), "", noon, "1:abcd"},
		"the newest day comes first":            {append(neighbours(0, 10, 10), newBlock("y", 0, 10, 0, at(-time.Hour)), newBlock("z", 0, 10, 10, at(-time.Minute))), "", night, "3:ab 3:yz"},
		"days are not mixed":                    {[]*blocks.BlockMeta{newBlock("a", 0, 10, 0, at(-time.Minute)), newBlock("b", 0, 10, 10, at(time.Minute))}, "", night, ""},
		"a cut across midnight is of the later": {[]*blocks.BlockMeta{newBlock("a", 0, 10, 0, at(time.Second)), newBlock("b", 0, 10, 10, at(time.Hour))}, "", night, "3:ab"},
	} {
		taken := func(m *blocks.BlockMeta) bool { return strings.Contains(c.taken, m.GetId()) }
		require.Equal(t, c.want, show(Plan(c.list, taken, limits, c.now)), name)
	}
}

// During the day the blocks of a partition meet, and of an epoch. When it is over, partitions with
// few spans are merged with each other.
func TestPlanOfPartitions(t *testing.T) {
	var list []*blocks.BlockMeta
	for p := range int32(4) {
		for i, m := range neighbours(0, 10, 10, 10) {
			m.Id = fmt.Sprintf("%d%c ", p, 'a'+i)
			m.Partition = p
			list = append(list, m)
		}
	}
	limits := Limits{MaxSpans: 1 << 30}
	require.Empty(t, Plan(list, none, limits, at(12*time.Hour)))
	require.Equal(t, "3:0a 0b 0c 1a 1b 1c 2a 2b 2c 3a 3b 3c ", show(Plan(list, none, limits, at(26*time.Hour))))
	for _, m := range list[:3] {
		m.Spans = fewSpans
	}
	require.Equal(t, "3:0a 0b 0c  3:1a 1b 1c 2a 2b 2c 3a 3b 3c ", show(Plan(list, none, limits, at(26*time.Hour))))
	for i, m := range list {
		m.Epoch = []string{"e", "f"}[i%2]
	}
	require.Empty(t, Plan(list, none, limits, at(12*time.Hour)))
}

// The plan does not depend on the order of the blocks, and names none twice.
func TestPlanIsAFunctionOfTheBlocks(t *testing.T) {
	list := neighbours(0, 10, 20, 10, 30, 10, 40, 12, 9, 300, 10, 10, 10, 10, 200, 300, 250)
	want := show(Plan(list, none, Limits{MaxSpans: 1000}, at(time.Hour)))
	require.NotEmpty(t, want)
	for range len(list) {
		list = append(list[1:], list[0])
		require.Equal(t, want, show(Plan(list, none, Limits{MaxSpans: 1000}, at(time.Hour))))
	}
}
