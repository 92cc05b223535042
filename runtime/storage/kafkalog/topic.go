package kafkalog

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// describeInterval is how often the topic is described anew. A topic that was deleted and made
// again under open connections has the same name, and only its identity tells.
const describeInterval = 30 * time.Second

// Topic is what the brokers have said of the topic.
type Topic struct {
	// Identity consists of the ids of the cluster and of the topic, or of the topic's name if the
	// brokers have no topic ids.
	Identity   string
	Partitions int
	Replicas   int // of the partition that has fewest
	InSync     int // of the partition that has fewest

	// What follows is zero where the node may not read the topic's configuration. Then Unread says
	// why.
	MinInSync int
	Unclean   bool          // whether a replica that lacks records may become leader
	Retention time.Duration // of records by age; below 0: without end
	MaxBytes  int64         // of a partition; below 0: any number
	Unread    error
}

// The lengths of time by which a topic is judged.
const (
	leastRetention = 24 * time.Hour
	forever        = time.Duration(-1)
)

// Doubts says what of the topic's settings lets an acknowledged record be lost, with the remedy. It
// is empty for a topic that survives the loss of a broker.
func (t Topic) Doubts() (out []string) {
	if t.Replicas < 2 {
		out = append(out, "it has one replica, so a broker that is lost takes its records with it: "+
			"give the topic three replicas")
	}
	if t.InSync < t.Replicas {
		out = append(out, fmt.Sprintf("a partition has %d of %d replicas in sync at present", t.InSync, t.Replicas))
	}
	if t.Unread != nil {
		return append(out, fmt.Sprintf("its settings cannot be read (%v): allow DescribeConfigs on it", t.Unread))
	}
	if t.MinInSync < 2 && t.Replicas > 1 {
		out = append(out, "min.insync.replicas is 1, so one broker alone may acknowledge: set it to 2")
	}
	if t.Unclean {
		out = append(out, "unclean.leader.election.enable is on, so a replica that lacks acknowledged records "+
			"may become leader: turn it off")
	}
	if t.Retention >= 0 && t.Retention < leastRetention {
		out = append(out, fmt.Sprintf("retention.ms keeps records for %s, and what is in no block by then is lost: "+
			"keep them for at least %s", t.Retention, leastRetention))
	}
	if t.MaxBytes >= 0 {
		out = append(out, fmt.Sprintf("retention.bytes deletes what exceeds %d bytes of a partition, however new: "+
			"bound the topic by time", t.MaxBytes))
	}
	return out
}

// createTopic creates the topic if it is missing. It asks for broker timestamps, because retention
// and lag must not depend on the clocks of distributors.
func (k *Kafka) createTopic() error {
	replicas, err := k.replicasOfNewTopic()
	if err != nil {
		return err
	}
	setting := func(v any) *string {
		s := fmt.Sprint(v)
		return &s
	}
	settings := map[string]*string{
		"message.timestamp.type":         setting("LogAppendTime"),
		"max.message.bytes":              setting(k.cfg.MaxMessageBytes + 48<<10),
		"retention.ms":                   setting(k.cfg.Create.Retention.Milliseconds()),
		"retention.bytes":                setting(-1),
		"cleanup.policy":                 setting("delete"),
		"unclean.leader.election.enable": setting(false),
		"min.insync.replicas":            setting(min(2, max(1, replicas-1))),
	}
	err = k.admin.CreateTopic(k.cfg.Topic, &sarama.TopicDetail{
		NumPartitions:     int32(k.cfg.Create.Partitions),
		ReplicationFactor: int16(replicas),
		ConfigEntries:     settings,
	}, false)
	if err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
		return fmt.Errorf("create topic: %w", err)
	}
	return nil
}

const (
	newTopicWait  = 20 * time.Second // for the brokers to hear of a topic that was made
	newTopicPause = 50 * time.Millisecond
)

// findTopic describes the topic. The brokers may not have heard of one that was just made, or not
// have leaders for it yet.
func (k *Kafka) findTopic() (Topic, error) {
	until := time.Now().Add(newTopicWait)
	for {
		t, err := k.describeTopic()
		isNew := errors.Is(err, sarama.ErrUnknownTopicOrPartition) || errors.Is(err, sarama.ErrLeaderNotAvailable)
		if k.cfg.Create == nil || !isNew || time.Now().After(until) {
			return t, err
		}
		time.Sleep(newTopicPause)
	}
}

// replicasOfNewTopic returns as many replicas as are configured, or three, if there are so many
// brokers.
func (k *Kafka) replicasOfNewTopic() (int, error) {
	if n := k.cfg.Create.Replicas; n > 0 {
		return n, nil
	}
	brokers, _, err := k.admin.DescribeCluster()
	if err != nil {
		return 0, fmt.Errorf("count the brokers: %w", err)
	}
	return min(3, max(1, len(brokers))), nil
}

