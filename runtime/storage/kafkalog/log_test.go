package kafkalog

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

const suiteParts = 4

// form is one implementation under test. reopen closes the log as its process would and opens it
// again; nil: there is nothing to reopen.
type form struct {
	log      Log
	reopen   func(t *testing.T) Log
	keepsAll bool // a trim does nothing
	noSizes  bool // Size is unknown
}

// startAfter is where a partition begins after a trim.
func (f form) startAfter(trim int64) int64 {
	if f.keepsAll {
		return 0
	}
	return trim
}

// What Log promises holds for every form of it.
func TestLog(t *testing.T) {
	forms := map[string]func(t *testing.T) form{
		"memory": func(t *testing.T) form {
			m := NewMemory(suiteParts)
			return form{log: m, reopen: func(t *testing.T) Log {
				require.NoError(t, m.Close())
				m.Revive()
				return m
			}}
		},
		"faulty": func(t *testing.T) form { return form{log: NewFaulty(NewMemory(suiteParts), nil)} },
		"embedded": func(t *testing.T) form {
			return embeddedForm(t, EmbeddedConfig{Partitions: suiteParts})
		},
		"embedded-disk": func(t *testing.T) form { // nothing from memory, many segments
			return embeddedForm(t, EmbeddedConfig{Partitions: suiteParts, TailBytes: -1, SegmentBytes: 8 << 10})
		},
		"kafka": kafkaForm,
	}
	for name, open := range forms {
		t.Run(name, func(t *testing.T) { runSuite(t, open) })
	}
}

func embeddedForm(t *testing.T, cfg EmbeddedConfig) form {
	dir := t.TempDir()
	l, err := OpenEmbedded(dir, cfg)
	require.NoError(t, err)
	f := form{}
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	f.log = l
	f.reopen = func(t *testing.T) Log {
		require.NoError(t, l.Close())
		l, err = OpenEmbedded(dir, cfg)
		require.NoError(t, err)
		require.Nil(t, l.Cut())
		return l
	}
	return f
}

func kafkaForm(t *testing.T) form {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	cfg := KafkaConfig{Brokers: c.ListenAddrs(), Create: &NewTopic{Partitions: suiteParts}}
	open := func(t *testing.T) *Kafka {
		k, err := OpenKafka(cfg)
		require.NoError(t, err)
		return k
	}
	k := open(t)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	return form{log: k, keepsAll: true, noSizes: true, reopen: func(t *testing.T) Log {
		require.NoError(t, k.Close())
		k = open(t)
		return k
	}}
}

func rec(tenant, value string) Record {
	return Record{Tenant: tenant, Format: FormatOTLP, Parts: suiteParts, Time: time.UnixMilli(1_700_000_000_000), Value: []byte(value)}
}

func recs(values ...string) []Record {
	var out []Record
	for _, v := range values {
		out = append(out, rec("a", v))
	}
	return out
}

// readAll reads a partition from an offset to its end.
func readAll(t testing.TB, l Log, p int32, from int64, maxBytes int) []Record {
	t.Helper()
	var out []Record
	for {
		b, err := l.Read(t.Context(), p, from, maxBytes, 0)
		require.NoError(t, err)
		if len(b.Records) == 0 {
			require.Equal(t, b.End, b.Next)
			return out
		}
		for _, r := range b.Records {
			require.Equal(t, from, r.Offset)
			from++
		}
		require.Equal(t, from, b.Next)
		fp, err := l.Fingerprint(t.Context(), p, from-1)
		require.NoError(t, err)
		require.Equal(t, fp, b.Last)
		out = append(out, b.Records...)
	}
}

func values(rs []Record) []string {
	var out []string
	for _, r := range rs {
		out = append(out, string(r.Value))
	}
	return out
}

func appendAll(t testing.TB, l Log, p int32, vs ...string) int64 {
	t.Helper()
	n, err := l.Append(t.Context(), p, recs(vs...))
	require.NoError(t, err)
	return n
}

