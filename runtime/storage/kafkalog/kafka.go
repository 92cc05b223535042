package kafkalog

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
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
	Brokers           []string
	Topic             string      // troupe-ingest
	Partitions        int         // 32: for a topic that is created
	ReplicationFactor int         // the brokers' default
	CreateTopic       bool        // create the topic where it is missing
	ClientID          string      // troupe
	MaxInFlightBytes  int64       // 64 MiB: appends beyond wait
	MaxMessageBytes   int         // 1000000: brokers refuse larger batches by default
	User, Password    string      // SASL PLAIN; empty: none
	TLS               *tls.Config // nil: plain connections
	Change            func(*sarama.Config)
}

func (c KafkaConfig) withDefaults() KafkaConfig {
	c.Topic = cmp.Or(c.Topic, "troupe-ingest")
	c.Partitions = cmp.Or(c.Partitions, 32)
	c.ReplicationFactor = cmp.Or(c.ReplicationFactor, -1)
	c.ClientID = cmp.Or(c.ClientID, "troupe")
	c.MaxInFlightBytes = cmp.Or(c.MaxInFlightBytes, 64<<20)
	c.MaxMessageBytes = cmp.Or(c.MaxMessageBytes, 1000000)
	return c
}

// Kafka is the log in a topic. Producing, live reads, build reads and administration have a client
// each, because a broker answers the requests of a connection in order: a waiting fetch would hold
// up every request behind it.
type Kafka struct {
	cfg     KafkaConfig
	epoch   string
	parts   int
	admin   sarama.ClusterAdmin
	control sarama.Client
	live    *fetcher
	build   *fetcher
	budget  *semaphore.Weighted // bytes of appends under way

	mu        sync.Mutex
	produce   sarama.Client
	producer  sarama.SyncProducer // nil when it has ended; the next append connects again
	reconnect reconnect
	closed    bool
}

// OpenKafka connects and finds the topic. The epoch consists of the ids of the cluster and of the
// topic, or of the topic's name when the brokers have no topic ids.
func OpenKafka(cfg KafkaConfig) (*Kafka, error) {
	cfg = cfg.withDefaults()
	k := &Kafka{
		cfg:       cfg,
		budget:    semaphore.NewWeighted(cfg.MaxInFlightBytes),
		reconnect: reconnect{now: time.Now},
	}
	if err := k.connectAll(); err != nil {
		return nil, errors.Join(fmt.Errorf("open kafka log %s: %w", cfg.Topic, err), k.Close())
	}
	return k, nil
}

func (k *Kafka) clientConfig(role string) *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V3_6_0_0
	c.ClientID = k.cfg.ClientID + "-" + role
	c.Metadata.AllowAutoTopicCreation = false
	c.Metadata.Full = role == "admin" // the admin client has no topic yet when it connects
	c.ChannelBufferSize = 16
	c.Net.MaxOpenRequests = 1
	c.Producer.Idempotent = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Compression = sarama.CompressionSnappy
	c.Producer.MaxMessageBytes = k.cfg.MaxMessageBytes
	c.Producer.Return.Successes, c.Producer.Return.Errors = true, true
	c.Net.SASL.Enable, c.Net.SASL.User, c.Net.SASL.Password = k.cfg.User != "", k.cfg.User, k.cfg.Password
	c.Net.TLS.Enable, c.Net.TLS.Config = k.cfg.TLS != nil, k.cfg.TLS
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
	if k.cfg.CreateTopic {
		if err := k.createTopic(); err != nil {
			return err
		}
	}
	if err := k.describeTopic(); err != nil {
		return err
	}
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

// createTopic asks for broker timestamps, because retention and lag must not depend on the clocks
// of distributors.
func (k *Kafka) createTopic() error {
	stamp := "LogAppendTime"
	size := strconv.Itoa(k.cfg.MaxMessageBytes + 48<<10)
	err := k.admin.CreateTopic(k.cfg.Topic, &sarama.TopicDetail{
		NumPartitions:     int32(k.cfg.Partitions),
		ReplicationFactor: int16(k.cfg.ReplicationFactor),
		ConfigEntries:     map[string]*string{"message.timestamp.type": &stamp, "max.message.bytes": &size},
	}, false)
	if err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
		return fmt.Errorf("create topic: %w", err)
	}
	return nil
}

// describeTopic reads the topic's epoch and number of partitions.
func (k *Kafka) describeTopic() error {
	b, err := k.control.Controller()
	if err != nil {
		return fmt.Errorf("find controller: %w", err)
	}
	r, err := b.GetMetadata(sarama.NewMetadataRequest(k.control.Config().Version, []string{k.cfg.Topic}))
	if err != nil {
		return fmt.Errorf("read topic metadata: %w", err)
	}
	if len(r.Topics) != 1 {
		return fmt.Errorf("read topic metadata: %d topics, want 1", len(r.Topics))
	}
	t := r.Topics[0]
	if t.Err != sarama.ErrNoError {
		return fmt.Errorf("read topic metadata: %w", t.Err)
	}
	if k.parts = len(t.Partitions); k.parts == 0 {
		return errors.New("read topic metadata: no partitions")
	}
	cluster := ""
	if r.ClusterID != nil {
		cluster = *r.ClusterID
	}
	topic := t.Name
	if t.Uuid != (sarama.Uuid{}) {
		topic = t.Uuid.String()
	}
	k.epoch = cluster + "/" + topic
	return nil
}

