package e2e

import (
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/troupe-tracing/troupe/test/kit"
)

// With Kafka as its log a node finds what it acknowledged at once, after kill -9, and out of
// blocks. Kafka is played by kfake here.
func TestKafkaAsLog(t *testing.T) {
	brokers, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	defer brokers.Close()
	n := kit.NewNode(t)
	n.Args = []string{"-ingest.address=" + strings.Join(brokers.ListenAddrs(), ","), "-set", "ingest.kafka.auto_create_topic_default_partitions=4"}
	n.Start()
	_, promise := n.Get("/status/promise")
	require.Contains(t, string(promise), "three replicas")
	r := rand.New(rand.NewPCG(3, 3))
	acked := map[string]bool{}
	push := func() {
		for range 20 {
			body, ids := request(r, "kafka", 10)
			code, answer, err := n.Push(t.Context(), "application/x-protobuf", body)
			require.NoError(t, err)
			require.Equal(t, 200, code, "%s", answer)
			for _, id := range ids {
				acked[id] = true
			}
		}
	}
	push()
	foundAll(t, n, "kafka", len(acked))
	verify(t, n, "kafka", acked, nil)
	n.Kill()
	n.Start()
	verify(t, n, "kafka", acked, nil)
	push()
	require.Equal(t, 0, n.Stop(30*time.Second), n.Log())
	n.Start()
	verify(t, n, "kafka", acked, nil)
	n.Kill()
}

// A node whose brokers are not there waits for them: it is not ready, says on its pages whom it
// waits for, ends when it is told to, and is ready once the brokers are.
func TestKafkaStartsLater(t *testing.T) {
	address := kit.FreePort(t)
	n := kit.NewNode(t)
	n.Args = []string{"-ingest.address=" + address, "-set", "ingest.kafka.auto_create_topic_default_partitions=2"}
	wait := func() {
		n.Launch()
		require.Eventually(t, func() bool {
			resp, err := http.Get("http://" + n.HTTP + "/ready")
			if err != nil { // its port is not open yet
				return false
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			return err == nil && resp.StatusCode == 503 && strings.Contains(string(body), "waits for Kafka")
		}, 30*time.Second, 20*time.Millisecond)
	}
	wait()
	_, status := n.Get("/status")
	require.Contains(t, string(status), "No span is taken yet. The node waits for Kafka")
	require.Contains(t, string(status), "ingest.kafka")
	require.Equal(t, 0, n.Stop(30*time.Second), n.Log())
	wait()
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	brokers, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(number))
	require.NoError(t, err)
	defer brokers.Close()
	n.WaitReady(time.Minute)
	_, promise := n.Get("/status/promise")
	require.Contains(t, string(promise), "2 partitions of 1 replicas")
	n.Kill()
}

// foundAll demands that a search finds all that was acknowledged. How soon is for
// TestFoundWithinASecond to say.
func foundAll(t *testing.T, n *kit.Node, service string, acked int) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		asked := time.Since(began)
		var answer struct{ Traces []struct{ TraceID string } }
		n.GetJSON(&answer, "/api/search", "q", `{ resource.service.name = "`+service+`" }`, "limit", "200000")
		if len(answer.Traces) >= acked {
			return
		}
		if asked > 20*time.Second {
			t.Fatalf("%d of %d acknowledged traces are found %s after the acknowledgement", len(answer.Traces), acked, asked)
		}
	}
}
