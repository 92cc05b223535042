package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Store is a store on the network as its vendor's SDK sees it. Each call is one request and is not
// repeated. Names are checked before. Errors wrap ErrExists, ErrNotFound and ErrFull where these
// apply, and ErrRefused where the store will answer the same question in the same way; all others
// are worth another attempt.
type Store interface {
	// CreateObject creates an object of which body has the content, unless there is one of this
	// name.
	CreateObject(ctx context.Context, name string, body io.ReadSeeker, size int64) error
	// OpenObject begins to read up to length bytes from off on; length < 0 means all of them. It
	// returns when the first byte is there. At the object's end, and behind it, the body is empty.
	// size is the size of the object for length < 0.
	OpenObject(ctx context.Context, name string, off, length int64) (body io.ReadCloser, size int64, err error)
	// ListObjects calls f for each object whose name begins with prefix and comes after a name, in
	// the order of names. An error of f ends it and is returned.
	ListObjects(ctx context.Context, prefix, after string, f func(Info) error) error
	// DeleteObject removes an object. It returns no error if there is none.
	DeleteObject(ctx context.Context, name string) error
}

// ErrRefused is the error of a store that does not accept a request, such as one without the right
// to write. A second attempt would be refused as well.
var ErrRefused = errors.New("store refuses the request")

// RemoteConfig says how a Remote deals with a store that fails or is slow.
type RemoteConfig struct {
	Attempts   int           // for one call, the first included
	FirstPause time.Duration // before the second attempt; the pauses double
	LastPause  time.Duration // they grow no longer than this
	// HedgeAfter is after how long without a first byte a read is sent a second time; 0: never.
	HedgeAfter time.Duration
	Prefix     string // a folder of the store in which all objects are; empty: none
	Scratch    string // the folder of large objects that are being created; empty: that of the system
}

// DefaultRemoteConfig is meant for the stores of the large vendors.
func DefaultRemoteConfig() RemoteConfig {
	return RemoteConfig{
		Attempts:   6,
		FirstPause: 200 * time.Millisecond,
		LastPause:  5 * time.Second,
		HedgeAfter: 500 * time.Millisecond,
	}
}

// Remote is the Bucket of a Store. It tries again what has failed, within a budget, so that a store
// in trouble gets no more than a tenth of the requests on top. A create whose answer was lost is
// told from one that another writer has won by the content: the object is read, and if it is equal,
// the create has succeeded.
type Remote struct {
	store   Store
	cfg     RemoteConfig
	metrics *Metrics
	retries *allowance
	hedges  *allowance
}

// NewRemote makes the bucket of a store.
func NewRemote(store Store, cfg RemoteConfig, m *Metrics) *Remote {
	if cfg.Prefix = strings.Trim(cfg.Prefix, "/"); cfg.Prefix != "" {
		cfg.Prefix += "/"
	}
	return &Remote{
		store:   store,
		cfg:     cfg,
		metrics: m,
		retries: newAllowance(0.1, 1, 10),
		hedges:  newAllowance(0.05, 0, 5),
	}
}

// try calls f until it succeeds, its error is final, or there have been enough attempts. f gets the
// number of its attempt, which begins with 1.
func (r *Remote) try(ctx context.Context, op Op, name string, f func(attempt int) error) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = r.cfg.FirstPause, r.cfg.LastPause
	pauses.Multiplier = 2
	r.retries.earn(time.Now())
	attempt := 0
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		attempt++
		began := time.Now()
		err := f(attempt)
		r.metrics.countRequest(op, time.Since(began), err)
		switch {
		case err == nil:
			return struct{}{}, nil
		case isFinal(ctx, err), attempt >= r.cfg.Attempts, !r.retries.spend(time.Now()):
			return struct{}{}, backoff.Permanent(err)
		}
		r.metrics.retries.WithLabelValues(string(op)).Inc()
		return struct{}{}, err
	}, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(0))
	var permanent *backoff.PermanentError
	if errors.As(err, &permanent) {
		err = permanent.Err
	}
	if err == nil {
		return nil
	}
	if attempt > 1 {
		return fmt.Errorf("%s object %s, attempt %d: %w", op, name, attempt, err)
	}
	return fmt.Errorf("%s object %s: %w", op, name, err)
}

