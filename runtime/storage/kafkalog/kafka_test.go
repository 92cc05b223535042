package kafkalog

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

func openKafka(t *testing.T, cfg KafkaConfig) (*Kafka, *kfake.Cluster) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	cfg.Brokers = c.ListenAddrs()
	if cfg.Create == nil {
		cfg.Create = &NewTopic{}
	}
	k, err := OpenKafka(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	return k, c
}

// A topic that was deleted and created again is another epoch, whatever its name.
func TestKafkaEpoch(t *testing.T) {
	k, _ := openKafka(t, KafkaConfig{Create: &NewTopic{Partitions: 2}})
	require.NoError(t, k.admin.DeleteTopic(k.cfg.Topic))
	again, err := OpenKafka(k.cfg)
	require.NoError(t, err)
	defer again.Close()
	require.NotEqual(t, k.Epoch(), again.Epoch())
	require.Equal(t, 2, again.Partitions())
}

// Time is the broker's, so a distributor's clock decides nothing: the topic is made so, and of a
// batch that the broker has stamped its stamp is read. (kfake keeps the setting and does not act on
// it.)
func TestKafkaBrokerTime(t *testing.T) {
	k, _ := openKafka(t, KafkaConfig{Create: &NewTopic{Partitions: 1}})
	topics, err := k.admin.DescribeConfigs([]*sarama.ConfigResource{{Type: sarama.TopicResource, Name: k.cfg.Topic, ConfigNames: []string{"message.timestamp.type"}}},
		sarama.DescribeConfigsOptions{})
	require.NoError(t, err)
	require.Len(t, topics, 1)
	require.Len(t, topics[0].Configs, 1)
	require.Equal(t, "LogAppendTime", topics[0].Configs[0].Value)
	for _, broker := range []bool{true, false} {
		batch := &sarama.RecordBatch{FirstTimestamp: time.UnixMilli(1), MaxTimestamp: time.UnixMilli(5000), LogAppendTime: broker,
			Records: []*sarama.Record{{TimestampDelta: time.Millisecond}}}
		got := k.live.decodeBlock(&fetchCall{}, &sarama.FetchResponseBlock{RecordsSet: []*sarama.Records{{RecordBatch: batch}}})
		require.NoError(t, got.err)
		want := int64(2)
		if broker {
			want = 5000
		}
		require.Equal(t, want, got.batch.Records[0].Time.UnixMilli())
	}
}

// A record of another producer comes without a format, to be set aside; ours around it are read.
func TestKafkaForeignRecord(t *testing.T) {
	k, _ := openKafka(t, KafkaConfig{Create: &NewTopic{Partitions: 1}})
	appendAll(t, k, 0, "ours")
	_, _, err := k.producer.SendMessage(&sarama.ProducerMessage{Topic: k.cfg.Topic, Value: sarama.StringEncoder("foreign")})
	require.NoError(t, err)
	appendAll(t, k, 0, "ours too")
	got := readAll(t, k, 0, 0, 1<<20)
	require.Equal(t, []string{"ours", "foreign", "ours too"}, values(got))
	require.Equal(t, []string{FormatOTLP, "", FormatOTLP}, []string{got[0].Format, got[1].Format, got[2].Format})
}

// A waiting read of one partition holds up neither appends nor reads of another, and builders read
// beside it.
func TestKafkaWaitingReadHoldsUpNothing(t *testing.T) {
	k, _ := openKafka(t, KafkaConfig{Create: &NewTopic{Partitions: 3}})
	got := make(chan Batch, 1)
	go func() {
		b, err := k.Read(t.Context(), 2, 0, 1<<20, time.Minute)
		if err != nil {
			t.Error(err)
		}
		got <- b
	}()
	for range 5 {
		appendAll(t, k, 0, "x")
	}
	require.Len(t, readAll(t, k, 0, 0, 1<<20), 5)
	require.Len(t, readAll(t, k.Build(), 0, 0, 1<<20), 5)
	appendAll(t, k, 2, "y")
	require.Equal(t, []string{"y"}, values((<-got).Records))
}

// After an error that ends the producer's sequence the producer is replaced, and appends go on.
func TestKafkaProducerIsReplaced(t *testing.T) {
	k, _ := openKafka(t, KafkaConfig{Create: &NewTopic{Partitions: 1}})
	appendAll(t, k, 0, "before")
	old := k.producer
	m := messageOf(k.cfg.Topic, 0, &Record{})
	_, err := k.endAppend(old, []*sarama.ProducerMessage{m}, map[int32]int64{}, sarama.ProducerErrors{{Msg: m, Err: sarama.ErrOutOfOrderSequenceNumber}})
	require.True(t, errors.Is(err, sarama.ErrOutOfOrderSequenceNumber))
	require.Nil(t, k.producer)
	appendAll(t, k, 0, "after")
	require.NotSame(t, old, k.producer)
	require.Equal(t, []string{"before", "after"}, values(readAll(t, k, 0, 0, 1)))
}

// A topic that is missing and may not be created is named.
func TestKafkaNoTopic(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	defer c.Close()
	_, err = OpenKafka(KafkaConfig{Brokers: c.ListenAddrs()})
	require.ErrorContains(t, err, "troupe-ingest")
}

// Brokers that ask for a user over TLS get one; a wrong password is an error that says so.
func TestKafkaSecured(t *testing.T) {
	server := httptest.NewUnstartedServer(nil) // for its certificate
	server.StartTLS()
	defer server.Close()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("PLAIN", "troupe", "secret"), kfake.TLS(server.TLS.Clone()))
	require.NoError(t, err)
	defer c.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	cfg := KafkaConfig{Brokers: c.ListenAddrs(), Create: &NewTopic{Partitions: 1}, Auth: Auth{User: "troupe", Password: "secret",
		TLS: &tls.Config{RootCAs: roots, ServerName: "example.com"}}}
	k, err := OpenKafka(cfg)
	require.NoError(t, err)
	appendAll(t, k, 0, "ours")
	require.NoError(t, k.Close())
	cfg.Auth.Password = "guess"
	cfg.Change = func(c *sarama.Config) { c.Metadata.Retry.Max = 0 }
	_, err = OpenKafka(cfg)
	require.ErrorContains(t, err, "connect")
}
