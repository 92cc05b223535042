package supervise

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The pause doubles up to its longest, less a random part of at most half. It does not overflow
// however many failures there are.
func TestBackoffDelay(t *testing.T) {
	b := Exponential(time.Second, 10*time.Second)
	for n, full := range map[int]time.Duration{
		0: time.Second, 1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 8 * time.Second,
		5: 10 * time.Second, 6: 10 * time.Second, 100: 10 * time.Second,
	} {
		r := rand.New(rand.NewPCG(1, uint64(n)))
		seen := map[time.Duration]bool{}
		for range 100 {
			d := b.Delay(n, r)
			require.GreaterOrEqual(t, d, full/2, "after failure %d", n)
			require.LessOrEqual(t, d, full, "after failure %d", n)
			seen[d] = true
		}
		require.Greater(t, len(seen), 50, "the pauses are spread")
	}
	require.Zero(t, Backoff{}.Delay(1, rand.New(rand.NewPCG(1, 1))), "a policy without a backoff does not wait")
	huge := Exponential(time.Hour, 1<<62)
	require.Positive(t, huge.Delay(50, rand.New(rand.NewPCG(1, 1))))
}

// An actor is started again as often as its policy says within the policy's time. Failures before
// that time are forgotten.
func TestRecordGivesUp(t *testing.T) {
	p := Policy{Restarts: 2, Within: time.Minute}
	var r Record
	now := time.Unix(0, 0)
	fail := func(after time.Duration) (Decision, int) {
		now = now.Add(after)
		d, n := r.NoteFailure(p, now)
		if d == Restart {
			r.NoteStart()
		}
		return d, n
	}
	type outcome struct {
		decision Decision
		count    int
	}
	for i, step := range []struct {
		after time.Duration
		want  outcome
	}{
		{0, outcome{Restart, 1}},
		{30 * time.Second, outcome{Restart, 2}},
		{31 * time.Second, outcome{Restart, 2}}, // the first is more than a minute ago
		{time.Second, outcome{GiveUp, 3}},
		{2 * time.Minute, outcome{Restart, 1}},
	} {
		d, n := fail(step.after)
		require.Equal(t, step.want, outcome{d, n}, "failure %d", i+1)
	}
	require.Equal(t, 4, r.Restarts())
}

// While a restart is on its way another failure begins none, but counts.
func TestRecordAwaitsRestart(t *testing.T) {
	p := Policy{Restarts: 3, Within: time.Minute}
	var r Record
	now := time.Unix(0, 0)
	d, _ := r.NoteFailure(p, now)
	require.Equal(t, Restart, d)
	d, n := r.NoteFailure(p, now)
	require.Equal(t, AwaitRestart, d)
	require.Equal(t, 2, n)
	require.Equal(t, 1, r.Restarts())
	r.NoteStart()
	d, _ = r.NoteFailure(p, now)
	require.Equal(t, Restart, d)
	d, n = r.NoteFailure(p, now)
	require.Equal(t, GiveUp, d, "the restarts are used up, whatever is on its way")
	require.Equal(t, 4, n)
}

// A policy without restarts gives up at the first failure.
func TestRecordWithoutRestarts(t *testing.T) {
	var r Record
	d, n := r.NoteFailure(Policy{}, time.Unix(0, 0))
	require.Equal(t, GiveUp, d)
	require.Equal(t, 1, n)
	require.Zero(t, r.Restarts())
}

// A failure shows the text of its cause and can be matched as the cause.
func TestFailure(t *testing.T) {
	cause := errors.New("the disk is gone")
	f := Fail(cause)
	require.ErrorIs(t, f, cause)
	require.EqualError(t, f, "the disk is gone")
	require.Equal(t, "the disk is gone", Cause(f))
	require.Equal(t, "index out of range", Cause("index out of range"))
}