// isFinal reports whether another attempt would end in the same way.
func isFinal(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return true
	}
	for _, final := range []error{ErrExists, ErrNotFound, ErrFull, ErrRefused, ErrTooLarge, errCaller} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}

// errCaller marks an error of the caller's own function, which is no failure of the store.
var errCaller = errors.New("caller ended the request")

// Create creates an object, as Bucket says.
func (r *Remote) Create(ctx context.Context, name string, content io.Reader) (int64, error) {
	if err := checkCall(ctx, "create", name); err != nil {
		return 0, err
	}
	s, err := fillSpool(ctx, content, r.cfg.Scratch)
	if err != nil {
		return 0, fmt.Errorf("create object %s: %w", name, err)
	}
	defer s.close()
	err = r.try(ctx, OpCreate, name, func(attempt int) error {
		body, err := s.open()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		err = r.store.CreateObject(ctx, r.cfg.Prefix+name, body, s.size)
		if errors.Is(err, ErrExists) && attempt > 1 {
			return r.settleDoubt(ctx, name, s)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	r.metrics.written.Add(float64(s.size))
	return s.size, nil
}

// settleDoubt finds out whether an object that exists is the one of an earlier attempt whose answer
// was lost. It returns ErrExists if it is another one.
func (r *Remote) settleDoubt(ctx context.Context, name string, s *spool) error {
	body, size, err := r.store.OpenObject(ctx, r.cfg.Prefix+name, 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	if size != s.size {
		return ErrExists
	}
	mine, err := s.open()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	equal, err := haveEqualBytes(body, mine)
	if err == nil && !equal {
		err = ErrExists
	}
	return err
}

// Read reads an object, as Bucket says.
func (r *Remote) Read(ctx context.Context, name string, maxBytes int64) ([]byte, error) {
	if err := checkCall(ctx, "read", name); err != nil {
		return nil, err
	}
	var out []byte
	err := r.try(ctx, OpRead, name, func(int) error {
		body, size, err := r.openHedged(ctx, name, 0, -1)
		if err != nil {
			return err
		}
		defer body.Close()
		if size > maxBytes {
			return fmt.Errorf("%w: it has %d bytes, and %d may be read", ErrTooLarge, size, maxBytes)
		}
		out = make([]byte, size)
		_, err = io.ReadFull(body, out)
		return err
	})
	if err != nil {
		return nil, err
	}
	r.metrics.read.Add(float64(len(out)))
	return out, nil
}

// ReadRange reads a part of an object, as Bucket says.
func (r *Remote) ReadRange(ctx context.Context, name string, off int64, buf []byte) (n int, err error) {
	if err := checkCall(ctx, "read", name); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, fmt.Errorf("read object %s: offset %d is negative", name, off)
	}
	if len(buf) == 0 {
		return 0, nil
	}
	err = r.try(ctx, OpReadRange, name, func(int) error {
		body, _, err := r.openHedged(ctx, name, off, int64(len(buf)))
		if err != nil {
			return err
		}
		defer body.Close()
		n, err = io.ReadFull(body, buf)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			// The body ends early without an error only at the end of the object: a connection that
			// breaks is an error of the body.
			err = nil
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	r.metrics.read.Add(float64(n))
	return n, nil
}

// List lists objects, as Bucket says. After a failure it goes on behind the last object that was
// listed.
func (r *Remote) List(ctx context.Context, prefix string, f func(Info) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("list objects %s: %w", prefix, err)
	}
	after := ""
	var ended error // what f returned
	err := r.try(ctx, OpList, prefix, func(int) error {
		return r.store.ListObjects(ctx, r.cfg.Prefix+prefix, after, func(o Info) error {
			after = o.Name
			o.Name = strings.TrimPrefix(o.Name, r.cfg.Prefix)
			if ended = f(o); ended != nil {
				return errCaller
			}
			return nil
		})
	})
	if ended != nil {
		return ended
	}
	return err
}

// Delete deletes an object, as Bucket says.
func (r *Remote) Delete(ctx context.Context, name string) error {
	if err := checkCall(ctx, "delete", name); err != nil {
		return err
	}
	return r.try(ctx, OpDelete, name, func(int) error { return r.store.DeleteObject(ctx, r.cfg.Prefix+name) })
}