// describeTopic asks the brokers for what they know of the topic.
func (k *Kafka) describeTopic() (Topic, error) {
	b := k.control.LeastLoadedBroker()
	if b == nil {
		return Topic{}, fmt.Errorf("read topic metadata: %w", sarama.ErrOutOfBrokers)
	}
	if err := b.Open(k.control.Config()); err != nil && !errors.Is(err, sarama.ErrAlreadyConnected) {
		return Topic{}, fmt.Errorf("read topic metadata: %w", err)
	}
	r, err := b.GetMetadata(sarama.NewMetadataRequest(k.control.Config().Version, []string{k.cfg.Topic}))
	if err != nil {
		_ = b.Close() // the next time another broker is asked, or this one over a new connection
		return Topic{}, fmt.Errorf("read topic metadata: %w", err)
	}
	if len(r.Topics) != 1 {
		return Topic{}, fmt.Errorf("read topic metadata: %d topics, want 1", len(r.Topics))
	}
	m := r.Topics[0]
	if m.Err != sarama.ErrNoError {
		return Topic{}, fmt.Errorf("read topic metadata: %w", m.Err)
	}
	if len(m.Partitions) == 0 {
		return Topic{}, errors.New("read topic metadata: no partitions")
	}
	t := Topic{Partitions: len(m.Partitions), Replicas: math.MaxInt, InSync: math.MaxInt}
	for _, p := range m.Partitions {
		if p.Leader < 0 {
			return Topic{}, fmt.Errorf("read topic metadata: partition %d: %w", p.ID, sarama.ErrLeaderNotAvailable)
		}
		t.Replicas, t.InSync = min(t.Replicas, len(p.Replicas)), min(t.InSync, len(p.Isr))
	}
	if r.ClusterID != nil {
		t.Identity = *r.ClusterID
	}
	name := m.Name
	if m.Uuid != (sarama.Uuid{}) {
		name = m.Uuid.String()
	}
	t.Identity += "/" + name
	t.Unread = k.readSettings(&t)
	return t, nil
}

// readSettings reads the topic's configuration into t.
func (k *Kafka) readSettings(t *Topic) error {
	answers, err := k.admin.DescribeConfigs([]*sarama.ConfigResource{{
		Type: sarama.TopicResource,
		Name: k.cfg.Topic,
	}}, sarama.DescribeConfigsOptions{})
	if err != nil {
		return err
	}
	values := map[string]string{}
	for _, a := range answers {
		if a.ErrorCode != 0 {
			return a.ErrorCode
		}
		for _, e := range a.Configs {
			values[e.Name] = e.Value
		}
	}
	number := func(name, otherwise string) int64 {
		n, _ := strconv.ParseInt(cmp.Or(values[name], otherwise), 10, 64)
		return n
	}
	t.MinInSync = int(number("min.insync.replicas", "1"))
	t.Unclean = values["unclean.leader.election.enable"] == "true"
	t.MaxBytes = number("retention.bytes", "-1")
	t.Retention = forever
	if ms := number("retention.ms", "-1"); ms >= 0 && ms < math.MaxInt64/int64(time.Millisecond) {
		t.Retention = time.Duration(ms) * time.Millisecond
	}
	return nil
}

// described is the topic as it was described last, and the error of the attempt since, if it has
// failed.
type described struct {
	mu    sync.Mutex
	topic Topic
	err   error
}

// Topic returns the topic as it was described last, and the error of the attempt since, if it has
// failed.
func (k *Kafka) Topic() (Topic, error) {
	k.described.mu.Lock()
	defer k.described.mu.Unlock()
	return k.described.topic, k.described.err
}

// noteTopic takes a description. What is known of another topic is forgotten.
func (k *Kafka) noteTopic(t Topic, err error) {
	k.described.mu.Lock()
	before := k.described.topic
	k.described.err = err
	if err == nil {
		k.described.topic = t
	}
	k.described.mu.Unlock()
	if err != nil {
		return
	}
	if before.Identity != t.Identity {
		k.known.forgetAll()
	}
	if k.cfg.Notify != nil && before.Identity != "" {
		k.cfg.Notify(before, t)
	}
}

// watchTopic describes the topic until the log is closed.
func (k *Kafka) watchTopic() {
	for {
		select {
		case <-k.done:
			return
		case <-time.After(cmp.Or(k.cfg.DescribeEvery, describeInterval)):
			k.noteTopic(k.describeTopic())
		}
	}
}
