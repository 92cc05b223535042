package e2e

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/kafka"
)

// onApache is a node whose log is a topic of Apache Kafka, and what it was sent.
type onApache struct {
	t       *testing.T
	brokers *kafka.Cluster
	node    *kit.Node
	random  *rand.Rand
	acked   map[string]bool
	unknown map[string]bool // sent, and neither acknowledged nor known to be refused
}

func startOnApache(t *testing.T, brokers int, settings ...string) *onApache {
	a := &onApache{
		t:       t,
		brokers: kafka.Start(t, brokers),
		node:    kit.NewNode(t),
		random:  rand.New(rand.NewPCG(4, 4)),
		acked:   map[string]bool{},
		unknown: map[string]bool{},
	}
	a.node.Args = []string{"-ingest.address=" + strings.Join(a.brokers.Addresses(kafka.Open), ",")}
	for _, s := range append(settings, "ingest.kafka.auto_create_topic_default_partitions=4") {
		a.node.Args = append(a.node.Args, "-set", s)
	}
	a.node.Start()
	return a
}

// push sends a request and reports whether it was acknowledged.
func (a *onApache) push() bool {
	body, ids := request(a.random, "apache", 10)
	ctx, cancel := context.WithTimeout(a.t.Context(), 10*time.Second)
	defer cancel()
	code, _, err := a.node.Push(ctx, "application/x-protobuf", body)
	for _, id := range ids {
		if err == nil && code == 200 {
			a.acked[id] = true
		} else {
			a.unknown[id] = true
		}
	}
	return err == nil && code == 200
}

// pushUntil sends requests until so many are acknowledged.
func (a *onApache) pushUntil(n int) {
	a.t.Helper()
	for until := time.Now().Add(2 * time.Minute); n > 0; {
		require.True(a.t, time.Now().Before(until), "pushes are still refused:\n%s", a.node.Log())
		if a.push() {
			n--
		} else {
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// search is an answer and what it says of itself.
type search struct {
	Traces   []struct{ TraceID string }
	Complete bool
	Warnings []string
}

func (a *onApache) search() (s search) {
	a.node.GetJSON(&s, "/api/search", "q", `{ resource.service.name = "apache" }`,
		"limit", "200000", "require_complete", "false")
	return s
}

// awaitComplete waits until answers are complete again, and then demands all that was acknowledged.
func (a *onApache) awaitComplete() {
	a.t.Helper()
	require.Eventually(a.t, func() bool { return a.search().Complete }, 2*time.Minute, 100*time.Millisecond, "%s", a.node.Log())
	verify(a.t, a.node, "apache", a.acked, a.unknown)
}

// With Apache Kafka as its log a node finds what it acknowledged. While the broker is away pushes
// are refused, and what is held is found by answers that say that they may miss something. When it
// is back all goes on by itself, also after the node was killed.
func TestApacheNode(t *testing.T) {
	a := startOnApache(t, 1)
	a.pushUntil(20)
	a.awaitComplete()
	a.brokers.Brokers[0].Kill()
	require.Eventually(t, func() bool {
		s := a.search()
		return !s.Complete && len(s.Traces) >= len(a.acked) && strings.Contains(strings.Join(s.Warnings, "\n"), "is behind in the log")
	}, time.Minute, 50*time.Millisecond)
	require.False(t, a.push(), "nobody has it")
	a.brokers.Brokers[0].Restart()
	a.pushUntil(20)
	a.awaitComplete()
	a.node.Kill()
	a.node.Start()
	a.awaitComplete()
	require.Equal(t, 0, a.node.Stop(time.Minute), a.node.Log())
	require.NotContains(t, a.node.Log(), "a new epoch of the log begins;")
}

// While the leaders of partitions change a node loses nothing that it acknowledged, and takes no
// leader for another log.
func TestApacheNodeWithThreeBrokers(t *testing.T) {
	kafka.Long(t)
	a := startOnApache(t, 3)
	_, promise := a.node.Get("/status/promise")
	require.Contains(t, string(promise), "It survives the loss of a broker.")
	for _, fault := range []func(){
		a.brokers.Brokers[1].Kill, a.brokers.Brokers[1].Restart,
		a.brokers.Brokers[2].Stop, a.brokers.Brokers[2].Restart,
		a.brokers.Brokers[1].Pause, a.brokers.Brokers[1].Resume,
	} {
		a.pushUntil(10)
		fault()
		a.pushUntil(10)
		a.awaitComplete()
	}
	require.NotContains(t, a.node.Log(), "is not the one that was read")
	require.NotContains(t, a.node.Log(), "a new epoch of the log begins;")
}

// A topic that is deleted and made again under a node begins another epoch: the node says so, and
// goes on with the new one.
func TestApacheTopicMadeAgain(t *testing.T) {
	kafka.Long(t)
	a := startOnApache(t, 1)
	a.pushUntil(5)
	a.awaitComplete()
	admin, err := sarama.NewClusterAdmin(a.brokers.Addresses(kafka.Open), sarama.NewConfig())
	require.NoError(t, err)
	defer admin.Close()
	require.NoError(t, admin.DeleteTopic("troupe-ingest"))
	require.Eventually(t, func() bool {
		return admin.CreateTopic("troupe-ingest", &sarama.TopicDetail{NumPartitions: 4, ReplicationFactor: 1}, false) == nil
	}, time.Minute, 100*time.Millisecond)
	require.Eventually(t, func() bool {
		return strings.Contains(a.node.Log(), "a new epoch of the log begins;")
	}, 2*time.Minute, 100*time.Millisecond)
	for id := range a.acked { // they were in the topic, and in no block yet
		delete(a.acked, id)
		a.unknown[id] = true
	}
	a.pushUntil(5)
	a.awaitComplete()
}

// A broker that comes back without the end of its log has lost acknowledged records. The node finds
// that out, says so, and goes on.
func TestApacheCutOff(t *testing.T) {
	kafka.Long(t)
	a := startOnApache(t, 1)
	a.pushUntil(5)
	a.awaitComplete()
	broker := a.brokers.Brokers[0]
	broker.Kill()
	for p := range int32(4) {
		file := filepath.Join(broker.Partition("troupe-ingest", p), "00000000000000000000.log")
		s, err := os.Stat(file)
		require.NoError(t, err)
		require.NoError(t, os.Truncate(file, s.Size()/2))
	}
	broker.Restart()
	for id := range a.acked {
		delete(a.acked, id)
		a.unknown[id] = true
	}
	a.pushUntil(20)
	a.awaitComplete()
	require.Contains(t, a.node.Log(), "is not the one that was read")
}
