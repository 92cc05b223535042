package query

import (
	"sync"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
)

// newsByTenant keeps the newest partial answer of each tenant. It is safe for concurrent use.
type newsByTenant struct {
	wake chan struct{} // receives a value when there is news; of size 1

	mu      sync.Mutex
	answers []*jobs.Answer
	hasNews bool
}

func newNewsByTenant(tenants int) *newsByTenant {
	return &newsByTenant{answers: make([]*jobs.Answer, tenants), wake: make(chan struct{}, 1)}
}

// setNewest takes the results so far of a tenant. It does not block.
func (n *newsByTenant) setNewest(tenant int, a *jobs.Answer) {
	n.mu.Lock()
	n.answers[tenant], n.hasNews = a, true
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// takeNews returns the results so far, with the names of their tenants. It returns nothing where
// there is no news since the last call.
func (n *newsByTenant) takeNews(tenants []string) (known []*jobs.Answer, names []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.hasNews {
		return nil, nil
	}
	n.hasNews = false
	for i, a := range n.answers {
		if a != nil {
			known, names = append(known, a), append(names, tenants[i])
		}
	}
	return known, names
}
