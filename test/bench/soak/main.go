// Command soak sends new traces to a node for as long as it is told, as fast as the node takes
// them, and prints what the node takes meanwhile: every ten seconds and in sum.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

func main() {
	in := flag.String("in", "corpus.bin", "what loadgen has made; it is sent again and again, with other ids and times")
	addr := flag.String("grpc", "127.0.0.1:4317", "OTLP/gRPC address")
	url := flag.String("url", "http://127.0.0.1:3200", "address of /metrics")
	pid := flag.Int("pid", 0, "process of the node")
	lasting := flag.Duration("for", 10*time.Minute, "how long to send")
	conc := flag.Int("conc", 8, "requests at a time")
	spans := flag.Int64("spans", 0, "end when so many were acknowledged; 0: only when the time is over")
	flag.Parse()
	w := &watcher{pid: *pid, url: *url, most: *spans}
	if err := run(*in, *addr, *lasting, *conc, w); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(in, addr string, lasting time.Duration, conc int, w *watcher) error {
	c, err := loadCorpus(in)
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := w.begin(); err != nil {
		return err
	}
	s := &sender{corpus: c, conn: conn, sent: &w.sent, repeated: &w.repeated}
	ctx, cancel := context.WithTimeout(context.Background(), lasting)
	defer cancel()
	failed := make(chan error, conc)
	var all sync.WaitGroup
	for range conc {
		all.Go(func() {
			if err := s.send(ctx); err != nil {
				failed <- err
				cancel()
			}
		})
	}
	err = w.watch(ctx, lasting)
	cancel()
	all.Wait()
	select {
	case err = <-failed:
	default:
	}
	return err
}

// sender sends the corpus round after round.
type sender struct {
	corpus   *corpus
	conn     *grpc.ClientConn
	next     atomic.Uint64 // request, counted over all rounds
	sent     *atomic.Int64 // spans that were acknowledged
	repeated *atomic.Int64 // requests that the node had no room for, and that were sent again
}

// raw passes bytes on as a message.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (raw) Unmarshal(b []byte, v any) error { *v.(*[]byte) = b; return nil }
func (raw) Name() string                    { return "proto" }

const export = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

// send sends until ctx ends. A request that the node has no room for is sent again.
func (s *sender) send(ctx context.Context) error {
	var buf []byte
	for ctx.Err() == nil {
		n := s.next.Add(1) - 1
		r := &s.corpus.requests[n%uint64(len(s.corpus.requests))]
		buf = r.renew(buf, n/uint64(len(s.corpus.requests)), time.Since(s.corpus.end))
		for {
			var out []byte
			err := s.conn.Invoke(context.WithoutCancel(ctx), export, buf, &out, grpc.ForceCodec(raw{}))
			if err == nil {
				s.sent.Add(int64(r.spans))
				break
			}
			if c := status.Code(err); c != codes.ResourceExhausted {
				return err
			}
			s.repeated.Add(1)
			time.Sleep(100 * time.Millisecond)
		}
	}
	return nil
}

// watcher looks at the node while it is sent to.
type watcher struct {
	pid            int
	url            string
	most           int64 // spans; 0: any number
	sent, repeated atomic.Int64
	first          usage
	peaks          []int64 // largest resident size of each tenth of the time
}

func (w *watcher) begin() (err error) {
	w.first, err = readUsage(w.pid, w.url)
	return err
}

const lineEvery = 10 * time.Second

// watch looks at the node once a second and prints what it sees.
func (w *watcher) watch(ctx context.Context, lasting time.Duration) error {
	began := time.Now()
	w.peaks = make([]int64, 10)
	var before int64 // spans at the last line
	lines := 0
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return w.summarise(time.Since(began))
		case <-tick.C:
		}
		if w.most > 0 && w.sent.Load() >= w.most {
			return w.summarise(time.Since(began))
		}
		u, err := readUsage(w.pid, w.url)
		if err != nil {
			return err
		}
		since := time.Since(began)
		part := min(int(10*since/lasting), 9)
		w.peaks[part] = max(w.peaks[part], u.rss)
		if int(since/lineEvery) > lines {
			lines = int(since / lineEvery)
			n := w.sent.Load()
			fmt.Printf("%4ds: %d spans/s, rss %d MB, live segments %d MB, %.0f records uncovered, refused %.0f\n",
				int(since.Seconds()), (n-before)/int64(lineEvery/time.Second), u.rss/1e6, int(u.live/1e6), u.uncovered,
				u.refused-w.first.refused)
			before = n
		}
	}
}

func (w *watcher) summarise(took time.Duration) error {
	u, err := readUsage(w.pid, w.url)
	if err != nil {
		return err
	}
	n := float64(w.sent.Load())
	fmt.Printf("%.0f spans in %.0f s: %.0f spans/s, %.2f us of CPU a span; %d requests were sent again\n",
		n, took.Seconds(), n/took.Seconds(), (u.cpu-w.first.cpu)/n*1e6, w.repeated.Load())
	fmt.Printf("peak RSS %d MB; by tenths of the time", u.peak/1e6)
	for _, p := range w.peaks {
		fmt.Printf(" %d", p/1e6)
	}
	fmt.Println()
	return nil
}
