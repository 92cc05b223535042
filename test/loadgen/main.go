// Command loadgen makes a deterministic corpus of OTLP trace requests, sends it to a backend as
// fast as the backend takes it, and times a fixed suite of queries of Tempo's API. The figures of
// docs/benchmarks.md are measured with it: the same bytes and the same queries go to every system
// that is compared.
//
//	loadgen gen   -spans 1000000 -seed 7 -window 10m -out corpus.bin     a corpus that ends now
//	loadgen split -in corpus.bin -percent 5 -first a.bin -second b.bin   halves that have so many traces in common
//	loadgen send  -in corpus.bin -grpc 127.0.0.1:4317 -conc 8            sends OTLP over gRPC, prints spans/s
//	loadgen query -url http://127.0.0.1:3200 -in corpus.bin -n 10        p50 and p95 of each query, and a digest
//	loadgen usage -pid 123                                               CPU seconds and RSS of a process
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

func main() {
	if len(os.Args) < 2 {
		fail("loadgen gen|split|send|query|usage")
	}
	switch os.Args[1] {
	case "gen":
		gen(os.Args[2:])
	case "split":
		split(os.Args[2:])
	case "send":
		send(os.Args[2:])
	case "query":
		query(os.Args[2:])
	case "usage":
		usage(os.Args[2:])
	default:
		fail("unknown verb " + os.Args[1])
	}
}

func fail(a ...any) { fmt.Fprintln(os.Stderr, a...); os.Exit(2) }

// ---- corpus ----------------------------------------------------------------

type header struct {
	Spans, Traces int
	Start, End    int64 // unix seconds, outer bounds
	SampleIDs     []string
	Requests      int
}

var services = []string{"frontend", "checkout", "cart", "catalog", "currency", "payment", "shipping", "email", "ads", "recommend",
	"auth", "inventory", "search", "billing", "gateway", "orders", "users", "reviews", "geo", "notify"}
var methods = []string{"GET", "POST", "PUT", "DELETE", "PATCH"}
var dbs = []string{"postgresql", "redis", "mysql", "mongodb"}

func gen(args []string) {
	fs := flag.NewFlagSet("gen", flag.ExitOnError)
	n := fs.Int("spans", 1000000, "spans")
	seed := fs.Uint64("seed", 7, "seed")
	window := fs.Duration("window", 10*time.Minute, "time window of the corpus")
	lag := fs.Duration("lag", 0, "the corpus ends this long before now")
	batch := fs.Int("batch", 500, "spans a request, about")
	size := fs.Int("size", 0, "spans a trace; 0: 5 to 60")
	out := fs.String("out", "corpus.bin", "file")
	one := fs.Bool("one", false, "all spans are of one trace: the roots of the others are below the first root")
	fs.Parse(args)
	r := rand.New(rand.NewPCG(*seed, 1))
	var into *root
	if *one {
		into = &root{}
	}
	end := time.Now().Add(-*lag)
	h := header{Start: end.Add(-*window).Unix() - 1, End: end.Unix() + 30}
	var bodies [][]byte
	td := ptrace.NewTraces()
	inBatch := 0
	flush := func() {
		if inBatch == 0 {
			return
		}
		b, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
		if err != nil {
			fail(err)
		}
		bodies = append(bodies, b)
		td = ptrace.NewTraces()
		inBatch = 0
	}
	for h.Spans < *n {
		at := end.Add(-time.Duration(r.Int64N(int64(*window))))
		k, id := trace(r, td, at, *size, into)
		h.Spans += k
		h.Traces++
		inBatch += k
		if (h.Traces%997 == 1 && !*one || h.Traces == 1) && len(h.SampleIDs) < 200 {
			h.SampleIDs = append(h.SampleIDs, id)
		}
		if inBatch >= *batch {
			flush()
		}
	}
	flush()
	store(*out, h, bodies)
}

