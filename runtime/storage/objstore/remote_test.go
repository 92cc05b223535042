package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// networkStore is a Store whose objects are in another bucket, which may be faulty.
type networkStore struct {
	bucket Bucket
	open   func(n int, body io.Reader) (io.Reader, error) // changes what the n-th read sees; nil: nothing
	opened atomic.Int64
}

func (s *networkStore) CreateObject(ctx context.Context, name string, body io.ReadSeeker, size int64) error {
	n, err := s.bucket.Create(ctx, name, body)
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes came of %d", n, size)
	}
	return err
}

func (s *networkStore) OpenObject(ctx context.Context, name string, off, length int64) (io.ReadCloser, int64, error) {
	n := int(s.opened.Add(1))
	b, err := s.bucket.Read(ctx, name, 1<<30)
	if err != nil {
		return nil, 0, err
	}
	size := int64(len(b))
	b = b[min(off, size):]
	if length >= 0 {
		b = b[:min(length, int64(len(b)))]
	}
	var body io.Reader = bytes.NewReader(b)
	if s.open != nil {
		if body, err = s.open(n, body); err != nil {
			return nil, 0, err
		}
	}
	return io.NopCloser(body), size, ctx.Err()
}

func (s *networkStore) ListObjects(ctx context.Context, prefix, after string, f func(Info) error) error {
	return s.bucket.List(ctx, prefix, func(o Info) error {
		if o.Name <= after {
			return nil
		}
		return f(o)
	})
}

func (s *networkStore) DeleteObject(ctx context.Context, name string) error {
	return s.bucket.Delete(ctx, name)
}

var errConnection = errors.New("connection reset")

// newFailing makes a remote bucket whose store fails by a plan. Its pauses are short.
func newFailing(plan Plan) (*Remote, *networkStore) {
	s := &networkStore{bucket: NewFaulty(NewMemory(), plan)}
	cfg := DefaultRemoteConfig()
	cfg.FirstPause, cfg.LastPause = time.Millisecond, time.Millisecond
	return NewRemote(s, cfg, NewMetrics(prometheus.NewRegistry())), s
}

// failFirst is a plan in which the first n calls of an operation end with a fault.
func failFirst(op Op, n int, f Fault) Plan {
	return func(c Call) Fault {
		if c.Op == op && c.N <= n {
			return f
		}
		return Fault{}
	}
}

// What failed is tried again, and only so often.
func TestRemoteRetries(t *testing.T) {
	for _, op := range []Op{OpCreate, OpRead, OpList, OpDelete} {
		t.Run(string(op), func(t *testing.T) {
			call := func(b *Remote) error {
				switch op {
				case OpCreate:
					_, err := b.Create(t.Context(), "x", strings.NewReader("content"))
					return err
				case OpRead:
					_, err := b.ReadRange(t.Context(), "x", 0, make([]byte, 3))
					return err
				case OpList:
					return b.List(t.Context(), "", func(Info) error { return nil })
				}
				return b.Delete(t.Context(), "x")
			}
			prepare := func(s *networkStore) {
				if op != OpCreate {
					put(t, s.bucket, "x", "content")
				}
			}
			b, s := newFailing(failFirst(op, 5, Fault{Before: errConnection}))
			prepare(s)
			require.NoError(t, call(b), "the sixth attempt succeeds")
			b, s = newFailing(failFirst(op, 6, Fault{Before: errConnection}))
			prepare(s)
			require.ErrorIs(t, call(b), errConnection)
			for _, final := range []error{ErrRefused, ErrFull} {
				b, s = newFailing(failFirst(op, 1, Fault{Before: final}))
				prepare(s)
				require.ErrorIs(t, call(b), final, "another attempt would end in the same way")
			}
		})
	}
}

// A create whose answer was lost has succeeded if the object is its own, and has not if another
// writer was faster (C9).
func TestCreateWithLostAnswer(t *testing.T) {
	for _, size := range []int{3, 3 << 20} {
		content := bytes.Repeat([]byte("abc"), size/3)
		b, s := newFailing(failFirst(OpCreate, 1, Fault{After: errConnection}))
		n, err := b.Create(t.Context(), "entry", bytes.NewReader(content))
		require.NoError(t, err)
		require.EqualValues(t, len(content), n)

		other := slices.Clone(content)
		other[len(other)-1]++
		s.bucket.(*Faulty).SetPlan(nil)
		_, err = b.Create(t.Context(), "entry", bytes.NewReader(content))
		require.ErrorIs(t, err, ErrExists, "the first attempt's answer says all")
		raced, s := newFailing(failFirst(OpCreate, 2, Fault{Before: errConnection}))
		put(t, s.bucket.(*Faulty).bucket, "entry", string(other))
		_, err = raced.Create(t.Context(), "entry", bytes.NewReader(content))
		require.ErrorIs(t, err, ErrExists, "equal in size, and another writer's")
	}
}

