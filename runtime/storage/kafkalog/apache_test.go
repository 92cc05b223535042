package kafkalog

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit/kafka"
)

// cluster are brokers of Apache Kafka, and topics on them.
type cluster struct {
	*kafka.Cluster
	topics atomic.Int64
}

func startApache(t *testing.T, brokers int, settings ...string) *cluster {
	return &cluster{Cluster: kafka.Start(t, brokers, settings...)}
}

// config is what a log in a topic of its own is opened with.
func (c *cluster) config(topic NewTopic) KafkaConfig {
	return KafkaConfig{
		Brokers: c.Addresses(kafka.Open),
		Topic:   fmt.Sprint("topic-", c.topics.Add(1)),
		Create:  &topic,
	}
}

func openLog(t *testing.T, cfg KafkaConfig) *Kafka {
	t.Helper()
	k, err := OpenKafka(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = k.Close() })
	return k
}

// Apache Kafka is a log as the others are, and keeps what it has acknowledged.
func TestApacheKafka(t *testing.T) {
	c := startApache(t, 1)
	t.Run("suite", func(t *testing.T) {
		runSuite(t, func(t *testing.T) form {
			cfg := c.config(NewTopic{Partitions: suiteParts})
			k := openLog(t, cfg)
			return form{log: k, keepsAll: true, noSizes: true, reopen: func(t *testing.T) Log {
				require.NoError(t, k.Close())
				k = openLog(t, cfg)
				return k
			}}
		})
	})
	t.Run("together", func(t *testing.T) { testTogetherOnApache(t, c) })
	t.Run("secured", func(t *testing.T) { testSecuredApache(t, c) })
	t.Run("topic", func(t *testing.T) { testTopicOnApache(t, c) })
	t.Run("made again", func(t *testing.T) { testTopicMadeAgain(t, c) })
	t.Run("partitions added", func(t *testing.T) { testPartitionsAdded(t, c) })
	t.Run("damaged", func(t *testing.T) { testDamagedBatch(t, c) })
	t.Run("retention", func(t *testing.T) { testRetention(t, c) })
	t.Run("killed", func(t *testing.T) { testBrokerKilled(t, c) })
	t.Run("cut off", func(t *testing.T) { testCutOff(t, c) })
}

// C44 on real brokers: comparisons that wait together all get what they ask for.
func testTogetherOnApache(t *testing.T, c *cluster) {
	const parts = 6
	k := openLog(t, c.config(NewTopic{Partitions: parts}))
	for p := range int32(parts) {
		appendAll(t, k, p, strings.Repeat("x", 50_000))
	}
	var calls []func()
	var errs [parts]error
	for p := range int32(parts) {
		calls = append(calls, func() { _, errs[p] = k.Fingerprint(t.Context(), p, 0) })
	}
	fetchTogether(t, k.build, calls...)
	require.NoError(t, errors.Join(errs[:]...))
}

// Each way to authenticate lets the node in, and nobody with a wrong password or without a
// certificate.
func testSecuredApache(t *testing.T, c *cluster) {
	pem, err := os.ReadFile(c.Files.CA)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	pair, err := tls.LoadX509KeyPair(c.Files.Cert, c.Files.Key)
	require.NoError(t, err)
	password := func(mechanism string) Auth {
		return Auth{Mechanism: mechanism, User: kafka.User, Password: kafka.Password}
	}
	for name, way := range map[string]struct {
		listener    kafka.Listener
		good, wrong Auth
	}{
		"plain":     {kafka.SASL, password(Plain), Auth{Mechanism: Plain, User: kafka.User, Password: "guess"}},
		"scram-256": {kafka.SASL, password(ScramSHA256), Auth{Mechanism: ScramSHA256, User: kafka.User, Password: "guess"}},
		"scram-512": {kafka.SASL, password(ScramSHA512), Auth{Mechanism: ScramSHA512, User: kafka.User, Password: "guess"}},
		"tls":       {kafka.TLS, Auth{TLS: &tls.Config{RootCAs: roots}}, Auth{TLS: &tls.Config{}}},
		"mutual tls": {kafka.Mutual, Auth{TLS: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}},
			Auth{TLS: &tls.Config{RootCAs: roots}}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := c.config(NewTopic{Partitions: 1})
			cfg.Brokers, cfg.Auth = c.Addresses(way.listener), way.good
			k := openLog(t, cfg)
			appendAll(t, k, 0, "ours")
			require.Equal(t, []string{"ours"}, values(readAll(t, k, 0, 0, 1)))
			cfg.Auth = way.wrong
			cfg.Change = func(c *sarama.Config) { c.Metadata.Retry.Max = 0 }
			_, err := OpenKafka(cfg)
			require.ErrorContains(t, err, "connect")
		})
	}
}