// store writes a corpus to a file.
func store(path string, h header, bodies [][]byte) {
	f, err := os.Create(path)
	if err != nil {
		fail(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	h.Requests = len(bodies)
	hb, _ := json.Marshal(h)
	put := func(b []byte) {
		var l [4]byte
		binary.LittleEndian.PutUint32(l[:], uint32(len(b)))
		w.Write(l[:])
		w.Write(b)
	}
	put(hb)
	total := 0
	for _, b := range bodies {
		put(b)
		total += len(b)
	}
	if err := w.Flush(); err != nil {
		fail(err)
	}
	f.Close()
	fmt.Printf("%d spans, %d traces, %d requests, %.1f MB (%.0f B/span)\n", h.Spans, h.Traces, h.Requests, float64(total)/1e6, float64(total)/float64(h.Spans))
}

// split divides a corpus into two of about the same size, to be sent one after the other. Of the
// given percentage of the traces the later half of the spans is in the second; each of the others
// is in one of the two as a whole.
func split(args []string) {
	fs := flag.NewFlagSet("split", flag.ExitOnError)
	in := fs.String("in", "corpus.bin", "corpus")
	percent := fs.Uint64("percent", 100, "traces that are in both")
	first := fs.String("first", "first.bin", "file")
	second := fs.String("second", "second.bin", "file")
	fs.Parse(args)
	h, bodies := load(*in)
	var halves [2]header
	var out [2][][]byte
	for n, body := range bodies {
		spans := map[pcommon.TraceID]int{}
		each := func(td ptrace.Traces, f func(ptrace.Span) bool) {
			td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
				rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
					ss.Spans().RemoveIf(f)
					return ss.Spans().Len() == 0
				})
				return rs.ScopeSpans().Len() == 0
			})
		}
		for side := range 2 {
			req := ptraceotlp.NewExportRequest()
			if err := req.UnmarshalProto(body); err != nil {
				fail(err)
			}
			td, seen := req.Traces(), map[pcommon.TraceID]int{}
			if side == 0 {
				each(td, func(s ptrace.Span) bool { spans[s.TraceID()]++; return false })
			}
			each(td, func(s ptrace.Span) bool {
				id := s.TraceID()
				seen[id]++
				at := n % 2 // a whole trace
				if chance := binary.BigEndian.Uint64(id[8:]); chance%100 < *percent {
					at = min(2*(seen[id]-1)/spans[id], 1)
				}
				return at != side
			})
			if td.SpanCount() == 0 {
				continue
			}
			b, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
			if err != nil {
				fail(err)
			}
			halves[side].Spans += td.SpanCount()
			halves[side].Traces += len(spans)
			out[side] = append(out[side], b)
		}
	}
	for side, path := range []string{*first, *second} {
		x := h
		x.Spans, x.Traces = halves[side].Spans, halves[side].Traces
		store(path, x, out[side])
	}
}

// root is the root of the trace that all spans belong to.
type root struct {
	trace [16]byte
	span  [8]byte
}