// When everything fails, retries are a tenth of the requests and a few more.
func TestRetriesHaveABudget(t *testing.T) {
	calls := 0
	b, _ := newFailing(func(Call) Fault { calls++; return Fault{Before: errConnection} })
	for range 300 {
		require.ErrorIs(t, b.Delete(t.Context(), "x"), errConnection)
	}
	require.Less(t, calls, 300+30+10+20)
	require.Greater(t, calls, 300+30)
}

// A list that breaks goes on behind what was listed, and lists nothing twice.
func TestListGoesOn(t *testing.T) {
	b, s := newFailing(nil)
	var want []string
	for i := range 50 {
		name := fmt.Sprintf("a/%02d", i)
		put(t, b, name, "x")
		want = append(want, name+":1")
	}
	s.bucket = &breakingList{Bucket: s.bucket}
	require.Equal(t, want, listed(t, b, "a/"))
}

// breakingList breaks its first list after 20 objects, the second after 40, and so on.
type breakingList struct {
	Bucket
	lists int
}

func (b *breakingList) List(ctx context.Context, prefix string, f func(Info) error) error {
	b.lists++
	n := 0
	return b.Bucket.List(ctx, prefix, func(o Info) error {
		if n == 20*b.lists {
			return errConnection
		}
		n++
		return f(o)
	})
}

// A body that breaks is read again; one that ends early at the object's end is whole.
func TestReadBreaks(t *testing.T) {
	b, s := newFailing(nil)
	put(t, b, "x", "0123456789")
	s.open = func(n int, body io.Reader) (io.Reader, error) {
		if n <= 2 {
			return io.MultiReader(io.LimitReader(body, 4), readerFunc(func([]byte) (int, error) { return 0, errConnection })), nil
		}
		return body, nil
	}
	require.Equal(t, "0123456789", get(t, b, "x"))
	s.opened.Store(0)
	buf := make([]byte, 20)
	n, err := b.ReadRange(t.Context(), "x", 3, buf)
	require.NoError(t, err)
	require.Equal(t, "3456789", string(buf[:n]))
	require.EqualValues(t, 3, s.opened.Load())
}

// A read whose first byte does not come is sent a second time, and the slow one is ended.
func TestHedge(t *testing.T) {
	b, s := newFailing(nil)
	b.cfg.HedgeAfter = time.Millisecond
	put(t, b, "x", "0123456789")
	slow := make(chan struct{})
	s.open = func(n int, body io.Reader) (io.Reader, error) {
		if n == 1 {
			<-slow
			return nil, errConnection
		}
		return body, nil
	}
	require.Equal(t, "0123456789", get(t, b, "x"))
	require.EqualValues(t, 1, testutil.ToFloat64(b.metrics.hedges))
	close(slow)

	b, s = newFailing(nil)
	b.cfg.HedgeAfter = time.Millisecond
	put(t, b, "x", "0123456789")
	s.open = func(n int, body io.Reader) (io.Reader, error) {
		time.Sleep(2 * time.Millisecond)
		return body, nil
	}
	for range 40 {
		require.Equal(t, "0123456789", get(t, b, "x"))
	}
	require.LessOrEqual(t, testutil.ToFloat64(b.metrics.hedges), float64(5+3), "a slow store is not asked twice for all")
}

// All objects are in the folder of the prefix, and none outside is seen.
func TestPrefix(t *testing.T) {
	s := &networkStore{bucket: NewMemory()}
	cfg := DefaultRemoteConfig()
	cfg.Prefix = "/traces/eu/"
	b := NewRemote(s, cfg, NewMetrics(prometheus.NewRegistry()))
	put(t, s.bucket, "traces/other", "x")
	put(t, b, "a/b", "y")
	require.Equal(t, []string{"a/b:1"}, listed(t, b, ""))
	require.Equal(t, []string{"traces/eu/a/b:1", "traces/other:1"}, listed(t, s.bucket, ""))
	require.Equal(t, "y", get(t, b, "a/b"))
	require.NoError(t, b.Delete(t.Context(), "a/b"))
	require.Empty(t, listed(t, b, ""))
}