// A topic that the node makes is as it should be, and what of it costs acknowledged records is
// named.
func testTopicOnApache(t *testing.T, c *cluster) {
	k := openLog(t, c.config(NewTopic{Partitions: 3, Retention: 48 * time.Hour}))
	topic, err := k.Topic()
	require.NoError(t, err)
	require.NoError(t, topic.Unread)
	topic.Identity = ""
	require.Equal(t, Topic{Partitions: 3, Replicas: 1, InSync: 1, MinInSync: 1, Retention: 48 * time.Hour, MaxBytes: -1}, topic)
	require.Len(t, topic.Doubts(), 1)
	require.Contains(t, topic.Doubts()[0], "three replicas")

	before := time.Now().Add(-time.Second)
	appendAll(t, k, 0, "stamped by the broker")
	require.True(t, readAll(t, k, 0, 0, 1)[0].Time.After(before), "not by the one who has sent it")

	hour, bytes, on := "3600000", "1000", "true"
	require.NoError(t, k.admin.AlterConfig(sarama.TopicResource, k.cfg.Topic, map[string]*string{
		"retention.ms": &hour, "retention.bytes": &bytes, "unclean.leader.election.enable": &on}, false))
	require.Eventually(t, func() bool {
		topic, err := k.describeTopic()
		return err == nil && len(topic.Doubts()) == 4
	}, 20*time.Second, 50*time.Millisecond)
}

// C24: a topic that is deleted and made again is noticed under an open log, is another epoch, and
// is read and written from its beginning.
func testTopicMadeAgain(t *testing.T, c *cluster) {
	cfg := c.config(NewTopic{Partitions: 2})
	cfg.DescribeEvery = 100 * time.Millisecond
	k := openLog(t, cfg)
	appendAll(t, k, 0, "a", "b", "c")
	first := k.Epoch()
	f, err := k.Fingerprint(t.Context(), 0, 0)
	require.NoError(t, err)
	require.NoError(t, k.admin.DeleteTopic(cfg.Topic))
	require.Eventually(t, func() bool { return k.createTopic() == nil && k.Epoch() != first }, time.Minute, 100*time.Millisecond)
	require.Eventually(t, func() bool {
		_, err := k.Read(t.Context(), 0, 3, 1, 0)
		return errors.Is(err, ErrOutOfRange)
	}, time.Minute, 100*time.Millisecond)
	require.Eventually(t, func() bool {
		_, err := k.Append(t.Context(), 0, recs("x"))
		return err == nil
	}, time.Minute, 100*time.Millisecond)
	other, err := k.Fingerprint(t.Context(), 0, 0)
	require.NoError(t, err)
	require.NotEqual(t, f, other)
}

// Partitions that are added under load disturb nothing. The log uses them when it is opened again.
func testPartitionsAdded(t *testing.T, c *cluster) {
	cfg := c.config(NewTopic{Partitions: 2})
	k := openLog(t, cfg)
	var want []string
	for i := range 200 {
		if i == 50 {
			require.NoError(t, k.admin.CreatePartitions(cfg.Topic, 4, nil, false))
		}
		want = append(want, fmt.Sprint(i))
		appendAll(t, k, 1, want[i])
	}
	require.Equal(t, want, values(readAll(t, k, 1, 0, 1000)))
	require.Equal(t, 2, k.Partitions())
	again := openLog(t, cfg)
	require.Equal(t, 4, again.Partitions())
	require.Equal(t, k.Epoch(), again.Epoch())
	appendAll(t, again, 3, "new")
}