// trace appends one trace, or a part of the trace of into: a tree of 5..60 spans over several
// services, or of size spans.
func trace(r *rand.Rand, td ptrace.Traces, at time.Time, size int, into *root) (int, string) {
	var tid [16]byte
	binary.BigEndian.PutUint64(tid[:8], r.Uint64())
	binary.BigEndian.PutUint64(tid[8:], r.Uint64())
	isRoot := true
	if into != nil {
		if isRoot = into.trace == [16]byte{}; isRoot {
			into.trace = tid
		}
		tid = into.trace
	}
	count := 5 + int(math.Min(55, r.ExpFloat64()*18))
	if size > 0 {
		count = size
	}
	scopes := map[string]ptrace.ScopeSpans{}
	type node struct {
		id    [8]byte
		start int64
		dur   int64
		svc   int
	}
	nodes := make([]node, 0, count)
	rootDur := int64(float64(20*time.Millisecond) * math.Exp(r.NormFloat64()))
	failed := r.IntN(50) == 0
	user := fmt.Sprintf("user-%d", r.IntN(200000))
	for i := 0; i < count; i++ {
		var nd node
		binary.BigEndian.PutUint64(nd.id[:], r.Uint64()|1)
		parent := -1
		if i == 0 {
			nd.start, nd.dur, nd.svc = at.UnixNano(), rootDur, r.IntN(2)*14
		} else {
			parent = i - 1 - int(math.Min(float64(i-1), r.ExpFloat64()*3))
			p := nodes[parent]
			nd.start = p.start + r.Int64N(p.dur/2+1)
			nd.dur = (p.dur-(nd.start-p.start))*int64(20+r.IntN(75))/100 + 1
			nd.svc = p.svc
			if r.IntN(3) == 0 {
				nd.svc = (p.svc*7 + r.IntN(4) + 1) % len(services)
			}
		}
		nodes = append(nodes, nd)
		svc := services[nd.svc]
		ss, ok := scopes[svc]
		if !ok {
			rs := td.ResourceSpans().AppendEmpty()
			a := rs.Resource().Attributes()
			pod := r.IntN(8)
			a.PutStr("service.name", svc)
			a.PutStr("service.version", fmt.Sprintf("1.%d.0", nd.svc%5))
			a.PutStr("deployment.environment", []string{"prod", "staging"}[nd.svc%2])
			a.PutStr("k8s.namespace.name", "ns-"+svc[:2])
			a.PutStr("k8s.cluster.name", "eu-west-1a")
			a.PutStr("k8s.pod.name", fmt.Sprintf("%s-7d9f-%02d", svc, pod))
			a.PutStr("host.name", fmt.Sprintf("node-%02d", (nd.svc*8+pod)%40))
			a.PutStr("cloud.region", "eu-west-1")
			a.PutStr("telemetry.sdk.language", []string{"go", "java", "python"}[nd.svc%3])
			a.PutInt("process.pid", int64(100+pod))
			ss = rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName("otelhttp")
			ss.Scope().SetVersion("0.58.0")
			scopes[svc] = ss
		}
		s := ss.Spans().AppendEmpty()
		s.SetTraceID(tid)
		s.SetSpanID(nd.id)
		switch {
		case parent >= 0:
			s.SetParentSpanID(nodes[parent].id)
		case !isRoot:
			s.SetParentSpanID(into.span)
		case into != nil:
			into.span = nd.id
		}
		s.SetStartTimestamp(pcommon.Timestamp(nd.start))
		s.SetEndTimestamp(pcommon.Timestamp(nd.start + nd.dur))
		a := s.Attributes()
		kind := i % 4
		switch kind {
		case 0, 1:
			route := fmt.Sprintf("/api/%s/v%d/{id}", svc, r.IntN(3))
			m := methods[min(r.IntN(8), 4)]
			s.SetName(m + " " + route)
			s.SetKind(ptrace.SpanKindServer)
			a.PutStr("http.request.method", m)
			a.PutStr("http.route", route)
			a.PutStr("url.path", fmt.Sprintf("/api/%s/v1/%d", svc, r.IntN(100000)))
			code := int64(200)
			if failed && i > count/2 {
				code = 500
			} else if r.IntN(40) == 0 {
				code = 404
			}
			a.PutInt("http.response.status_code", code)
			a.PutStr("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36")
			a.PutStr("client.address", fmt.Sprintf("10.%d.%d.%d", r.IntN(4), r.IntN(256), r.IntN(256)))
			a.PutStr("enduser.id", user)
			a.PutInt("http.response.body.size", int64(r.IntN(20000)))
			if code == 500 {
				s.Status().SetCode(ptrace.StatusCodeError)
				s.Status().SetMessage("upstream timed out")
				e := s.Events().AppendEmpty()
				e.SetName("exception")
				e.SetTimestamp(pcommon.Timestamp(nd.start + nd.dur/2))
				e.Attributes().PutStr("exception.type", "TimeoutError")
				e.Attributes().PutStr("exception.message", fmt.Sprintf("deadline exceeded after %dms", r.IntN(5000)))
			}
		case 2:
			db := dbs[r.IntN(len(dbs))]
			table := services[r.IntN(len(services))]
			s.SetName("SELECT " + table)
			s.SetKind(ptrace.SpanKindClient)
			a.PutStr("db.system", db)
			a.PutStr("db.namespace", "app")
			a.PutStr("db.query.text", fmt.Sprintf("SELECT * FROM %s WHERE id = $1 AND shard = %d", table, r.IntN(64)))
			a.PutStr("server.address", db+".internal")
			a.PutInt("server.port", 5432)
			a.PutInt("db.response.returned_rows", int64(r.IntN(100)))
		case 3:
			callee := services[(nd.svc*7+1)%len(services)]
			s.SetName(callee + "/Call")
			s.SetKind(ptrace.SpanKindClient)
			a.PutStr("rpc.system", "grpc")
			a.PutStr("rpc.service", callee)
			a.PutStr("rpc.method", "Call")
			a.PutInt("rpc.grpc.status_code", 0)
			a.PutStr("messaging.message.id", fmt.Sprintf("%016x", r.Uint64()))
			a.PutBool("retry", r.IntN(20) == 0)
			a.PutDouble("queue.wait", r.Float64())
		}
	}
	return count, hex.EncodeToString(tid[:])
}

