package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

const (
	// pollWait bounds how long a fetch waits in a broker, because a read that comes meanwhile has
	// to wait for the next fetch.
	pollWait = 100 * time.Millisecond
	// patience is how long a broker may bring nothing of a record that it has, as it does while a
	// quota holds it back.
	patience = 5 * time.Second
)

// fetcher turns the reads of many partitions into fetches, one at a time for each broker. It uses
// Broker.Fetch because that shows whole batches, and asks only for what a reader has asked for.
type fetcher struct {
	client sarama.Client
	topic  string

	mu      sync.Mutex
	waiting map[int32][]*fetchCall // by broker
	running map[int32]bool         // by broker
	closed  bool
}

// fetchCall is one read that waits.
type fetchCall struct {
	ctx       context.Context
	partition int32
	leader    int32 // epoch
	from      int64
	maxBytes  int32
	until     time.Time        // it waits for records so long
	done      chan fetchResult // capacity 1
	// alone has the call fetched without others. Together with them it may bring nothing, because a
	// fetch is bounded in bytes, and because one batch that does not decode spoils all of it.
	alone bool
}

// fetchResult is the end of a fetchCall.
type fetchResult struct {
	batch  Batch
	epochs []int32 // leader epoch of each record
	err    error
}

func newFetcher(c sarama.Client, topic string) *fetcher {
	return &fetcher{client: c, topic: topic, waiting: map[int32][]*fetchCall{}, running: map[int32]bool{}}
}

// fetchBatch reads records from the leader of a partition, and waits for some if there are none. It
// returns the leader epoch of each record beside the batch.
func (f *fetcher) fetchBatch(ctx context.Context, partition int32, from int64, maxBytes int, wait time.Duration) (
	Batch, []int32, error) {
	return f.await(&fetchCall{
		ctx:       ctx,
		partition: partition,
		from:      from,
		maxBytes:  int32(maxBytes),
		until:     time.Now().Add(wait),
	})
}

// fetchOne reads the batch of one record.
func (f *fetcher) fetchOne(ctx context.Context, partition int32, offset int64) (Batch, []int32, error) {
	return f.await(&fetchCall{
		ctx:       ctx,
		partition: partition,
		from:      offset,
		maxBytes:  1,
		until:     time.Now(),
		alone:     true,
	})
}

const (
	leaderTries = 4                     // of a call whose partition has no leader or another one
	leaderPause = 50 * time.Millisecond // before the second, doubled with each further one
)

// await hands a call to its broker and waits for its end. A partition whose leader has just changed
// is asked for again.
func (f *fetcher) await(c *fetchCall) (Batch, []int32, error) {
	for try := 0; ; try++ {
		b, epochs, err := f.tryCall(c)
		if err == nil || try+1 == leaderTries || !hasMoved(err) {
			return b, epochs, err
		}
		select {
		case <-time.After(leaderPause << try):
		case <-c.ctx.Done():
			return Batch{}, nil, c.ctx.Err()
		}
		if err := f.client.RefreshMetadata(f.topic); err != nil && f.isClosed() {
			return Batch{}, nil, ErrClosed
		}
	}
}

// hasMoved reports whether an error says that somebody else leads a partition by now, or nobody
// does at the moment.
func hasMoved(err error) bool {
	for _, e := range []sarama.KError{
		sarama.ErrNotLeaderForPartition,
		sarama.ErrLeaderNotAvailable,
		sarama.ErrFencedLeaderEpoch,
		sarama.ErrUnknownLeaderEpoch,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// tryCall hands a call to the broker that leads its partition as far as is known.
func (f *fetcher) tryCall(c *fetchCall) (Batch, []int32, error) {
	ctx, partition := c.ctx, c.partition
	if err := ctx.Err(); err != nil {
		return Batch{}, nil, err
	}
	c.done = make(chan fetchResult, 1)
	broker, epoch, err := f.client.LeaderAndEpoch(f.topic, partition)
	if err != nil {
		if f.isClosed() { // a client that is being closed may return any error
			err = ErrClosed
		}
		return Batch{}, nil, fmt.Errorf("read partition %d: find leader: %w", partition, err)
	}
	c.leader = epoch
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return Batch{}, nil, ErrClosed
	}
	id := broker.ID()
	f.waiting[id] = append(f.waiting[id], c)
	if !f.running[id] {
		f.running[id] = true
		go f.serveBroker(broker)
	}
	f.mu.Unlock()
	select {
	case r := <-c.done:
		return r.batch, r.epochs, r.err
	case <-ctx.Done():
		return Batch{}, nil, ctx.Err()
	}
}

// serveBroker fetches from one broker until no read waits for it.
func (f *fetcher) serveBroker(broker *sarama.Broker) {
	id := broker.ID()
	for {
		calls, crowded := f.takeCalls(id)
		if len(calls) == 0 {
			return
		}
		f.waitAgain(id, f.fetchOnce(broker, calls, crowded))
	}
}

// takeCalls takes the calls for the next fetch from a broker. crowded reports whether others still
// wait for it. When there are none, the broker is no longer served.
func (f *fetcher) takeCalls(broker int32) (calls []*fetchCall, crowded bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var later []*fetchCall
	taken := map[int32]bool{}
	for _, c := range f.waiting[broker] {
		switch {
		case c.ctx.Err() != nil: // its reader has gone
		case len(calls) > 0 && (c.alone || calls[0].alone),
			taken[c.partition]: // a fetch names a partition once
			later = append(later, c)
		default:
			taken[c.partition] = true
			calls = append(calls, c)
		}
	}
	f.waiting[broker] = later
	if len(calls) == 0 {
		delete(f.running, broker)
	}
	return calls, len(later) > 0
}

// waitAgain puts calls behind those that wait for a broker, so that all get their turn.
func (f *fetcher) waitAgain(broker int32, calls []*fetchCall) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting[broker] = append(f.waiting[broker], calls...)
	if !f.closed {
		return
	}
	for _, c := range f.waiting[broker] {
		c.done <- fetchResult{err: ErrClosed}
	}
	f.waiting[broker] = nil
}

