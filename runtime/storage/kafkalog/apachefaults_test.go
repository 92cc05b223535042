package kafkalog

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit/kafka"
)

// follower reads a partition as a live-store does. It notes what no fault but the loss of
// acknowledged records may cause.
type follower struct {
	values []string
	fault  error
	ended  chan struct{}
}

// startFollower reads until it has met a record whose value is last.
func startFollower(t *testing.T, k *Kafka, p int32, last string) *follower {
	f := &follower{ended: make(chan struct{})}
	go func() {
		defer close(f.ended)
		next := int64(0)
		for {
			b, err := k.Read(t.Context(), p, next, 1<<20, 100*time.Millisecond)
			switch {
			case errors.Is(err, ErrOutOfRange) || t.Context().Err() != nil:
				f.fault = fmt.Errorf("read at %d: %w", next, err)
				return
			case err != nil: // nobody leads it at the moment
				time.Sleep(10 * time.Millisecond)
				continue
			case b.Next > b.End:
				f.fault = fmt.Errorf("the end %d is below %d, which was read", b.End, b.Next)
				return
			}
			for _, r := range b.Records {
				f.values = append(f.values, string(r.Value))
				if string(r.Value) == last {
					return
				}
			}
			next = b.Next
		}
	}()
	return f
}

// While leaders change, because brokers are killed, stopped in order, and frozen, nothing that was
// acknowledged is lost or read as another history, and appends and reads go on by themselves.
func TestApacheLeaderChanges(t *testing.T) {
	kafka.Long(t)
	const parts = 3
	c := startApache(t, 3)
	k := openLog(t, c.config(NewTopic{Partitions: parts}))
	topic, err := k.Topic()
	require.NoError(t, err)
	require.Empty(t, topic.Doubts(), "three replicas, two in sync, no unclean election")
	var writers []*writer
	var followers []*follower
	for p := range int32(parts) {
		writers = append(writers, startWriter(t, k, p))
		followers = append(followers, startFollower(t, k, p, "last"))
	}
	goOn := func(what string) {
		t.Helper()
		began := time.Now()
		for _, w := range writers {
			w.await(w.acked.Load() + 100)
		}
		t.Logf("%s: all partitions have taken 100 records more after %s", what, time.Since(began).Round(time.Millisecond))
	}
	goOn("at first")
	second, third := c.Brokers[1], c.Brokers[2]
	second.Kill()
	goOn("one is killed")
	second.Restart()
	goOn("it is back")
	third.Stop()
	goOn("another is stopped")
	third.Restart()
	goOn("it is back")
	second.Pause()
	goOn("one is frozen")
	second.Resume()
	goOn("it goes on")
	for p, w := range writers {
		w.stop()
		require.Eventually(t, func() bool {
			_, err := k.Append(t.Context(), int32(p), recs("last"))
			return err == nil
		}, time.Minute, 50*time.Millisecond)
		<-followers[p].ended
		require.NoError(t, followers[p].fault)
		next := int64(0)
		for _, v := range followers[p].values {
			if v == fmt.Sprint(next) {
				next++
			}
		}
		require.Equal(t, w.acked.Load(), next, "partition %d", p)
	}
}

// A quota that holds a reader back makes it late, which its batches tell: their end is beyond what
// was read. It never makes a read come back empty as if there was nothing.
func TestApacheQuota(t *testing.T) {
	kafka.Long(t)
	c := startApache(t, 1)
	cfg := c.config(NewTopic{Partitions: 1})
	k := openLog(t, cfg)
	who := []sarama.QuotaEntityComponent{{EntityType: sarama.QuotaEntityClientID, MatchType: sarama.QuotaMatchExact, Name: "troupe-live"}}
	slow := sarama.ClientQuotasOp{Key: "consumer_byte_rate", Value: 200_000}
	require.NoError(t, k.admin.AlterClientQuotas(who, slow, false))
	const records, size = 30, 100_000
	for i := range records {
		appendAll(t, k, 0, fmt.Sprint(i, " ", strings.Repeat("x", 10), string(noise(size))))
	}
	began, next, late := time.Now(), int64(0), 0
	for next < records {
		b, err := k.Read(t.Context(), 0, next, 1, 0)
		if err != nil {
			require.NotErrorIs(t, err, ErrOutOfRange)
			require.ErrorContains(t, err, "throttled")
			late++
			continue
		}
		require.NotEmpty(t, b.Records)
		require.Equal(t, int64(records), b.End)
		next = b.Next
	}
	t.Logf("%d bytes were read in %s, %d reads were refused", records*size, time.Since(began).Round(time.Millisecond), late)
	require.Greater(t, time.Since(began), 5*time.Second, "the quota holds")
	require.NoError(t, k.admin.AlterClientQuotas(who, sarama.ClientQuotasOp{Key: slow.Key, Remove: true}, false))
}
