package query

import (
	"context"
	"errors"
	"runtime"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// The gateway itself filters, compares and prints traces that the query-frontend has already found.
// Such work holds no slots of the query-frontend, so it has bounds of its own.
const (
	workMemory  = 384 << 20 // bytes, of all such work under way together
	workTimeout = 30 * time.Second
)

// workBounds bounds how much of such work is under way.
type workBounds struct {
	memory     *semaphore.Weighted // bytes
	processors *semaphore.Weighted
}

func newWorkBounds() workBounds {
	return workBounds{
		memory:     semaphore.NewWeighted(workMemory),
		processors: semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0))),
	}
}

// memoryOfWork is what work on traces of so many bytes may take. Decoded they take up to eight
// times their bytes, and an answer up to 64 MiB.
func memoryOfWork(bytes int) int64 { return min(int64(bytes)*10+64<<20, workMemory) }

// WorkOn waits for a processor and for memory and then runs f, which computes over traces of so
// many bytes. what names the work in errors and metrics. f must end soon after its context. Errors:
// Limited where the node is busy with other work, Timeout where f takes longer than it may, and the
// errors of f.
func (s *Service) WorkOn(ctx context.Context, what string, bytes int, f func(context.Context) error) error {
	timed, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	memory := memoryOfWork(bytes)
	for _, take := range []struct {
		from *semaphore.Weighted
		n    int64
	}{{s.bounds.processors, 1}, {s.bounds.memory, memory}} {
		if err := take.from.Acquire(timed, take.n); err != nil {
			if ctx.Err() != nil {
				return status.Of(ctx.Err())
			}
			s.Metrics.refusedWork(what)
			return status.Limitedf(time.Second,
				"%s: the node was busy with other work of this kind for %s; ask again", what, workTimeout)
		}
		defer take.from.Release(take.n)
	}
	err := f(timed)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		s.Metrics.refusedWork(what)
		return status.Errorf(status.Timeout, "%s: not done within %s", what, workTimeout)
	}
	return err
}