// fetchOnce asks a broker for the records of all calls. It answers those that it can, and returns
// those that go on waiting.
func (f *fetcher) fetchOnce(broker *sarama.Broker, calls []*fetchCall, crowded bool) (again []*fetchCall) {
	wait := pollWait
	if crowded {
		wait = 0
	}
	now := time.Now()
	var bytes int64
	for _, c := range calls {
		wait = max(0, min(wait, c.until.Sub(now)))
		bytes += int64(c.maxBytes)
	}
	req := &sarama.FetchRequest{
		Version:      11,
		MinBytes:     1,
		MaxBytes:     int32(min(bytes, maxReadBytes)),
		MaxWaitTime:  int32(wait.Milliseconds()),
		SessionEpoch: -1,
	}
	for _, c := range calls {
		req.AddBlock(f.topic, c.partition, c.from, c.maxBytes, c.leader)
	}
	if err := broker.Open(f.client.Config()); err != nil && !errors.Is(err, sarama.ErrAlreadyConnected) {
		f.failCalls(calls, err)
		return nil
	}
	resp, err := broker.Fetch(req)
	if err != nil && isConnectionLost(err) {
		_ = broker.Close() // the next fetch connects again
		f.failCalls(calls, err)
		return nil
	}
	if err != nil {
		return askNarrower(calls, err)
	}
	for _, c := range calls {
		r := fetchResult{}
		block := resp.GetBlock(f.topic, c.partition)
		if block != nil {
			r = f.decodeBlock(c, block)
		}
		switch isEmpty := r.err == nil && len(r.batch.Records) == 0 && r.batch.Next <= c.from; {
		case block == nil, isEmpty && r.batch.End > c.from: // there was no room for it
			if time.Since(c.until) > patience {
				const nothing = "read partition %d at %d: the broker brings nothing of it, throttled for %s"
				c.done <- fetchResult{err: fmt.Errorf(nothing, c.partition, c.from, resp.ThrottleTime)}
				continue
			}
			c.alone = true
			again = append(again, c)
		case isEmpty && time.Until(c.until) > 0:
			again = append(again, c)
		default:
			c.done <- r
		}
	}
	return again
}

// isConnectionLost tells an error of the connection to a broker from one of what the broker has
// sent.
func isConnectionLost(err error) bool {
	var lost net.Error
	for _, e := range []error{io.EOF, io.ErrClosedPipe, sarama.ErrNotConnected, sarama.ErrClosedClient} {
		if errors.Is(err, e) {
			return true
		}
	}
	return errors.As(err, &lost)
}

// askNarrower has calls whose answer does not decode asked again: first each alone, then the one
// for its first batch only, so that what lies before the damage is read. If it is the first batch,
// the call fails.
func askNarrower(calls []*fetchCall, err error) (again []*fetchCall) {
	if c := calls[0]; len(calls) == 1 && c.maxBytes <= 1 {
		c.done <- fetchResult{err: fmt.Errorf("read partition %d at %d: the batch does not decode, "+
			"the brokers have it damaged: %w", c.partition, c.from, err)}
		return nil
	}
	for _, c := range calls {
		if c.alone {
			c.maxBytes = 1
		}
		c.alone = true
	}
	return calls
}

// failCalls ends calls with a broker's error. The next read asks for the leader anew.
func (f *fetcher) failCalls(calls []*fetchCall, err error) {
	if !f.isClosed() {
		_ = f.client.RefreshMetadata(f.topic)
	} else {
		err = ErrClosed
	}
	for _, c := range calls {
		c.done <- fetchResult{err: fmt.Errorf("read partition %d at %d: %w", c.partition, c.from, err)}
	}
}

func (f *fetcher) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// close ends all calls with ErrClosed.
func (f *fetcher) close() error {
	f.mu.Lock()
	f.closed = true
	for id, calls := range f.waiting {
		for _, c := range calls {
			c.done <- fetchResult{err: ErrClosed}
		}
		delete(f.waiting, id)
	}
	f.mu.Unlock()
	return f.client.Close()
}
