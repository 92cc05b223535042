package livestore

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// The live-store's decisions, as text: where it begins, what it takes, when a cut is due and how
// far it goes, what it lets go of, and when a question has to wait.
func TestDecisions(t *testing.T) {
	kit.Scripts(t, func(t *testing.T) func(kit.Event) []string {
		cfg := DefaultConfig()
		cfg.SegmentSpans = 4
		s := newState(3, cfg)
		began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		put := s.put
		return func(e kit.Event) []string {
			after, err := time.ParseDuration(cmpOr(e.Fields["at"], "0s"))
			require.NoError(t, err)
			now := began.Add(after)
			age, err := time.ParseDuration(cmpOr(e.Fields["age"], "60s"))
			require.NoError(t, err)
			switch e.Name {
			case "attach":
				s.attach(now, &jobs.CoveredResult{Epoch: e.Fields["epoch"], Version: uint64(e.Int(t, "version")), Covered: e.Int(t, "covered")}, e.Int(t, "end"))
			case "read": // records=tenant,tenant:bytes,… from the next offset on
				s.current = now
				return append(text(s.append(now, batch(t, s, e, now))), show(s))
			case "poison": // the engine breaks at this offset
				s.put = func(g *segment, r kafkalog.Record) error {
					if r.Offset == e.Int(t, "offset") {
						panic("broken")
					}
					return put(g, r)
				}
				return nil
			case "covered":
				s.cover(now, &jobs.CoverageChanged{Epoch: e.Fields["epoch"], Version: uint64(e.Int(t, "version")), Covered: map[int32]int64{3: e.Int(t, "to")}})
			case "second":
				s.expire(now, e.Fields["tight"] != "")
			case "cut":
				m := &jobs.CutJob{Epoch: e.Fields["epoch"], From: e.Int(t, "from"), Bytes: e.Int(t, "bytes"), Age: age, Force: e.Fields["force"] != "", Most: e.Int(t, "most")}
				c := s.cut(now, m, e.Fields["fattest"] != "")
				return append([]string{showCut(c)}, showAside(jobs.SetAside(c.Epoch, s.partition, c.Aside))...)
			case "ask":
				upTo := int64(-1)
				if e.Fields["upto"] != "" {
					upTo = e.Int(t, "upto")
				}
				held, ok := s.ask(now, jobs.Snapshot{Epoch: e.Fields["epoch"], Version: uint64(e.Int(t, "version"))}, cmpOr(e.Fields["tenant"], "a"), e.Int(t, "from"), upTo)
				if !ok {
					return []string{"wait", show(s)}
				}
				return append([]string{fmt.Sprintf("answer floor=%d version=%d", held.Floor, held.Version)}, showAside(held.Aside)...)
			case "fails":
				return []string{"again after " + s.failed(errors.New(e.Fields["err"])).String()}
			default:
				t.Fatalf("unknown event %s", e.Name)
			}
			return []string{show(s)}
		}
	})
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func text(errs []error) (out []string) {
	for _, err := range errs {
		out = append(out, "aside: "+err.Error())
	}
	return out
}

// batch makes records: tenant, tenant:size, or one of the words below.
func batch(t *testing.T, s *state, e kit.Event, now time.Time) kafkalog.Batch {
	b := kafkalog.Batch{Next: s.next, Last: kafkalog.Fingerprint{CRC: uint32(e.Int(t, "crc"))}}
	if e.Fields["offset"] != "" {
		b.Next = e.Int(t, "offset")
	}
	for _, f := range strings.Split(e.Fields["records"], ",") {
		if f == "" {
			continue
		}
		name, size, _ := strings.Cut(f, ":")
		r := kafkalog.Record{Offset: b.Next, Tenant: name, Format: kafkalog.FormatOTLP, Parts: 8, Time: now}
		n := 0
		if size != "" {
			_, err := fmt.Sscan(size, &n)
			require.NoError(t, err)
		}
		r.Value = otlp.Encode(&otlp.Span{Trace: otlp.TraceID(uint64(b.Next)), ID: otlp.SpanID(uint64(b.Next) + 1), Name: strings.Repeat("x", n)})
		switch name {
		case "foreign":
			r.Format = ""
		case "broken":
			r.Value = []byte("\xff")
		case "skewed":
			r.Time = now.Add(time.Hour)
		case "slash":
			r.Tenant = "a/../b"
		}
		b.Records = append(b.Records, r)
		b.Next++
	}
	if e.Fields["next"] != "" {
		b.Next = e.Int(t, "next")
	}
	b.End = b.Next
	return b
}

func show(s *state) string {
	var segments []string
	for _, name := range slices.Sorted(maps.Keys(s.tenants)) {
		for _, g := range s.tenants[name].segments {
			segments = append(segments, fmt.Sprintf("%s[%d,%d)", name, g.From(), g.Next()))
		}
	}
	free, cut := s.uncovered()
	return fmt.Sprintf("%s epoch=%s version=%d [%d, %d) covered=%d uncovered=%d+%d aside=%d %s", s.phase, s.epoch, s.version, s.floor, s.next, s.covered, free, cut, s.setAside,
		strings.Join(segments, " "))
}

func showAside(list []*blocks.SetAside) (out []string) {
	for _, m := range list {
		out = append(out, fmt.Sprintf("%d records of [%d, %d) of tenant %q set aside: %s", m.GetRecords(), m.GetFrom(), m.GetTo(), m.GetTenant(), m.GetReason()))
	}
	return out
}

func showCut(c *jobs.CutResult) string {
	if c.To == c.From {
		return fmt.Sprintf("not due: %d bytes, epoch=%s floor=%d version=%d", c.Bytes, c.Epoch, c.Floor, c.Version)
	}
	var tables []string
	for _, name := range slices.Sorted(maps.Keys(c.Tables)) {
		rows := 0
		for _, t := range c.Tables[name] {
			rows += t.Rows()
		}
		tables = append(tables, fmt.Sprintf("%s=%d", name, rows))
	}
	if c.Last == nil {
		return fmt.Sprintf("cut [%d, %d) of %d bytes, crc of %d is %d, spans %s", c.From, c.To, c.Bytes, c.Later, c.LaterPrint.GetCrc(), strings.Join(tables, " "))
	}
	return fmt.Sprintf("cut [%d, %d) of %d bytes, last=%d parts=%v spans %s", c.From, c.To, c.Bytes, c.Last.GetCrc(), c.Parts, strings.Join(tables, " "))
}

// homes names every trace that lies in a second segment or in a block, with the time of its parts
// in blocks, from whatever segment on a query begins, in whatever order queries, blocks, spans and
// drops come.
func TestHomesMissNone(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		h := newHomes()
		segments := [][]trace.ID{nil} // what each holds, by number
		dropped := 0
		inBlock := map[string]map[trace.ID]bool{}
		var metas []*blocks.BlockMeta
		enter := func() {
			id := otlp.TraceID(1 + uint64(r.IntN(12)))
			last := len(segments) - 1
			if !slices.Contains(segments[last], id) {
				segments[last] = append(segments[last], id)
				h.enter(last, id)
			}
		}
		for range 60 {
			switch r.IntN(6) {
			case 0:
				segments = append(segments, nil)
			case 1:
				m := &blocks.BlockMeta{Id: fmt.Sprint("block-", len(metas))}
				metas = append(metas, m)
				inBlock[m.Id] = map[trace.ID]bool{}
				for range r.IntN(5) {
					inBlock[m.Id][otlp.TraceID(1+uint64(r.IntN(12)))] = true
				}
			case 2:
				if dropped < len(segments)-1 && r.IntN(3) == 0 {
					dropped++
					h.drop(dropped)
				}
			case 3:
				from := dropped + r.IntN(len(segments)-dropped)
				known := metas[:r.IntN(len(metas)+1)] // an older view knows fewer blocks
				held := map[trace.ID]int{}
				for _, s := range segments[from:] {
					for _, id := range s {
						held[id]++
					}
				}
				checks := h.unchecked(known, from)
				for range r.IntN(3) {
					enter() // spans come while the blocks are looked at: they are behind the end of the query
				}
				for _, c := range checks {
					var found []catalog.Extent
					for _, id := range c.ids {
						if inBlock[c.meta.Id][id] {
							found = append(found, extentIn(c.meta, id))
						}
					}
					h.note(from, c, found)
				}
				named := map[trace.ID]catalog.Extent{}
				for _, e := range h.shared(from, func(trace.ID) bool { return false }) {
					require.NotContains(t, named, e.ID, "seed %d: named twice", seed)
					named[e.ID] = e
				}
				for id, homes := range held {
					for _, m := range known {
						if inBlock[m.Id][id] {
							homes++
							x := extentIn(m, id)
							require.Equal(t, named[id], named[id].Join(x), "seed %d: the time of trace %s in %s is not known", seed, id, m.Id)
						}
					}
					require.True(t, named[id].ID == id || homes == 1, "seed %d: trace %s lies in %d homes from segment %d on and is not named", seed, id, homes, from)
				}
			default:
				enter()
			}
		}
	}
}

