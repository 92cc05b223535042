package query

import (
	"context"
	"errors"
	"runtime"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// Work that the gateway does itself, on traces that the query-frontend has already answered: it has
// no slots there, so it is bounded here.
const (
	workMemory  = 384 << 20 // bytes, of all such work under way together
	workTimeout = 30 * time.Second
)

// workBounds is how much of it is under way.
type workBounds struct {
	memory, processors *semaphore.Weighted
}

func newWorkBounds() workBounds {
	return workBounds{memory: semaphore.NewWeighted(workMemory), processors: semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0)))}
}

// WorkOn runs f, which computes over traces of so many bytes, when there is a processor and memory
// for it. f must end soon after its context. Errors: Limited where the node is busy with others,
// Timeout where f takes longer than it may, and those of f.
func (s *Service) WorkOn(ctx context.Context, what string, bytes int, f func(context.Context) error) error {
	timed, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	// decoded they take up to eight times their bytes, an answer up to 64 MiB
	memory := min(int64(bytes)*10+64<<20, workMemory)
	for _, take := range []struct {
		from *semaphore.Weighted
		n    int64
	}{{s.bounds.processors, 1}, {s.bounds.memory, memory}} {
		if err := take.from.Acquire(timed, take.n); err != nil {
			if ctx.Err() != nil {
				return status.Of(ctx.Err())
			}
			s.Metrics.refusedWork(what)
			return status.Limitedf(time.Second, "%s: the node was busy with other work of this kind for %s; ask again", what, workTimeout)
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
