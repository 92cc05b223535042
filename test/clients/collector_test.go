package clients

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/troupe-tracing/troupe/test/kit"
)

// A Collector is a running process with one OTLP receiver and one exporter.
type collector struct {
	client ptraceotlp.GRPCClient
	log    *bytes.Buffer
	stop   func()
}

// startCollector starts a Collector whose exporter has the given YAML.
func startCollector(t *testing.T, dir, exporter, settings string) *collector {
	t.Helper()
	address := kit.FreePort(t)
	file := filepath.Join(t.TempDir(), "collector.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `receivers:
  otlp: {protocols: {grpc: {endpoint: %s}}}
exporters:
  %s: %s
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [%s]}
`, address, exporter, settings, exporter), 0o600))
	c := &collector{log: &bytes.Buffer{}}
	cmd := exec.Command(filepath.Join(dir, "collector"), "--config", file)
	cmd.Stdout, cmd.Stderr = c.log, c.log
	require.NoError(t, cmd.Start())
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	c.client = ptraceotlp.NewGRPCClient(conn)
	c.stop = sync.OnceFunc(func() {
		_ = conn.Close()
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	t.Cleanup(func() {
		c.stop()
		if t.Failed() {
			t.Logf("the Collector's log:\n%s", c.log.String())
		}
	})
	return c
}

// send gives the Collector one request and waits until it has taken it.
func (c *collector) send(ctx context.Context, traces ptrace.Traces) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	_, err := c.client.Export(ctx, ptraceotlp.NewExportRequestFromTraces(traces), grpc.WaitForReady(true))
	return err
}

// makeTraces makes traces of ten spans of one service that began just now.
func makeTraces(r *rand.Rand, service string, traces int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	ss := rs.ScopeSpans().AppendEmpty()
	for range traces {
		var id pcommon.TraceID
		binary.BigEndian.PutUint64(id[:], r.Uint64())
		binary.BigEndian.PutUint64(id[8:], r.Uint64())
		for i := range 10 {
			s := ss.Spans().AppendEmpty()
			var span pcommon.SpanID
			binary.BigEndian.PutUint64(span[:], r.Uint64()|1)
			s.SetTraceID(id)
			s.SetSpanID(span)
			s.SetName(fmt.Sprintf("step %d", i))
			start := time.Now().Add(-time.Second)
			s.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
			s.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Duration(r.IntN(1000)) * time.Millisecond)))
			s.Attributes().PutStr("order", strings.Repeat("x", r.IntN(200)))
		}
	}
	return td
}

// Every encoding that the Collector can be set to arrives whole.
func TestCollectorEncodings(t *testing.T) {
	dir := installed(t)
	n := kit.NewNode(t)
	n.Start()
	type exporter struct{ name, compression, more string }
	var exporters []exporter
	for _, c := range []string{"none", "gzip", "snappy", "zstd"} {
		exporters = append(exporters, exporter{"otlp_grpc", c, ""})
	}
	for _, c := range []string{"none", "gzip", "zlib", "deflate", "snappy", "x-snappy-framed", "zstd", "lz4"} {
		exporters = append(exporters, exporter{"otlp_http", c, ""}, exporter{"otlp_http", c, ", encoding: json"})
	}
	for i, e := range exporters {
		name := e.name + "/" + e.compression
		if e.more != "" {
			name += "/json"
		}
		t.Run(name, func(t *testing.T) {
			endpoint := n.OTLPGRPC
			if e.name == "otlp_http" {
				endpoint = "http://" + n.OTLPHTTP
			}
			c := startCollector(t, dir, e.name, fmt.Sprintf("{endpoint: %q, compression: %s, tls: {insecure: true}%s}",
				endpoint, e.compression, e.more))
			service := fmt.Sprintf("encoded-%d", i)
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for range 4 {
				require.NoError(t, c.send(t.Context(), makeTraces(r, service, 50)))
			}
			got := waitForSpans(t, n, fmt.Sprintf("{ resource.service.name = %q }", service), 2000)
			t.Logf("figures: %s | %d spans", name, got)
		})
	}
}

// A node is stopped three times in order and three times by kill -9 while a Collector sends. The
// Collector retries, so in the end every span that it took is there, once.
func TestStopsUnderCollector(t *testing.T) {
	dir := installed(t)
	for _, name := range []string{"otlp_grpc", "otlp_http"} {
		t.Run(name, func(t *testing.T) {
			n := kit.NewNode(t)
			n.Config = "block_builder:\n  max_block_bytes: 524288\n  max_block_duration: 1s\n"
			n.Start()
			endpoint := n.OTLPGRPC
			if name == "otlp_http" {
				endpoint = "http://" + n.OTLPHTTP
			}
			c := startCollector(t, dir, name, fmt.Sprintf(`{endpoint: %q, tls: {insecure: true},
    retry_on_failure: {initial_interval: 100ms, max_interval: 1s, max_elapsed_time: 0},
    sending_queue: {queue_size: 100000, num_consumers: 4}}`, endpoint))

			ctx, cancel := context.WithCancel(t.Context())
			sent := make(chan int)
			go func() {
				r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
				total := 0
				for ctx.Err() == nil {
					if c.send(context.WithoutCancel(ctx), makeTraces(r, "stops", 20)) == nil {
						total += 200
					}
					time.Sleep(10 * time.Millisecond)
				}
				sent <- total
			}()
			for i := range 6 {
				time.Sleep(time.Second + time.Duration(rand.IntN(1000))*time.Millisecond)
				if i%2 == 0 {
					require.Equal(t, 0, n.Stop(60*time.Second), n.Log())
				} else {
					n.Kill()
				}
				n.Start()
			}
			cancel()
			total := <-sent
			got := waitForSpans(t, n, `{ resource.service.name = "stops" }`, total)
			traces := countSpans(t, n, `{ resource.service.name = "stops" && name = "step 0" }`)
			require.Equal(t, total/10, traces)
			t.Logf("figures: %s, 3 × TERM and 3 × kill -9 | %d spans sent, %d found", name, total, got)
		})
	}
}