func load(path string) (header, [][]byte) {
	f, err := os.Open(path)
	if err != nil {
		fail(err)
	}
	defer f.Close()
	rd := bufio.NewReaderSize(f, 1<<20)
	next := func() []byte {
		var l [4]byte
		if _, err := io.ReadFull(rd, l[:]); err != nil {
			return nil
		}
		b := make([]byte, binary.LittleEndian.Uint32(l[:]))
		if _, err := io.ReadFull(rd, b); err != nil {
			return nil
		}
		return b
	}
	var h header
	json.Unmarshal(next(), &h)
	var bodies [][]byte
	for b := next(); b != nil; b = next() {
		bodies = append(bodies, b)
	}
	return h, bodies
}

// ---- send ------------------------------------------------------------------

type raw struct{}

func (raw) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil }
func (raw) Unmarshal(b []byte, v any) error { *v.(*[]byte) = b; return nil }
func (raw) Name() string                    { return "proto" }

func send(args []string) {
	fs := flag.NewFlagSet("send", flag.ExitOnError)
	in := fs.String("in", "corpus.bin", "corpus")
	addr := fs.String("grpc", "127.0.0.1:4317", "OTLP/gRPC address")
	httpURL := fs.String("http", "", "OTLP/HTTP URL instead, e.g. http://127.0.0.1:4318/v1/traces")
	conc := fs.Int("conc", 8, "requests in flight")
	rate := fs.Float64("rate", 0, "spans a second; 0: as fast as taken")
	tenant := fs.String("tenant", "", "X-Scope-OrgID")
	fs.Parse(args)
	h, bodies := load(*in)
	var conn *grpc.ClientConn
	var err error
	if *httpURL == "" {
		conn, err = grpc.NewClient(*addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			fail(err)
		}
	}
	hc := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: *conc}}
	var failed, retried atomic.Int64
	var mu sync.Mutex
	lats := make([]float64, 0, len(bodies))
	var firstErr atomic.Value
	start := time.Now()
	work := make(chan int)
	var wg sync.WaitGroup
	for range *conc {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range work {
				t0 := time.Now()
				var err error
				for try := 0; try < 10; try++ {
					ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
					if *tenant != "" {
						ctx = metadata.AppendToOutgoingContext(ctx, "x-scope-orgid", *tenant)
					}
					if conn != nil {
						var out []byte
						err = conn.Invoke(ctx, "/opentelemetry.proto.collector.trace.v1.TraceService/Export", &bodies[i], &out, grpc.ForceCodec(raw{}))
					} else {
						req, _ := http.NewRequestWithContext(ctx, "POST", *httpURL, strings.NewReader(string(bodies[i])))
						req.Header.Set("Content-Type", "application/x-protobuf")
						if *tenant != "" {
							req.Header.Set("X-Scope-OrgID", *tenant)
						}
						var resp *http.Response
						resp, err = hc.Do(req)
						if err == nil {
							io.Copy(io.Discard, resp.Body)
							resp.Body.Close()
							if resp.StatusCode != 200 {
								err = fmt.Errorf("status %d", resp.StatusCode)
							}
						}
					}
					cancel()
					if err == nil {
						break
					}
					firstErr.CompareAndSwap(nil, err.Error())
					retried.Add(1)
					time.Sleep(100 * time.Millisecond)
				}
				if err != nil {
					failed.Add(1)
				}
				mu.Lock()
				lats = append(lats, time.Since(t0).Seconds()*1e3)
				mu.Unlock()
			}
		}()
	}
	per := float64(h.Spans) / float64(len(bodies))
	for i := range bodies {
		if *rate > 0 {
			due := start.Add(time.Duration(float64(i) * per / *rate * 1e9))
			time.Sleep(time.Until(due))
		}
		work <- i
	}
	close(work)
	wg.Wait()
	el := time.Since(start).Seconds()
	sort.Float64s(lats)
	fmt.Printf("sent %d spans in %.2fs = %.0f spans/s; request p50 %.1fms p99 %.1fms; retried %d failed %d first error %v\n",
		h.Spans, el, float64(h.Spans)/el, pct(lats, .5), pct(lats, .99), retried.Load(), failed.Load(), firstErr.Load())
}

