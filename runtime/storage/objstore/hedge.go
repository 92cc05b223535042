package objstore

import (
	"context"
	"io"
	"time"
)

// opening is the end of a request to open an object.
type opening struct {
	number int // of the request
	body   io.ReadCloser
	size   int64
	err    error
}

// openHedged opens an object. If its first byte does not come in time, a second request is sent,
// and the faster one is taken: one slow machine of a store should not be what a query waits for.
func (r *Remote) openHedged(ctx context.Context, name string, off, length int64) (io.ReadCloser, int64, error) {
	if r.cfg.HedgeAfter <= 0 {
		return r.store.OpenObject(ctx, r.cfg.Prefix+name, off, length)
	}
	r.hedges.earn(time.Now())
	results := make(chan opening, 2)
	var ends []context.CancelFunc // by number of the request
	send := func() {
		number := len(ends)
		ctx, end := context.WithCancel(ctx)
		ends = append(ends, end)
		go func() {
			body, size, err := r.store.OpenObject(ctx, r.cfg.Prefix+name, off, length)
			results <- opening{number, body, size, err}
		}()
	}
	send()
	timer := time.NewTimer(r.cfg.HedgeAfter)
	defer timer.Stop()
	for arrived := 0; ; {
		select {
		case <-timer.C:
			if r.hedges.spend(time.Now()) {
				r.metrics.hedges.Inc()
				send()
			}
		case x := <-results:
			arrived++
			if x.err != nil {
				ends[x.number]()
				if arrived < len(ends) {
					continue // the other one may still succeed
				}
				return nil, 0, x.err
			}
			for n, end := range ends {
				if n != x.number {
					end()
				}
			}
			if arrived < len(ends) {
				go closeLate(results)
			}
			return &endingBody{ReadCloser: x.body, end: ends[x.number]}, x.size, nil
		}
	}
}

// closeLate waits for the slower request, which has been ended, and closes what it may have opened.
func closeLate(results <-chan opening) {
	if x := <-results; x.err == nil {
		x.body.Close()
	}
}

// endingBody ends its request when it is closed.
type endingBody struct {
	io.ReadCloser
	end context.CancelFunc
}

func (b *endingBody) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}
