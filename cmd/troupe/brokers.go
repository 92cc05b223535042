package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
)

// Pauses between attempts to open the log in Kafka.
const (
	firstBrokerPause = time.Second
	lastBrokerPause  = 5 * time.Second
)

// brokers is how the node stands with Kafka, for its status pages.
type brokers struct {
	mu      sync.Mutex
	waiting string          // why the log cannot be opened yet; empty: it can, or was not tried yet
	log     *kafkalog.Kafka // nil: it is not open
}

// whyWaiting says why the log cannot be opened yet.
func (b *brokers) whyWaiting() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting
}

func (b *brokers) noteAttempt(l *kafkalog.Kafka, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log, b.waiting = l, ""
	if err != nil {
		b.waiting = fmt.Sprintf("%v: check ingest.kafka and whether the brokers answer; the node tries again", err)
	}
}

// openLog opens the log in Kafka. It tries until it can or ctx ends, because brokers may start
// after the node does. Meanwhile the node is not ready and says why.
func (b *brokers) openLog(ctx context.Context, k Kafka, logger *slog.Logger) (kafkalog.Log, error) {
	cfg, err := k.clientConfig()
	if err != nil {
		return nil, err
	}
	cfg.Notify = func(before, after kafkalog.Topic) { logTopicChange(logger, k.Topic, before, after) }
	type opened struct {
		log *kafkalog.Kafka
		err error
	}
	for pause := firstBrokerPause; ; pause = min(2*pause, lastBrokerPause) {
		done := make(chan opened, 1)
		go func() {
			l, err := kafkalog.OpenKafka(cfg)
			done <- opened{l, err}
		}()
		select {
		case o := <-done:
			b.noteAttempt(o.log, o.err)
			if o.err == nil {
				b.logDoubts(logger, k.Topic)
				return o.log, nil
			}
			logger.Warn("wait for Kafka", "address", k.Address, "topic", k.Topic, "err", o.err, "next", pause)
		case <-ctx.Done(): // the attempt ends with the process
			return nil, ctx.Err()
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (b *brokers) logDoubts(logger *slog.Logger, name string) {
	topic, _ := b.log.Topic()
	for _, doubt := range topic.Doubts() {
		logger.Warn("acknowledged spans may be lost with this topic", "topic", name, "reason", doubt)
	}
}

// logTopicChange says what has become of the topic since it was described last.
func logTopicChange(logger *slog.Logger, name string, before, after kafkalog.Topic) {
	if before.Identity != after.Identity {
		logger.Error("the topic is another one than it was: it was deleted and made again, or the brokers are others",
			"topic", name, "before", before.Identity, "after", after.Identity)
	}
	if before.Partitions != after.Partitions {
		logger.Warn("the topic has another number of partitions: the node uses those that it had at the start, "+
			"and all of them after a restart", "topic", name, "before", before.Partitions, "after", after.Partitions)
	}
	if before.InSync != after.InSync {
		logger.Warn("the number of replicas in sync has changed", "topic", name, "before", before.InSync,
			"after", after.InSync, "replicas", after.Replicas)
	}
}

// promise says what an acknowledgement is worth with the topic as it is.
func (b *brokers) promise(name string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting != "" {
		return []string{"No span is taken yet. The node waits for Kafka: " + b.waiting}
	}
	if b.log == nil {
		return []string{"No span is taken yet. The node connects to Kafka."}
	}
	topic, err := b.log.Topic()
	out := []string{fmt.Sprintf("An acknowledged span is on all in-sync replicas of the Kafka topic %s, "+
		"which has %d partitions of %d replicas.", name, topic.Partitions, topic.Replicas)}
	if err != nil {
		out = append(out, fmt.Sprintf("The brokers do not describe the topic at present: %v.", err))
	}
	doubts := topic.Doubts()
	for _, doubt := range doubts {
		out = append(out, "It may be lost: "+doubt+".")
	}
	if len(doubts) == 0 {
		out = append(out, "It survives the loss of a broker.")
	}
	return out
}
