package kafkalog

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// C8: a topic is never trimmed by us, because others may read it: what is covered stays readable.
func TestKafkaKeepsWhatIsCovered(t *testing.T) {
	k, _ := openKafka(t, KafkaConfig{Create: &NewTopic{Partitions: 1}})
	appendAll(t, k, 0, "a", "b", "c")
	require.NoError(t, k.Trim(t.Context(), 0, 3))
	require.Equal(t, []string{"a", "b", "c"}, values(readAll(t, k, 0, 0, 1)))
}

// C24: a topic that is deleted and made again under an open log is noticed; so are partitions that
// are added, which the log does not use before it is opened again.
func TestKafkaTopicIsDescribedAnew(t *testing.T) {
	seen := make(chan [2]Topic, 100)
	k, _ := openKafka(t, KafkaConfig{
		Create:        &NewTopic{Partitions: 2},
		DescribeEvery: 10 * time.Millisecond,
		Notify: func(before, after Topic) {
			if before != after {
				seen <- [2]Topic{before, after}
			}
		},
	})
	first := k.Epoch()
	require.NoError(t, k.admin.CreatePartitions(k.cfg.Topic, 4, nil, false))
	change := <-seen
	require.Equal(t, [2]int{2, 4}, [2]int{change[0].Partitions, change[1].Partitions})
	require.Equal(t, 2, k.Partitions())
	require.Equal(t, first, k.Epoch())
	require.NoError(t, k.admin.DeleteTopic(k.cfg.Topic))
	require.NoError(t, k.createTopic())
	require.Eventually(t, func() bool { return k.Epoch() != first }, 10*time.Second, time.Millisecond)
}

// countRequests counts the requests of one kind that the brokers get.
func countRequests(c *kfake.Cluster, key kmsg.Key) *atomic.Int64 {
	n := new(atomic.Int64)
	c.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		n.Add(1)
		return nil, nil, false
	})
	return n
}

// The bounds of all partitions cost as many requests as those of one.
func TestKafkaBoundsTogether(t *testing.T) {
	k, c := openKafka(t, KafkaConfig{Create: &NewTopic{Partitions: 16}})
	appendAll(t, k, 3, "x")
	n := countRequests(c, kmsg.ListOffsets)
	all, err := AllBounds(t.Context(), k)
	require.NoError(t, err)
	require.Len(t, all, 16)
	require.Equal(t, Range{0, 1}, all[3])
	require.Equal(t, int64(2), n.Load())
}

// A record is fetched once for its fingerprint, as long as its leader stays.
func TestKafkaKnownFingerprints(t *testing.T) {
	k, c := openKafka(t, KafkaConfig{Create: &NewTopic{Partitions: 1}})
	appendAll(t, k, 0, "x", "y")
	n := countRequests(c, kmsg.Fetch)
	first, err := k.Fingerprint(t.Context(), 0, 1)
	require.NoError(t, err)
	for range 10 {
		again, err := k.Fingerprint(t.Context(), 0, 1)
		require.NoError(t, err)
		require.Equal(t, first, again)
	}
	require.Equal(t, int64(1), n.Load())
	require.NoError(t, c.MoveTopicPartition(k.cfg.Topic, 0, 0))
	require.NoError(t, k.live.client.RefreshMetadata(k.cfg.Topic))
	_, err = k.Fingerprint(t.Context(), 0, 1)
	for err != nil { // until the client for builders has heard of the new leader
		_, err = k.Fingerprint(t.Context(), 0, 1)
	}
	require.Greater(t, n.Load(), int64(1))
}