// A batch that is damaged in the broker's file fails its own partition, from its offset on. What
// the other partition gets is read within two seconds.
func testDamagedBatch(t *testing.T, c *cluster) {
	cfg := c.config(NewTopic{Partitions: 2})
	cfg.Compression = "none"
	k := openLog(t, cfg)
	appendAll(t, k, 0, "fine")
	appendAll(t, k, 0, "DAMAGED")
	file := segmentOf(c.Brokers[0], cfg.Topic)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	at := bytes.Index(text, []byte("DAMAGED"))
	require.Positive(t, at)
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("d"), int64(at))
	require.NoError(t, errors.Join(err, f.Close()))

	require.Equal(t, []string{"fine"}, values(readOnce(t, k, 0, 0).Records))
	var failed atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for t.Context().Err() == nil && failed.Load() < 1000 {
			if _, err := k.Read(t.Context(), 0, 1, 1<<20, time.Second); err != nil {
				failed.Add(1)
			}
		}
	}()
	for i := range 50 {
		appendAll(t, k, 1, fmt.Sprint(i))
		began := time.Now()
		require.Equal(t, []string{fmt.Sprint(i)}, values(readOnce(t, k, 1, int64(i)).Records))
		require.Less(t, time.Since(began), 20*time.Second, "it waits for the damaged partition")
	}
	failed.Store(1000)
	<-ended
	_, err = k.Read(t.Context(), 0, 1, 1<<20, 0)
	require.ErrorContains(t, err, "read partition 0 at 1: the batch does not decode")
}

func readOnce(t *testing.T, k *Kafka, p int32, from int64) Batch {
	t.Helper()
	b, err := k.Read(t.Context(), p, from, 1<<20, time.Second)
	require.NoError(t, err)
	return b
}

// What retention has deleted is out of range, and reading goes on where the log begins.
func testRetention(t *testing.T, c *cluster) {
	k := openLog(t, c.config(NewTopic{Partitions: 1}))
	small, short := "1048576", "1000"
	require.NoError(t, k.admin.AlterConfig(sarama.TopicResource, k.cfg.Topic, map[string]*string{
		"segment.bytes": &small, "retention.ms": &short, "file.delete.delay.ms": &short}, false))
	n := int64(0)
	require.Eventually(t, func() bool {
		n = appendAll(t, k, 0, string(noise(900_000)))
		start, _, err := k.Bounds(t.Context(), 0)
		return err == nil && start > 0
	}, time.Minute, 50*time.Millisecond)
	_, err := k.Read(t.Context(), 0, 0, 1, 0)
	require.ErrorIs(t, err, ErrOutOfRange)
	_, err = k.Fingerprint(t.Context(), 0, 0)
	require.ErrorIs(t, err, ErrOutOfRange)
	_, err = k.Read(t.Context(), 0, n, 1, 0)
	require.NoError(t, err)
}

// A broker that is killed and comes back has all that it acknowledged; appends and reads go on by
// themselves, with the same log.
func testBrokerKilled(t *testing.T, c *cluster) {
	k := openLog(t, c.config(NewTopic{Partitions: 1}))
	w := startWriter(t, k, 0)
	w.await(100)
	before := readLeader(t, k)
	c.Brokers[0].Kill()
	require.Eventually(t, func() bool {
		_, err := k.Read(t.Context(), 0, 0, 1, 0)
		return err != nil && !errors.Is(err, ErrOutOfRange)
	}, time.Minute, 10*time.Millisecond, "a broker that is away is no other history")
	c.Brokers[0].Restart()
	w.await(300)
	w.stop()
	w.requireAll(k)
	require.Greater(t, readLeader(t, k), before, "it leads in another epoch")
}