func pct(v []float64, p float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	return v[min(len(v)-1, int(float64(len(v))*p))]
}

// ---- query -----------------------------------------------------------------

type q struct{ name, path string }

func query(args []string) {
	fs := flag.NewFlagSet("query", flag.ExitOnError)
	base := fs.String("url", "http://127.0.0.1:3200", "Tempo API")
	in := fs.String("in", "corpus.bin", "corpus the queries are about")
	n := fs.Int("n", 10, "runs of each query")
	tenant := fs.String("tenant", "", "X-Scope-OrgID")
	only := fs.String("only", "", "names containing this")
	asJSON := fs.Bool("json", false, "one JSON object a line")
	metrics := fs.String("metrics", "", "one metrics query in place of the suite")
	start := fs.Int64("start", 0, "unix seconds; 0: where the corpus begins")
	end := fs.Int64("end", 0, "unix seconds; 0: where the corpus ends")
	fs.Parse(args)
	h, _ := load(*in)
	if *start > 0 {
		h.Start = *start
	}
	if *end > 0 {
		h.End = *end
	}
	win := fmt.Sprintf("start=%d&end=%d", h.Start, h.End)
	s := func(tql string, extra string) string {
		return "/api/search?" + win + "&limit=20" + extra + "&q=" + url.QueryEscape(tql)
	}
	m := func(tql string) string {
		return "/api/metrics/query_range?" + win + "&step=15s&q=" + url.QueryEscape(tql)
	}
	suite := []q{
		{"trace_by_id", ""},
		{"search_service", s(`{ resource.service.name = "checkout" }`, "")},
		{"search_error", s(`{ status = error }`, "")},
		{"search_needle", s(`{ span.url.path = "/api/cart/v1/4242" }`, "&spss=10")},
		{"search_nomatch", s(`{ span.enduser.id = "nobody" }`, "")},
		{"search_regex", s(`{ span.db.query.text =~ ".*FROM billing.*shard = 17" }`, "")},
		{"search_duration", s(`{ span.http.response.status_code = 500 && duration > 100ms }`, "")},
		{"search_unscoped", s(`{ .rpc.service = "cart" && .retry = true }`, "")},
		{"search_struct", s(`{ resource.service.name = "frontend" } >> { status = error }`, "")},
		{"search_agg", s(`{ span.db.system = "redis" } | count() > 5`, "")},
		{"search_exhaustive", "/api/search?" + win + "&limit=100000&q=" + url.QueryEscape(`{ span.http.response.status_code = 404 && resource.service.name = "gateway" }`)},
		{"metrics_rate", m(`{ } | rate()`)},
		{"metrics_rate_by", m(`{ status = error } | rate() by (resource.service.name)`)},
		{"metrics_quantile", m(`{ kind = server } | quantile_over_time(duration, .5, .99) by (span.http.route)`)},
		{"metrics_filtered", m(`{ span.http.response.status_code = 500 } | count_over_time() by (span.http.route)`)},
		{"tags", "/api/v2/search/tags?" + win},
		{"tag_values", "/api/v2/search/tag/resource.service.name/values?" + win},
		{"tag_values_filtered", "/api/v2/search/tag/span.http.route/values?" + win + "&q=" + url.QueryEscape(`{ resource.service.name = "cart" }`)},
	}
	if *metrics != "" {
		suite = []q{{"metrics", m(*metrics)}}
	}
	hc := &http.Client{Timeout: 120 * time.Second}
	get := func(p string) (int, []byte, time.Duration) {
		req, _ := http.NewRequest("GET", *base+p, nil)
		if *tenant != "" {
			req.Header.Set("X-Scope-OrgID", *tenant)
		}
		t0 := time.Now()
		resp, err := hc.Do(req)
		if err != nil {
			return 0, []byte(err.Error()), time.Since(t0)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, b, time.Since(t0)
	}
	if !*asJSON {
		fmt.Printf("%-20s %8s %8s %8s  %s\n", "query", "first", "p50", "p95", "result")
	}
	for _, t := range suite {
		if *only != "" && !strings.Contains(t.name, *only) {
			continue
		}
		var lats []float64
		var first float64
		digest := ""
		for i := range *n {
			p := t.path
			if p == "" {
				p = "/api/traces/" + h.SampleIDs[(i*7)%len(h.SampleIDs)]
			}
			code, b, d := get(p)
			ms := d.Seconds() * 1e3
			if i == 0 {
				first = ms
				digest = summarize(t.name, code, b)
			}
			lats = append(lats, ms)
		}
		sort.Float64s(lats)
		if *asJSON {
			o, _ := json.Marshal(map[string]any{"query": t.name, "first_ms": first, "p50_ms": pct(lats, .5), "p95_ms": pct(lats, .95), "result": digest})
			fmt.Println(string(o))
		} else {
			fmt.Printf("%-20s %8.1f %8.1f %8.1f  %s\n", t.name, first, pct(lats, .5), pct(lats, .95), digest)
		}
	}
}

func summarize(name string, code int, b []byte) string {
	if code != 200 {
		return fmt.Sprintf("HTTP %d %.100s", code, b)
	}
	var v map[string]any
	if json.Unmarshal(b, &v) != nil {
		return fmt.Sprintf("%d bytes, not JSON", len(b))
	}
	switch {
	case strings.HasPrefix(name, "trace_by_id"):
		n := strings.Count(string(b), `"spanId"`)
		return fmt.Sprintf("%d spans", n)
	case strings.HasPrefix(name, "search"):
		tr, _ := v["traces"].([]any)
		mt, _ := v["metrics"].(map[string]any)
		return fmt.Sprintf("%d traces, inspected %v bytes", len(tr), mt["inspectedBytes"])
	case strings.HasPrefix(name, "metrics"):
		se, _ := v["series"].([]any)
		sum, pts := 0.0, 0
		for _, x := range se {
			sm, _ := x.(map[string]any)["samples"].([]any)
			for _, y := range sm {
				if f, ok := y.(map[string]any)["value"].(float64); ok {
					sum += f
				}
				pts++
			}
		}
		return fmt.Sprintf("%d series, %d points, sum %.4f", len(se), pts, sum)
	case name == "tags":
		n := 0
		sc, _ := v["scopes"].([]any)
		for _, x := range sc {
			t, _ := x.(map[string]any)["tags"].([]any)
			n += len(t)
		}
		return fmt.Sprintf("%d scopes, %d tags", len(sc), n)
	default:
		t, _ := v["tagValues"].([]any)
		return fmt.Sprintf("%d values", len(t))
	}
}

// ---- usage -----------------------------------------------------------------

func usage(args []string) {
	fs := flag.NewFlagSet("usage", flag.ExitOnError)
	pid := fs.Int("pid", 0, "process")
	fs.Parse(args)
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", *pid))
	if err != nil {
		fail(err)
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+2:]))
	var ut, st float64
	fmt.Sscan(f[11], &ut)
	fmt.Sscan(f[12], &st)
	sb, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", *pid))
	rss, hwm := "", ""
	for _, l := range strings.Split(string(sb), "\n") {
		if strings.HasPrefix(l, "VmRSS") {
			rss = strings.Join(strings.Fields(l)[1:], "")
		}
		if strings.HasPrefix(l, "VmHWM") {
			hwm = strings.Join(strings.Fields(l)[1:], "")
		}
	}
	fmt.Printf("cpu %.2fs rss %s peak %s\n", (ut+st)/100, rss, hwm)
}