func (k *Kafka) startProducer() error {
	c, err := k.newClient("produce")
	if err != nil {
		return err
	}
	p, err := sarama.NewSyncProducerFromClient(c)
	if err != nil {
		return errors.Join(fmt.Errorf("start producer: %w", err), c.Close())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return errors.Join(ErrClosed, p.Close(), c.Close())
	}
	k.produce, k.producer = c, p
	return nil
}

func (k *Kafka) Epoch() string   { return k.epoch }
func (k *Kafka) Partitions() int { return k.parts }

// Size returns 0, because only the brokers know.
func (k *Kafka) Size() int64 { return 0 }

func (k *Kafka) Append(ctx context.Context, partition int32, recs []Record) (int64, error) {
	next, err := k.appendAll(ctx, map[int32][]Record{partition: recs})
	return next[partition], err
}

// appendAll sends all partitions at once; the producer batches them by broker.
func (k *Kafka) appendAll(ctx context.Context, recs map[int32][]Record) (map[int32]int64, error) {
	next := make(map[int32]int64, len(recs))
	msgs, bytes, err := k.messagesOf(ctx, recs, next)
	if err != nil {
		return nil, err
	}
	if len(msgs) == 0 {
		return next, nil
	}
	bytes = min(bytes, k.cfg.MaxInFlightBytes)
	if err := k.budget.Acquire(ctx, bytes); err != nil {
		return nil, err
	}
	producer, err := k.liveProducer(ctx)
	if err != nil {
		k.budget.Release(bytes)
		return nil, err
	}
	done := make(chan error, 1)
	// sarama knows no contexts: an append whose caller is gone goes on, and counts in the budget
	// until it ends.
	go func() {
		defer k.budget.Release(bytes)
		done <- producer.SendMessages(msgs)
	}()
	select {
	case err := <-done:
		return k.endAppend(producer, msgs, next, err)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// messagesOf makes a message of each record. bytes is their size. Partitions without records get
// their end into next.
func (k *Kafka) messagesOf(ctx context.Context, recs map[int32][]Record, next map[int32]int64) (
	msgs []*sarama.ProducerMessage, bytes int64, err error) {
	const headerBytes = 256 // of the headers that sarama adds
	for _, p := range slices.Sorted(maps.Keys(recs)) {
		if err := checkPartition(p, k.parts); err != nil {
			return nil, 0, err
		}
		if len(recs[p]) == 0 {
			_, end, err := k.Bounds(ctx, p)
			if err != nil {
				return nil, 0, err
			}
			next[p] = end
		}
		for i := range recs[p] {
			r := &recs[p][i]
			if n := r.countedBytes() + headerBytes; n > k.cfg.MaxMessageBytes {
				return nil, 0, fmt.Errorf("append record of %d bytes, limit %d: %w",
					n, k.cfg.MaxMessageBytes, ErrTooLarge)
			}
			bytes += int64(r.countedBytes())
			msgs = append(msgs, messageOf(k.cfg.Topic, p, r))
		}
	}
	return msgs, bytes, nil
}

// endAppend notes in next how far the partitions went of which all messages were written. err is
// the producer's.
func (k *Kafka) endAppend(producer sarama.SyncProducer, msgs []*sarama.ProducerMessage, next map[int32]int64,
	err error) (map[int32]int64, error) {
	failed := map[int32]bool{}
	var many sarama.ProducerErrors
	if err != nil && !errors.As(err, &many) {
		return next, fmt.Errorf("append to kafka: %w", err)
	}
	for _, e := range many {
		failed[e.Msg.Partition] = true
		if isFatal(e.Err) {
			k.endProducer(producer)
		}
	}
	for _, m := range msgs {
		if !failed[m.Partition] {
			next[m.Partition] = max(next[m.Partition], m.Offset+1)
		}
	}
	if len(many) > 0 {
		err = many[0].Err
	}
	if err != nil {
		err = fmt.Errorf("append to kafka: %w", err)
	}
	return next, err
}

// isFatal reports whether the error ends an idempotent producer's sequence. Then the producer
// cannot go on, and trying again with it would lose or repeat records silently.
func isFatal(err error) bool {
	for _, f := range []sarama.KError{
		sarama.ErrOutOfOrderSequenceNumber,
		sarama.ErrUnknownProducerID,
		sarama.ErrInvalidProducerEpoch,
		sarama.ErrProducerFenced,
		sarama.ErrInvalidProducerIDMapping,
	} {
		if errors.Is(err, f) {
			return true
		}
	}
	return false
}

// endProducer forgets a producer that has ended. The next append starts another.
func (k *Kafka) endProducer(old sarama.SyncProducer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.producer != old || k.closed {
		return
	}
	client := k.produce
	k.producer, k.produce = nil, nil
	go func() { // because Close waits for appends that are still under way
		_ = old.Close()
		_ = client.Close()
	}()
}

func messageOf(topic string, partition int32, r *Record) *sarama.ProducerMessage {
	h := []sarama.RecordHeader{
		{Key: []byte(headerTenant), Value: []byte(r.Tenant)},
		{Key: []byte(headerParts), Value: strconv.AppendInt(nil, int64(r.Parts), 10)},
	}
	if r.Format != "" {
		h = append(h, sarama.RecordHeader{Key: []byte(headerFormat), Value: []byte(r.Format)})
	}
	return &sarama.ProducerMessage{
		Topic:     topic,
		Partition: partition,
		Value:     sarama.ByteEncoder(r.Value),
		Timestamp: r.Time,
		Headers:   h,
	}
}

func (k *Kafka) isClosed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.closed
}

// Read uses the client for live reads. Builders read from Build.
func (k *Kafka) Read(ctx context.Context, partition int32, from int64, maxBytes int, wait time.Duration) (
	Batch, error) {
	return k.readWith(ctx, k.live, partition, from, maxBytes, wait)
}

// Build returns the same log with a Read that uses the client for builders, so that a long read of
// old records does not hold up live reads.
func (k *Kafka) Build() Log { return buildView{k} }

type buildView struct{ *Kafka }

func (b buildView) Read(ctx context.Context, partition int32, from int64, maxBytes int, wait time.Duration) (
	Batch, error) {
	return b.readWith(ctx, b.build, partition, from, maxBytes, wait)
}

// readWith reads with the client of one fetcher.
func (k *Kafka) readWith(ctx context.Context, f *fetcher, partition int32, from int64, maxBytes int,
	wait time.Duration) (Batch, error) {
	if err := checkPartition(partition, k.parts); err != nil {
		return Batch{}, err
	}
	if from < 0 {
		return Batch{}, fmt.Errorf("read partition %d at %d: %w", partition, from, ErrOutOfRange)
	}
	b, _, err := f.fetchBatch(ctx, partition, from, max(1, min(maxBytes, maxReadBytes)), wait)
	return b, err
}

func (k *Kafka) Bounds(ctx context.Context, partition int32) (start, end int64, err error) {
	if err := checkPartition(partition, k.parts); err != nil {
		return 0, 0, err
	}
	if k.isClosed() {
		return 0, 0, ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	// End first: a trim in between must not leave start above end.
	if end, err = k.control.GetOffset(k.cfg.Topic, partition, sarama.OffsetNewest); err == nil {
		start, err = k.control.GetOffset(k.cfg.Topic, partition, sarama.OffsetOldest)
	}
	if err != nil {
		if k.isClosed() {
			err = ErrClosed
		}
		return 0, 0, fmt.Errorf("read bounds of partition %d: %w", partition, err)
	}
	return start, max(start, end), nil
}

// fingerprintOf makes a fingerprint of the record, its offset and its broker time, because sarama
// checks the checksum of a batch but does not show it.
func fingerprintOf(r *Record, leaderEpoch int32) Fingerprint {
	return Fingerprint{CRC: contentCRC(r), LeaderEpoch: leaderEpoch}
}

func (k *Kafka) Fingerprint(ctx context.Context, partition int32, offset int64) (Fingerprint, error) {
	if err := checkPartition(partition, k.parts); err != nil {
		return Fingerprint{}, err
	}
	if offset < 0 {
		return Fingerprint{}, fmt.Errorf("fingerprint partition %d at %d: %w", partition, offset, ErrOutOfRange)
	}
	b, epochs, err := k.build.fetchOne(ctx, partition, offset)
	if err != nil {
		return Fingerprint{}, err
	}
	if len(b.Records) == 0 || b.Records[0].Offset != offset {
		return Fingerprint{}, fmt.Errorf("fingerprint partition %d at %d of [%d, %d): %w",
			partition, offset, b.Start, b.End, ErrOutOfRange)
	}
	return fingerprintOf(&b.Records[0], epochs[0]), nil
}

// Trim keeps the record at to-1, because its fingerprint is compared when readers start.
func (k *Kafka) Trim(ctx context.Context, partition int32, to int64) error {
	start, end, err := k.Bounds(ctx, partition)
	if err != nil {
		return err
	}
	if to > end {
		return fmt.Errorf("trim partition %d to %d of [%d, %d): %w", partition, to, start, end, ErrOutOfRange)
	}
	if to-1 <= start {
		return nil
	}
	if err := k.admin.DeleteRecords(k.cfg.Topic, map[int32]int64{partition: to - 1}); err != nil {
		return fmt.Errorf("trim partition %d to %d: %w", partition, to-1, err)
	}
	return nil
}

// Close ends the reads that wait, and waits for the appends under way.
func (k *Kafka) Close() error {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return nil
	}
	k.closed = true
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
