package e2e

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/test/kit"
)

// Sending at full rate, kill -9 at a random moment, restart, compare with what was acknowledged:
// nothing missing, nothing double, by id, by search and by count_over_time. Each round has a
// service name of its own, so that the counts can be compared exactly.
func TestKillRounds(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv("TROUPE_KILL_ROUNDS"))
	if rounds == 0 {
		rounds = 5
	}
	if testing.Short() {
		rounds = 1
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	n := kit.NewNode(t)
	n.Config = "block_builder:\n  max_block_bytes: 262144\n  max_block_duration: 1s\n"
	n.Start()
	for round := range rounds {
		service := fmt.Sprintf("round-%d", round)
		acked, unknown := sendUntilKilled(t, n, service, time.Duration(200+r.IntN(1500))*time.Millisecond, r.Uint64())
		n.Start()
		verify(t, n, service, acked, unknown)
		if round%3 == 2 { // what is in blocks only
			require.Equal(t, 0, n.Stop(60*time.Second), n.Log())
			n.Start()
			verify(t, n, service, acked, unknown)
		}
	}
}

const spansPerTrace = 10

// sendUntilKilled returns the ids of acknowledged traces and of those whose request got no answer.
func sendUntilKilled(t *testing.T, n *kit.Node, service string, after time.Duration, seed uint64) (acked, unknown map[string]bool) {
	acked, unknown = map[string]bool{}, map[string]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	for w := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := rand.New(rand.NewPCG(seed, uint64(w)))
			for ctx.Err() == nil {
				body, ids := request(r, service, 10)
				code, _, err := n.Push(ctx, "application/x-protobuf", body)
				mu.Lock()
				for _, id := range ids {
					if err == nil && code == 200 {
						acked[id] = true
					} else if err != nil || code == 503 {
						unknown[id] = true
					}
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		}()
	}
	time.Sleep(after)
	n.Kill()
	cancel()
	wg.Wait()
	t.Logf("%s: %d spans acknowledged, %d without an answer", service, len(acked)*spansPerTrace, len(unknown)*spansPerTrace)
	return acked, unknown
}

func request(r *rand.Rand, service string, traces int) ([]byte, []string) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	ss := rs.ScopeSpans().AppendEmpty()
	var ids []string
	now := time.Now()
	for range traces {
		var id [16]byte
		binary.BigEndian.PutUint64(id[:8], r.Uint64())
		binary.BigEndian.PutUint64(id[8:], r.Uint64()|1)
		ids = append(ids, hex.EncodeToString(id[:]))
		var root [8]byte
		for i := range spansPerTrace {
			s := ss.Spans().AppendEmpty()
			var sid [8]byte
			binary.BigEndian.PutUint64(sid[:], r.Uint64()|1)
			s.SetTraceID(id)
			s.SetSpanID(sid)
			if i == 0 {
				root = sid
			} else {
				s.SetParentSpanID(root)
			}
			s.SetName("op-" + strconv.Itoa(i))
			s.SetStartTimestamp(pcommon.NewTimestampFromTime(now))
			s.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(time.Millisecond)))
			s.Attributes().PutInt("i", int64(i))
		}
	}
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		panic(err)
	}
	return b, ids
}

// verify demands that exactly the acknowledged traces, plus some of the unanswered ones whole, are
// there.
func verify(t *testing.T, n *kit.Node, service string, acked, unknown map[string]bool) {
	t.Helper()
	q := fmt.Sprintf("{ resource.service.name = %q }", service)
	start, end := strconv.FormatInt(time.Now().Unix()-600, 10), strconv.FormatInt(time.Now().Unix()+60, 10)
	var found struct {
		Traces []struct {
			TraceID  string
			SpanSets []struct{ Matched int }
		}
	}
	n.GetJSON(&found, "/api/search", "q", q, "start", start, "end", end, "limit", "200000")
	seen := map[string]bool{}
	spans := 0
	for _, tr := range found.Traces {
		id := fmt.Sprintf("%032s", tr.TraceID)
		require.False(t, seen[id], "%s twice in one search", id)
		seen[id] = true
		require.True(t, acked[id] || unknown[id], "%s was never sent", id)
		require.Len(t, tr.SpanSets, 1)
		if acked[id] {
			require.Equal(t, spansPerTrace, tr.SpanSets[0].Matched, "matched spans of acknowledged trace %s", id)
		}
		spans += tr.SpanSets[0].Matched
	}
	for id := range acked {
		require.True(t, seen[id], "acknowledged trace %s is not found by the search (%d of %d)", id, len(seen), len(acked))
	}
	i := 0
	for id := range acked {
		if i++; i > 300 {
			break
		}
		require.Len(t, fetch(t, n, id), spansPerTrace, "trace %s by id", id)
	}
	var series struct {
		Series []struct{ Samples []struct{ Value float64 } }
	}
	n.GetJSON(&series, "/api/metrics/query_range", "q", q+" | count_over_time()", "start", start, "end", end, "step", "10s")
	counted := 0.0
	for _, s := range series.Series {
		for _, p := range s.Samples {
			counted += p.Value
		}
	}
	require.Equal(t, float64(spans), counted, "count_over_time against the search, %s (%s)", service, url.QueryEscape(q))
}