func readLeader(t *testing.T, k *Kafka) int32 {
	b, err := k.Read(t.Context(), 0, 0, 1, 0)
	require.NoError(t, err)
	return b.Leader
}

// The end of a log that a broker has lost is given to other records; they have other fingerprints
// and come under another leader epoch, so whoever has read the lost ones can tell.
func testCutOff(t *testing.T, c *cluster) {
	cfg := c.config(NewTopic{Partitions: 1})
	k := openLog(t, cfg)
	for i := range 10 {
		appendAll(t, k, 0, fmt.Sprint("kept ", i))
	}
	kept := fileSize(t, c.Brokers[0], cfg.Topic)
	for i := range 10 {
		appendAll(t, k, 0, fmt.Sprint("lost ", i))
	}
	old, err := k.Read(t.Context(), 0, 19, 1, 0)
	require.NoError(t, err)
	c.Brokers[0].Kill()
	require.NoError(t, os.Truncate(segmentOf(c.Brokers[0], cfg.Topic), kept))
	c.Brokers[0].Restart()
	require.Eventually(t, func() bool {
		_, end, err := k.Bounds(t.Context(), 0)
		return err == nil && end == 10
	}, time.Minute, 50*time.Millisecond)
	awaitBroker(t, k)
	_, err = k.Read(t.Context(), 0, 20, 1, 0)
	require.ErrorIs(t, err, ErrOutOfRange)
	for i := range 10 {
		require.Eventually(t, func() bool {
			_, err := k.Append(t.Context(), 0, recs(fmt.Sprint("other ", i)))
			return err == nil
		}, time.Minute, 50*time.Millisecond)
	}
	b, err := k.Read(t.Context(), 0, 20, 1, 0)
	require.NoError(t, err)
	require.Empty(t, b.Records, "the same length as before")
	require.NotEqual(t, old.Leader, b.Leader)
	f, err := k.Fingerprint(t.Context(), 0, 19)
	require.NoError(t, err)
	require.NotEqual(t, old.Last, f)
}

// awaitBroker waits until the connections that a broker's end has cut are made anew.
func awaitBroker(t *testing.T, k *Kafka) {
	require.Eventually(t, func() bool {
		_, read := k.Read(t.Context(), 0, 0, 1, 0)
		_, compare := k.Fingerprint(t.Context(), 0, 0)
		return read == nil && compare == nil
	}, time.Minute, 50*time.Millisecond)
}

func segmentOf(b *kafka.Broker, topic string) string {
	return b.Partition(topic, 0) + "/00000000000000000000.log"
}

func fileSize(t *testing.T, b *kafka.Broker, topic string) int64 {
	t.Helper()
	s, err := os.Stat(segmentOf(b, topic))
	require.NoError(t, err)
	return s.Size()
}

// writer appends numbered records to a partition, each again until it is acknowledged.
type writer struct {
	t     *testing.T
	acked atomic.Int64 // records
	stop  func()       // returns when the last one is acknowledged
}

func startWriter(t *testing.T, k *Kafka, p int32) *writer {
	w := &writer{t: t}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := int64(0); ; {
			select {
			case <-over:
				return
			default:
			}
			if _, err := k.Append(t.Context(), p, recs(fmt.Sprint(i))); err != nil {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			i++
			w.acked.Store(i)
		}
	}()
	w.stop = func() {
		close(over)
		<-ended
	}
	return w
}

// await waits until so many records are acknowledged.
func (w *writer) await(n int64) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return w.acked.Load() >= n }, 2*time.Minute, 10*time.Millisecond)
}

// requireAll demands each acknowledged record, in order. What was sent again may be there twice.
func (w *writer) requireAll(k *Kafka) {
	w.t.Helper()
	next := int64(0)
	for _, r := range readAll(w.t, k, 0, 0, 1<<20) {
		if string(r.Value) == fmt.Sprint(next) {
			next++
		}
	}
	require.Equal(w.t, w.acked.Load(), next)
}
