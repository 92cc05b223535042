package kafkalog

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

const (
	firstPause  = 100 * time.Millisecond
	lastPause   = time.Minute
	connectWait = 5 * time.Second // how long an append waits for a connection, and for a pause to end
)

// reconnect decides when a producer that has ended is started again. Kafka.mu guards it.
type reconnect struct {
	now    func() time.Time
	fails  int           // in a row
	after  time.Time     // when the next try may begin
	err    error         // of the last try
	active chan struct{} // closed when the try under way ends; nil when there is none
}

// nextPause returns the pause after a try that has failed. It doubles with each of them in a row.
func (r *reconnect) nextPause() time.Duration {
	return min(firstPause<<min(max(r.fails-1, 0), 20), lastPause)
}

// noteEnd notes the end of a try.
func (r *reconnect) noteEnd(err error) {
	close(r.active)
	r.active, r.err = nil, err
	if err == nil {
		r.fails = 0
		return
	}
	r.fails++
	r.after = r.now().Add(r.nextPause())
}

// liveProducer returns the producer. When it has ended, the caller waits a moment for another one.
// All callers share one try, and there are pauses between tries. The error is no ErrFailed, because
// a later append may succeed.
func (k *Kafka) liveProducer(ctx context.Context) (sarama.SyncProducer, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	for {
		p, wait, err := k.tryProducer()
		if p != nil || err != nil {
			return p, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, fmt.Errorf("append to kafka: the producer is not connected again yet: %w", ctx.Err())
		}
	}
}

// tryProducer returns the producer, or a channel that is closed when the caller should ask again:
// at the end of the try under way, or of a pause. It begins a try when none is under way.
func (k *Kafka) tryProducer() (sarama.SyncProducer, <-chan struct{}, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := &k.reconnect
	pause := r.after.Sub(r.now())
	switch {
	case k.closed:
		return nil, nil, ErrClosed
	case k.producer != nil:
		return k.producer, nil, nil
	case r.active != nil:
		return nil, r.active, nil
	case r.err != nil && pause > connectWait:
		return nil, nil, fmt.Errorf("append to kafka: no producer, the next try is in %s: %w",
			pause.Round(time.Second), r.err)
	case r.err != nil && pause > 0:
		over := make(chan struct{})
		time.AfterFunc(pause, func() { close(over) })
		return nil, over, nil
	}
	r.active = make(chan struct{})
	go func() {
		err := k.startProducer()
		k.mu.Lock()
		defer k.mu.Unlock()
		r.noteEnd(err)
	}()
	return nil, r.active, nil
}
