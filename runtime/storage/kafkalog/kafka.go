package kafkalog

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"golang.org/x/sync/semaphore"
)

// The headers of our records. A record without a format was not written by a distributor.
const (
	headerTenant = "tenant"
	headerFormat = "format"
	headerParts  = "parts"
)

// KafkaConfig configures OpenKafka. Zero values mean the defaults named here.
type KafkaConfig struct {
	Brokers          []string
	Topic            string        // troupe-ingest
	Create           *NewTopic     // nil: the topic must be there
	ClientID         string        // troupe
	MaxInFlightBytes int64         // 64 MiB: appends beyond wait
	MaxMessageBytes  int           // 1000000: brokers refuse larger batches by default
	Compression      string        // snappy
	DialTimeout      time.Duration // 2 s
	WriteTimeout     time.Duration // 10 s: for the brokers to acknowledge
	Auth             Auth
	// Notify is called after the topic was described anew.
	Notify        func(before, after Topic)
	DescribeEvery time.Duration // 30 s
	Change        func(*sarama.Config)
}

// NewTopic is what a topic is made with if it is missing.
type NewTopic struct {
	Partitions int           // 32
	Replicas   int           // three, or as many as there are brokers
	Retention  time.Duration // 7 days
}

// answerSlack is how much longer than brokers may take for an acknowledgement their answer may
// take.
const answerSlack = 5 * time.Second

// metadataInterval is how often the clients ask who leads the partitions, if nothing else has them
// ask.
const metadataInterval = 10 * time.Second

func (c KafkaConfig) withDefaults() KafkaConfig {
	c.Topic = cmp.Or(c.Topic, "troupe-ingest")
	if c.Create != nil {
		c.Create = &NewTopic{
			Partitions: cmp.Or(c.Create.Partitions, 32),
			Replicas:   c.Create.Replicas,
			Retention:  cmp.Or(c.Create.Retention, 7*24*time.Hour),
		}
	}
	c.ClientID = cmp.Or(c.ClientID, "troupe")
	c.MaxInFlightBytes = cmp.Or(c.MaxInFlightBytes, 64<<20)
	c.DialTimeout = cmp.Or(c.DialTimeout, 2*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 10*time.Second)
	c.MaxMessageBytes = cmp.Or(c.MaxMessageBytes, 1000000)
	return c
}

// Kafka is the log in a topic. Producing, live reads, build reads and administration have a client
// each, because a broker answers the requests of a connection in order: a waiting fetch would hold
// up every request behind it.
type Kafka struct {
	cfg       KafkaConfig
	parts     int // when it was opened
	admin     sarama.ClusterAdmin
	control   sarama.Client
	live      *fetcher
	build     *fetcher
	budget    *semaphore.Weighted // bytes of appends under way
	described described
	known     leaders
	done      chan struct{} // closed when the log is

	mu        sync.Mutex
	produce   sarama.Client
	producer  sarama.SyncProducer // nil when it has ended; the next append connects again
	reconnect reconnect
	closed    bool
}

// OpenKafka connects and finds the topic. From then on the topic is described every 30 s. The
// number of partitions stays what it was, because each needs a live-store; the epoch is the topic's
// identity as it was described last.
func OpenKafka(cfg KafkaConfig) (*Kafka, error) {
	cfg = cfg.withDefaults()
	k := &Kafka{
		cfg:       cfg,
		budget:    semaphore.NewWeighted(cfg.MaxInFlightBytes),
		known:     newLeaders(),
		done:      make(chan struct{}),
		reconnect: reconnect{now: time.Now},
	}
	if err := k.connectAll(); err != nil {
		return nil, errors.Join(fmt.Errorf("open kafka log %s: %w", cfg.Topic, err), k.Close())
	}
	go k.watchTopic()
	return k, nil
}

func (k *Kafka) clientConfig(role string) *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V3_6_0_0
	c.ClientID = k.cfg.ClientID + "-" + role
	c.Metadata.AllowAutoTopicCreation = false
	c.Metadata.RefreshFrequency = metadataInterval
	c.Metadata.Full = role == "admin" // the admin client has no topic yet when it connects
	c.ChannelBufferSize = 16
	c.Net.MaxOpenRequests = 1
	c.Producer.Idempotent = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Compression = compressions[k.cfg.Compression]
	c.Producer.MaxMessageBytes = k.cfg.MaxMessageBytes
	c.Producer.Return.Successes, c.Producer.Return.Errors = true, true
	c.Producer.Timeout = k.cfg.WriteTimeout
	c.Net.DialTimeout, c.Net.WriteTimeout = k.cfg.DialTimeout, k.cfg.WriteTimeout
	c.Net.ReadTimeout = k.cfg.WriteTimeout + answerSlack
	k.cfg.Auth.configure(c)
	if k.cfg.Change != nil {
		k.cfg.Change(c)
	}
	return c
}

// newClient connects a client. role is part of its name.
func (k *Kafka) newClient(role string) (sarama.Client, error) {
	c, err := sarama.NewClient(k.cfg.Brokers, k.clientConfig(role))
	if err != nil {
		return nil, fmt.Errorf("connect %s client: %w", role, err)
	}
	return c, nil
}

func (k *Kafka) connectAll() (err error) {
	if k.control, err = k.newClient("admin"); err != nil {
		return err
	}
	if k.admin, err = sarama.NewClusterAdminFromClient(k.control); err != nil {
		return fmt.Errorf("connect admin client: %w", err)
	}
	if k.cfg.Create != nil {
		if err := k.createTopic(); err != nil {
			return err
		}
	}
	topic, err := k.findTopic()
	if err != nil {
		return err
	}
	k.noteTopic(topic, nil)
	k.parts = topic.Partitions
	for _, f := range []struct {
		role string
		to   **fetcher
	}{{"live", &k.live}, {"build", &k.build}} {
		c, err := k.newClient(f.role)
		if err != nil {
			return err
		}
		*f.to = newFetcher(c, k.cfg.Topic)
	}
	return k.startProducer()
}

func (k *Kafka) Epoch() string {
	t, _ := k.Topic()
	return t.Identity
}

func (k *Kafka) Partitions() int { return k.parts }

// Size returns 0, because only the brokers know.
func (k *Kafka) Size() int64 { return 0 }

func (k *Kafka) isClosed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.closed
}

// Close ends the reads that wait, and waits for the appends under way.
func (k *Kafka) Close() error {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return nil
	}
	k.closed = true
	close(k.done)
	producer, produce := k.producer, k.produce
	k.mu.Unlock()
	var err error
	for _, f := range []*fetcher{k.live, k.build} {
		if f != nil {
			err = errors.Join(err, f.close())
		}
	}
	if producer != nil {
		err = errors.Join(err, producer.Close(), produce.Close())
	}
	if k.admin != nil {
		err = errors.Join(err, k.admin.Close()) // closes control too
	} else if k.control != nil {
		err = errors.Join(err, k.control.Close())
	}
	return err
}
