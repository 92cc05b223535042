package kafkalog

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// A producer whose sequence ended while no broker answered comes back when one does.
func TestKafkaProducerComesBack(t *testing.T) {
	k, _ := openKafka(t, KafkaConfig{Create: &NewTopic{Partitions: 1}, Change: func(c *sarama.Config) { c.Metadata.Retry.Max = 0 }})
	appendAll(t, k, 0, "before")
	brokers := k.cfg.Brokers
	k.cfg.Brokers = []string{"127.0.0.1:1"} // nobody
	m := messageOf(k.cfg.Topic, 0, &Record{})
	_, err := k.endAppend(k.producer, []*sarama.ProducerMessage{m}, map[int32]int64{}, sarama.ProducerErrors{{Msg: m, Err: sarama.ErrOutOfOrderSequenceNumber}})
	require.ErrorIs(t, err, sarama.ErrOutOfOrderSequenceNumber)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = k.Append(ctx, 0, recs("nobody is there"))
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrFailed, "the log is not to be opened again")
	require.Eventually(t, func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.reconnect.active == nil {
			k.cfg.Brokers = brokers
		}
		return k.reconnect.active == nil
	}, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, int64(2), appendAll(t, k, 0, "after"))
}

// While brokers are away for an hour and somebody appends all the time, few connections are tried;
// the error says when the next is.
func TestReconnectPauses(t *testing.T) {
	now, tries := time.Unix(0, 0), 0
	k := &Kafka{reconnect: reconnect{now: func() time.Time { return now }}}
	for ; now.Before(time.Unix(3600, 0)); now = now.Add(100 * time.Millisecond) {
		if k.reconnect.err != nil && k.reconnect.after.After(now) {
			continue
		}
		tries++
		k.reconnect.active = make(chan struct{})
		k.reconnect.noteEnd(errors.New("nobody is there"))
	}
	require.Less(t, tries, 100)
	require.Greater(t, tries, 20)
	_, err := k.liveProducer(context.Background())
	require.ErrorContains(t, err, "nobody is there")
	require.ErrorContains(t, err, "the next try is in")
	k.reconnect.active = make(chan struct{})
	k.reconnect.noteEnd(nil)
	require.Equal(t, firstPause, k.reconnect.nextPause())
}
