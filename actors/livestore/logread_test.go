package livestore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
)

// appendTo appends records to partition 0.
func appendTo(t *testing.T, log kafkalog.Log, values ...string) {
	for _, v := range values {
		r := kafkalog.Record{Tenant: "a", Format: kafkalog.FormatOTLP, Parts: 1, Time: time.Unix(1, 0), Value: []byte(v)}
		_, err := log.Append(t.Context(), 0, []kafkalog.Record{r})
		require.NoError(t, err)
	}
}

// What was read is compared with the log once at the first read, and then whenever the leader has
// changed, also where nothing came since: a log that was cut off and has grown to the same length
// again has the same offsets.
func TestReadCompares(t *testing.T) {
	m := kafkalog.NewMemory(1)
	compared := 0
	log := kafkalog.NewFaulty(m, func(c kafkalog.Call) kafkalog.Fault {
		if c.Op == kafkalog.OpFingerprint {
			compared++
		}
		return kafkalog.Fault{}
	})
	appendTo(t, log, "x", "y")
	read := func(j readJob) (kafkalog.Batch, error) {
		j.bytes = 1
		return j.readBatch(t.Context(), log)
	}
	b, err := read(readJob{leader: noLeader})
	require.NoError(t, err)
	require.Zero(t, compared, "nothing is known yet")
	last := &mark{offset: 0, fingerprint: b.Last}
	for _, leader := range []int32{noLeader, b.Leader, b.Leader} {
		_, err = read(readJob{from: 1, last: last, leader: leader})
		require.NoError(t, err)
	}
	require.Equal(t, 1, compared)
	other := &mark{offset: 0, fingerprint: kafkalog.Fingerprint{CRC: 7}}
	_, err = read(readJob{from: 1, last: other, leader: noLeader})
	require.ErrorIs(t, err, kafkalog.ErrOutOfRange)

	b, err = read(readJob{from: 1, last: last, leader: b.Leader})
	require.NoError(t, err)
	last = &mark{offset: 1, fingerprint: b.Last}
	m.Truncate(0, 1)
	appendTo(t, log, "z")
	again, err := read(readJob{from: 2, last: last, leader: b.Leader})
	require.Empty(t, again.Records)
	require.ErrorIs(t, err, kafkalog.ErrOutOfRange)
	require.ErrorContains(t, err, "another one than was read")

	appendTo(t, log, "w")
	require.NoError(t, m.Trim(t.Context(), 0, 3))
	_, err = read(readJob{from: 3, last: &mark{offset: 0, fingerprint: last.fingerprint}, leader: b.Leader})
	require.NoError(t, err, "what the log has forgotten tells nothing")
}