func runSuite(t *testing.T, open func(t *testing.T) form) {
	t.Run("append and read", func(t *testing.T) { // what was appended is read back, headers and all, per partition
		l := open(t).log
		require.Equal(t, suiteParts, l.Partitions())
		require.NotEmpty(t, l.Epoch())
		require.Equal(t, int64(2), appendAll(t, l, 1, "x", "y"))
		require.Equal(t, int64(1), appendAll(t, l, 3, "z"))
		require.Equal(t, int64(3), appendAll(t, l, 1, ""))
		got := readAll(t, l, 1, 0, 1<<20)
		require.Equal(t, []string{"x", "y", ""}, values(got))
		require.Equal(t, "a", got[0].Tenant)
		require.Equal(t, FormatOTLP, got[0].Format)
		require.Equal(t, int32(suiteParts), got[0].Parts)
		require.False(t, got[0].Time.IsZero())
		require.Equal(t, []string{"y", ""}, values(readAll(t, l, 1, 1, 1)))
		require.Equal(t, []string{"z"}, values(readAll(t, l, 3, 0, 1<<20)))
		require.Empty(t, readAll(t, l, 0, 0, 1<<20))
		next, err := AppendAll(t.Context(), l, map[int32][]Record{0: recs("p"), 3: recs("q", "r")})
		require.NoError(t, err)
		require.Equal(t, map[int32]int64{0: 1, 3: 3}, next)
	})
	// an offset or partition that is not there is an error, never another record
	t.Run("out of range", func(t *testing.T) {
		f := open(t)
		l := f.log
		appendAll(t, l, 0, "x")
		ctx := t.Context()
		for _, from := range []int64{-1, 2, 1 << 40} {
			_, err := l.Read(ctx, 0, from, 1, 0)
			require.ErrorIs(t, err, ErrOutOfRange, "from %d", from)
		}
		for _, p := range []int32{-1, suiteParts} {
			_, err := l.Append(ctx, p, recs("x"))
			require.ErrorIs(t, err, ErrOutOfRange)
			_, err = l.Read(ctx, p, 0, 1, 0)
			require.ErrorIs(t, err, ErrOutOfRange)
			_, _, err = l.Bounds(ctx, p)
			require.ErrorIs(t, err, ErrOutOfRange)
			_, err = l.Fingerprint(ctx, p, 0)
			require.ErrorIs(t, err, ErrOutOfRange)
			require.ErrorIs(t, l.Trim(ctx, p, 0), ErrOutOfRange)
		}
		if !f.keepsAll {
			require.ErrorIs(t, l.Trim(ctx, 0, 2), ErrOutOfRange)
		}
		_, err := l.Fingerprint(ctx, 0, 1)
		require.ErrorIs(t, err, ErrOutOfRange)
		_, err = l.Append(ctx, 0, []Record{{Value: make([]byte, MaxRecordBytes+1)}})
		require.ErrorIs(t, err, ErrTooLarge)
		require.Equal(t, []string{"x"}, values(readAll(t, l, 0, 0, 1<<20)))
	})
	// every acknowledged record lies at the offset that was acknowledged, in its caller's order
	t.Run("concurrent appends", func(t *testing.T) {
		l := open(t).log
		const callers, rounds = 8, 25
		var wg sync.WaitGroup
		next := make([][]int64, callers)
		for c := range callers {
			wg.Go(func() {
				for i := range rounds {
					n, err := l.Append(t.Context(), int32(c%3), recs(fmt.Sprintf("%d/%d/a", c, i), fmt.Sprintf("%d/%d/b", c, i)))
					if err != nil {
						t.Error(err)
					}
					next[c] = append(next[c], n)
				}
			})
		}
		wg.Wait()
		at := map[string]int64{}
		for p := range int32(3) {
			for _, r := range readAll(t, l, p, 0, 500) {
				require.NotContains(t, at, string(r.Value))
				at[string(r.Value)] = r.Offset
			}
		}
		require.Len(t, at, callers*rounds*2)
		for c := range callers {
			for i, n := range next[c] {
				require.Equal(t, n-1, at[fmt.Sprintf("%d/%d/b", c, i)])
				require.Less(t, at[fmt.Sprintf("%d/%d/a", c, i)], n-1)
			}
		}
	})
	// a read at the end returns what is appended, nothing when time is up, and ends with its
	// context
	t.Run("waiting read", func(t *testing.T) {
		l := open(t).log
		appendAll(t, l, 2, "x")
		b, err := l.Read(t.Context(), 2, 1, 1, time.Millisecond)
		require.NoError(t, err)
		require.Empty(t, b.Records)
		require.Equal(t, int64(1), b.Next)
		require.Equal(t, int64(1), b.End)
		got := make(chan Batch, 2)
		for range 2 {
			go func() {
				b, err := l.Read(t.Context(), 2, 1, 1<<20, time.Minute)
				if err != nil {
					t.Error(err)
				}
				got <- b
			}()
		}
		appendAll(t, l, 1, "elsewhere")
		appendAll(t, l, 2, "y")
		for range 2 {
			b = <-got
			require.Equal(t, []string{"y"}, values(b.Records))
			require.Equal(t, int64(2), b.Next)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := l.Read(ctx, 2, 2, 1, time.Minute)
			ended <- err
		}()
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
	t.Run("max bytes", func(t *testing.T) { // a read returns about as much as asked for, and at least one record
		l := open(t).log
		big := string(make([]byte, 10_000))
		appendAll(t, l, 0, big, big)
		for range 4 {
			appendAll(t, l, 0, big)
		}
		b, err := l.Read(t.Context(), 0, 0, 1, 0)
		require.NoError(t, err)
		require.NotEmpty(t, b.Records)
		require.Less(t, len(b.Records), 6)
		require.Equal(t, int64(6), b.End)
		require.Len(t, readAll(t, l, 0, 0, 1), 6)
		require.Len(t, readAll(t, l, 0, 1, 25_000), 5)
	})
	t.Run("bounds and trim", func(t *testing.T) { // a trim moves the start and nothing else; it never moves back
		f := open(t)
		l, ctx := f.log, t.Context()
		s, e, err := l.Bounds(ctx, 0)
		require.NoError(t, err)
		require.Equal(t, [2]int64{0, 0}, [2]int64{s, e})
		for i := range 10 {
			appendAll(t, l, 0, fmt.Sprint(i))
			appendAll(t, l, 1, fmt.Sprint(i))
		}
		fp, err := l.Fingerprint(ctx, 0, 5)
		require.NoError(t, err)
		require.NoError(t, l.Trim(ctx, 0, 6))
		require.NoError(t, l.Trim(ctx, 0, 2))
		s, e, err = l.Bounds(ctx, 0)
		require.NoError(t, err)
		require.Equal(t, f.startAfter(6), s)
		require.Equal(t, int64(10), e)
		all, err := AllBounds(ctx, l)
		require.NoError(t, err)
		require.Equal(t, []Range{{f.startAfter(6), 10}, {0, 10}, {0, 0}, {0, 0}}, all)
		_, err = l.Read(ctx, 0, s-1, 1, 0)
		require.ErrorIs(t, err, ErrOutOfRange)
		require.Equal(t, []string{"6", "7", "8", "9"}, values(readAll(t, l, 0, 6, 1)))
		require.Len(t, readAll(t, l, 1, 0, 1<<20), 10)
		again, err := l.Fingerprint(ctx, 0, 5)
		require.NoError(t, err, "the last covered record's fingerprint is kept")
		require.Equal(t, fp, again)
		require.NoError(t, l.Trim(ctx, 0, 10))
		require.Equal(t, int64(11), appendAll(t, l, 0, "10"))
		require.Equal(t, []string{"10"}, values(readAll(t, l, 0, 10, 1)))
	})
	t.Run("fingerprint", func(t *testing.T) { // a record keeps its fingerprint; other content has another
		f := open(t)
		for p, v := range []string{"x", "y"} {
			appendAll(t, f.log, int32(p), v)
		}
		fp := make([]Fingerprint, 2)
		for p := range fp {
			var err error
			fp[p], err = f.log.Fingerprint(t.Context(), int32(p), 0)
			require.NoError(t, err)
		}
		require.NotEqual(t, fp[0].CRC, fp[1].CRC)
		if f.reopen == nil {
			return
		}
		l := f.reopen(t)
		got, err := l.Fingerprint(t.Context(), 0, 0)
		require.NoError(t, err)
		require.Equal(t, fp[0], got)
	})
	// everything is there after a restart, and offsets go on, also of a partition trimmed empty
	t.Run("reopen", func(t *testing.T) {
		f := open(t)
		if f.reopen == nil {
			t.Skip("nothing to reopen")
		}
		l := f.log
		epoch := l.Epoch()
		r := rand.New(rand.NewPCG(1, 2))
		want := map[int32][]string{}
		for i := range 60 {
			p := int32(r.IntN(suiteParts))
			v := fmt.Sprint(i, string(make([]byte, r.IntN(2000))))
			want[p] = append(want[p], v)
			appendAll(t, l, p, v)
		}
		require.NoError(t, l.Trim(t.Context(), 2, int64(len(want[2]))))
		for range 3 {
			l = f.reopen(t)
			require.Equal(t, epoch, l.Epoch())
			for _, p := range []int32{0, 1, 3} {
				require.Equal(t, want[p], values(readAll(t, l, p, 0, 3000)))
			}
			s, e, err := l.Bounds(t.Context(), 2)
			require.NoError(t, err)
			require.Equal(t, f.startAfter(int64(len(want[2]))), s)
			require.Equal(t, int64(len(want[2])), e)
			want[0] = append(want[0], "more")
			require.Equal(t, int64(len(want[0])), appendAll(t, l, 0, "more"))
		}
	})
	t.Run("size", func(t *testing.T) { // size grows with appends
		f := open(t)
		if f.noSizes {
			t.Skip("size is unknown")
		}
		before := f.log.Size()
		appendAll(t, f.log, 0, string(make([]byte, 1000)))
		require.GreaterOrEqual(t, f.log.Size(), before+1000)
	})
	t.Run("close", func(t *testing.T) { // after Close, and while it closes, calls end with ErrClosed
		l := open(t).log
		appendAll(t, l, 0, "x")
		ended := make(chan error, 1)
		go func() {
			_, err := l.Read(context.Background(), 0, 1, 1, time.Minute)
			ended <- err
		}()
		require.NoError(t, l.Close())
		require.ErrorIs(t, <-ended, ErrClosed)
		_, err := l.Append(t.Context(), 0, recs("y"))
		require.ErrorIs(t, err, ErrClosed)
		_, err = l.Read(t.Context(), 0, 0, 1, 0)
		require.ErrorIs(t, err, ErrClosed)
		_, _, err = l.Bounds(t.Context(), 0)
		require.ErrorIs(t, err, ErrClosed)
	})
	t.Run("cancelled", func(t *testing.T) { // a context that has ended has no effect on the log
		l := open(t).log
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := l.Append(ctx, 0, recs("x"))
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, readAll(t, l, 0, 0, 1))
	})
}