// extentIn makes up when a trace's part in a block was.
func extentIn(m *blocks.BlockMeta, id trace.ID) catalog.Extent {
	at := 1 + uint64(len(m.Id))*1000 + uint64(m.Id[len(m.Id)-1])*10
	return catalog.Extent{ID: id, Start: at, End: at + 5}
}

// A cut holds the rows of its records, and what is answered beside it the rest: no row in both or
// in neither, wherever the cut falls in a segment.
func TestCutAndRestAreAll(t *testing.T) {
	cfg := DefaultConfig()
	cfg.SegmentSpans = 5
	for covered := range int64(23) {
		s := newState(0, cfg)
		s.attach(time.Time{}, &jobs.CoveredResult{Epoch: "e"}, 0)
		for i := range int64(23) {
			v := otlp.Encode(&otlp.Span{Trace: otlp.TraceID(uint64(i % 7)), ID: otlp.SpanID(uint64(i + 1)), Name: "x"})
			s.append(time.Time{}, kafkalog.Batch{Records: []kafkalog.Record{{Offset: i, Tenant: "a", Format: kafkalog.FormatOTLP, Parts: 1, Value: v}}, Next: i + 1, End: i + 1})
		}
		rows := func(tables []column.Table) (n int) {
			for _, t := range tables {
				n += t.Rows()
			}
			return n
		}
		require.EqualValues(t, covered, rows(s.snapshots("a", 0, covered)))
		require.EqualValues(t, 23-covered, rows(s.snapshots("a", covered, 23)))
	}
}
