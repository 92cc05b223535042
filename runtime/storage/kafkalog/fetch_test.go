package kafkalog

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// fetchTogether makes calls that all wait for the broker before it is asked, so that they share a
// fetch wherever calls may share one. It returns when all have ended.
func fetchTogether(t *testing.T, f *fetcher, calls ...func()) {
	t.Helper()
	broker, _, err := f.client.LeaderAndEpoch(f.topic, 0)
	require.NoError(t, err)
	f.mu.Lock()
	f.running[broker.ID()] = true
	f.mu.Unlock()
	ended := make(chan struct{}, len(calls))
	for _, call := range calls {
		go func() {
			call()
			ended <- struct{}{}
		}()
	}
	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.waiting[broker.ID()]) == len(calls)
	}, 10*time.Second, time.Millisecond)
	go f.serveBroker(broker)
	for range calls {
		<-ended
	}
}

// C44: each comparison has a fetch of its own, because a fetch of several partitions may bring
// nothing of all but the first. A fetch that brings nothing never reads as another history.
func TestFingerprintsTogether(t *testing.T) {
	const parts = 6
	k, _ := openKafka(t, KafkaConfig{Create: &NewTopic{Partitions: parts}})
	for p := range int32(parts) {
		appendAll(t, k, p, "x", strings.Repeat("x", 50_000))
	}
	var calls []func()
	var errs [parts]error
	for p := range int32(parts) {
		calls = append(calls, func() { _, errs[p] = k.Fingerprint(t.Context(), p, 1) })
	}
	fetchTogether(t, k.build, calls...)
	require.NoError(t, errors.Join(errs[:]...))
}

// A fetch whose bytes are used up by some partitions brings the others in the next one, however
// short their reads may wait.
func TestReadsTogether(t *testing.T) {
	const parts = 6
	k, _ := openKafka(t, KafkaConfig{Create: &NewTopic{Partitions: parts}})
	for p := range int32(parts) {
		appendAll(t, k, p, strings.Repeat("x", 50_000))
	}
	var calls []func()
	var got [parts]Batch
	var errs [parts]error
	for p := range int32(parts) {
		calls = append(calls, func() { got[p], errs[p] = k.Read(t.Context(), p, 0, 1, 0) })
	}
	fetchTogether(t, k.live, calls...)
	for p := range got {
		require.NoError(t, errs[p])
		require.Len(t, got[p].Records, 1, "partition %d", p)
	}
}

// flipper dials connections on which what was written as POISON arrives as poison, as if bits had
// changed in the broker.
type flipper struct{}

func (flipper) Dial(network, addr string) (net.Conn, error) {
	c, err := net.Dial(network, addr)
	return flipped{c}, err
}

type flipped struct{ net.Conn }

func (f flipped) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	copy(b[:n], bytes.ReplaceAll(b[:n], []byte("POISON"), []byte("poison")))
	return n, err
}

// A batch that does not decode is an error of its partition and of its offset: what lies before it
// is read, and so are the broker's other partitions.
func TestCorruptBatch(t *testing.T) {
	k, _ := openKafka(t, KafkaConfig{Create: &NewTopic{Partitions: 3}, Change: func(c *sarama.Config) {
		c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, flipper{}
	}})
	for p := range int32(3) {
		appendAll(t, k, p, "fine")
	}
	appendAll(t, k, 0, "POISON")
	appendAll(t, k, 0, "behind it")
	appendAll(t, k, 1, "fine too")
	var got [3]Batch
	var errs [3]error
	read := func(p int32, from int64) func() {
		return func() { got[p], errs[p] = k.Read(t.Context(), p, from, 1<<20, 0) }
	}
	fetchTogether(t, k.live, read(0, 0), read(1, 0), read(2, 0))
	require.NoError(t, errors.Join(errs[:]...))
	require.Equal(t, []string{"fine"}, values(got[0].Records))
	require.Equal(t, []string{"fine", "fine too"}, values(got[1].Records))
	require.Equal(t, []string{"fine"}, values(got[2].Records))
	for range 3 { // however often it is asked for
		fetchTogether(t, k.live, read(0, 1), read(1, 1), read(2, 0))
		require.ErrorContains(t, errs[0], "read partition 0 at 1: the batch does not decode")
		require.NotErrorIs(t, errs[0], ErrOutOfRange, "it is no other history")
		require.NoError(t, errors.Join(errs[1], errs[2]))
		require.Equal(t, []string{"fine too"}, values(got[1].Records))
	}
	require.Equal(t, []string{"behind it"}, values(readAll(t, k, 0, 2, 1)), "offsets behind it can be read")
}
