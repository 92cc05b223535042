package e2e

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// longTraceSpans is the size of the trace of TestLongTrace, unless LONG_TRACE_SPANS names another.
const longTraceSpans = 150_000

// A trace that is too large to be held in memory is accepted, and comes back whole from live
// segments and from blocks: every span once, whatever was sent twice, and in the same bytes each
// time. It is sent while it is read: clients that have taken the beginning and wait cost the node
// much less than the trace has bytes, each. Pages join to the whole.
func TestLongTrace(t *testing.T) {
	spans := longTraceSpans
	if s := os.Getenv("LONG_TRACE_SPANS"); s != "" {
		var err error
		spans, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	n := kit.NewNode(t)
	n.Start()
	id := otlp.TraceID(0x1234567890abcdef)
	pushLongTrace(t, n, id, spans)

	first := readLongTrace(t, n, id)
	require.Equal(t, spans, first.spans)
	require.Equal(t, spans, first.distinct)
	require.Greater(t, first.bytes, spans*300)

	const clients = 4
	before := residentBytes(t, n)
	var begun, ended sync.WaitGroup
	goOn := make(chan struct{})
	begun.Add(clients)
	for range clients {
		ended.Go(func() {
			resp, err := openTrace(n, "/api/traces/"+id.String())
			if err != nil {
				t.Error(err)
				begun.Done()
				return
			}
			defer resp.Body.Close()
			h, beginning := sha256.New(), make([]byte, 64<<10)
			_, err = io.ReadFull(resp.Body, beginning)
			begun.Done()
			h.Write(beginning)
			<-goOn
			_, copied := io.Copy(h, resp.Body)
			if err != nil || copied != nil || [32]byte(h.Sum(nil)) != first.hash {
				t.Errorf("a client that waits gets other bytes: %v, %v", err, copied)
			}
		})
	}
	begun.Wait()
	time.Sleep(time.Second) // the node reads as far ahead as it does
	var running struct{ Queries []struct{ State string } }
	n.GetJSON(&running, "/api/queries")
	require.Len(t, running.Queries, clients)
	grown := residentBytes(t, n) - before
	close(goOn)
	ended.Wait()
	require.Less(t, grown, int64(clients)*48<<20, "growth for %d clients that wait, each for %d bytes", clients, first.bytes)

	require.Zero(t, n.Stop(time.Minute)) // what is left is cut
	n.Start()
	require.Equal(t, first, readLongTrace(t, n, id))
	require.NotContains(t, metricsOf(n), "troupe_backend_scheduler_blocks 0\n")

	pages, next := idVisitor{}, ""
	count := 0
	for again := true; again; count++ {
		resp, err := openTrace(n, "/api/v2/traces/"+id.String()+"?page_bytes=20000000&page="+next)
		require.NoError(t, err)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Less(t, len(b), 40_000_000)
		var m api.TraceByIDResponse
		require.NoError(t, proto.Unmarshal(b, &m))
		next = resp.Trailer.Get("Troupe-Next-Page")
		again = next != ""
		require.Equal(t, again, m.Status == api.PartialStatus_PARTIAL)
		require.Equal(t, again, strings.HasSuffix(m.Message, "page="+next) && next != "")
		part, err := proto.Marshal(m.Trace)
		require.NoError(t, err)
		var r trace.Reader
		require.NoError(t, r.Walk(part, &pages))
	}
	require.Equal(t, []int{spans, spans}, []int{pages.spans, len(pages.ids)})
	require.Greater(t, count, first.bytes/30_000_000)
}

// pushLongTrace sends a trace of so many spans in requests of 2000, every tenth request twice.
func pushLongTrace(t *testing.T, n *kit.Node, id trace.ID, spans int) {
	r := rand.New(rand.NewPCG(1, 2))
	began := uint64(time.Now().Add(-10 * time.Minute).UnixNano())
	text := strings.Repeat("x", 250)
	for from := 0; from < spans; from += 2000 {
		res := &otlp.Resource{Attrs: []otlp.Attr{{Key: "service.name", Value: fmt.Sprint("worker-", from/2000%7)}}}
		var list []*otlp.Span
		for i := from; i < min(from+2000, spans); i++ {
			s := &otlp.Span{Trace: id, ID: otlp.SpanID(uint64(i)*0x9e3779b97f4a7c15 | 1), Name: fmt.Sprint("step ", i%50), Resource: res,
				Start: began + uint64(i)*1000 + uint64(r.IntN(5_000_000))}
			s.End = s.Start + uint64(r.IntN(1_000_000))
			if i > 0 {
				s.Parent = otlp.SpanID(uint64(i/8)*0x9e3779b97f4a7c15 | 1)
			}
			s.Attrs = []otlp.Attr{{Key: "item", Value: i}, {Key: "text", Value: text[:200+r.IntN(50)] + strconv.Itoa(r.IntN(1000))}}
			list = append(list, s)
		}
		body := otlp.Encode(list...)
		for range 1 + (from/2000%10)/9 {
			for {
				code, answer, err := n.Push(t.Context(), "application/x-protobuf", body)
				require.NoError(t, err)
				if code == 200 {
					break
				}
				require.Equal(t, 429, code, string(answer))
				time.Sleep(100 * time.Millisecond)
			}
		}
	}
}

// openTrace asks for a trace as protobuf.
func openTrace(n *kit.Node, path string) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+n.HTTP+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/protobuf")
	resp, err := (&http.Transport{DisableCompression: true}).RoundTrip(req)
	if err == nil && resp.StatusCode != 200 {
		b, _ := io.ReadAll(resp.Body)
		return nil, fmt.Errorf("%s: %s", resp.Status, b)
	}
	return resp, err
}

// traceReading is what a client finds in a trace.
type traceReading struct {
	bytes, spans, distinct int
	hash                   [32]byte
}

func readLongTrace(t *testing.T, n *kit.Node, id trace.ID) traceReading {
	resp, err := openTrace(n, "/api/traces/"+id.String())
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "true", resp.Trailer.Get("Troupe-Complete"))
	v := idVisitor{}
	var r trace.Reader
	require.NoError(t, r.Walk(b, &v))
	return traceReading{bytes: len(b), spans: v.spans, distinct: len(v.ids), hash: sha256.Sum256(b)}
}

type idVisitor struct {
	spans int
	ids   map[uint64]bool
}

func (*idVisitor) Resource([]byte) error { return nil }
func (*idVisitor) Scope([]byte) error    { return nil }
func (v *idVisitor) Span(s *trace.Span) error {
	if v.ids == nil {
		v.ids = map[uint64]bool{}
	}
	v.spans++
	v.ids[binary.BigEndian.Uint64(s.SpanID[:])] = true
	return nil
}

// residentBytes is the resident memory of a node.
func residentBytes(t *testing.T, n *kit.Node) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", n.Pid()))
	require.NoError(t, err)
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	require.NoError(t, err)
	return pages * int64(os.Getpagesize())
}

func metricsOf(n *kit.Node) string {
	_, b := n.Get("/metrics")
	return string(b)
}
