package query

import (
	"context"
	"sync"
	"time"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/answer"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
)

// askTenants puts a question to the query-frontend, for each tenant, and joins the answers. each, unless
// it is nil, is called on the caller's goroutine with what is known so far. The first call comes
// once there are results and Config.FirstPacket has passed; further calls come every Config.Packet,
// if there is news. An error of each, or the end of ctx, ends the query.
func (s *Service) askTenants(ctx context.Context, tenants []string, q jobs.Query, each func(*jobs.Answer) error) (a *jobs.Answer, err error) {
	ctx, done := s.beginSpan(ctx, tenants, &q)
	defer func() { done(a, err) }()
	to, err := s.Directory.Find(kinds.QueryFrontend, "")
	if err != nil {
		return nil, err
	}
	if len(tenants) == 1 && each == nil {
		q.Tenant = tenants[0]
		return ask.Ask[*jobs.Answer](ctx, s.Asker, to, &q)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type end struct {
		tenant int
		answer *jobs.Answer
		err    error
	}
	ends := make(chan end, len(tenants))
	n := newsByTenant{answers: make([]*jobs.Answer, len(tenants)), wake: make(chan struct{}, 1)}
	for i, t := range tenants {
		one := q
		one.Tenant = t
		one.WantsProgress = each != nil
		go func() {
			a, err := ask.Follow(ctx, s.Asker, to, &one, func(a *jobs.Answer) { n.setNewest(i, a) })
			ends <- end{i, a, err}
		}()
	}
	pace := time.NewTimer(s.Config.FirstPacket)
	defer pace.Stop()
	answers := make([]*jobs.Answer, len(tenants))
	var failed error
	begun := false
	var first chan struct{} // says that there is news, while nothing was told and the time for it has come
	for open := len(tenants); open > 0; {
		select {
		case e := <-ends:
			open--
			answers[e.tenant] = e.answer
			n.setNewest(e.tenant, e.answer)
			if e.err != nil && failed == nil {
				failed = e.err
				cancel() // of the other tenants: the first error is the answer
			}
		case <-pace.C:
			if failed == nil {
				told, err := n.tellNews(tenants, q.Scan, each)
				if begun = begun || told; err != nil {
					failed = err
					cancel()
				}
			}
			if begun || failed != nil || each == nil {
				pace.Reset(s.Config.Packet)
			} else {
				first = n.wake // the pace begins with the first packet
			}
		case <-first:
			first = nil
			pace.Reset(0)
		}
	}
	if failed != nil {
		return nil, failed
	}
	return answer.JoinTenants(tenants, answers, q.Scan)
}

// newsByTenant keeps the newest partial answer of each tenant.
type newsByTenant struct {
	mu      sync.Mutex
	answers []*jobs.Answer
	fresh   bool
	wake    chan struct{} // of size 1
}

func (n *newsByTenant) setNewest(tenant int, a *jobs.Answer) {
	n.mu.Lock()
	n.answers[tenant], n.fresh = a, true
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// tellNews gives each what is known, if it wants it and there is news.
func (n *newsByTenant) tellNews(tenants []string, scan jobs.Scan, each func(*jobs.Answer) error) (told bool, err error) {
	if each == nil {
		return false, nil
	}
	known, names := n.takeNews(tenants)
	if len(known) == 0 {
		return false, nil
	}
	a, err := answer.JoinTenants(names, known, scan)
	if err != nil {
		return false, err
	}
	return true, each(a)
}

// takeNews returns what is known, with the names of the tenants; nothing when there is no news since
// the last call.
func (n *newsByTenant) takeNews(tenants []string) (known []*jobs.Answer, names []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.fresh {
		return nil, nil
	}
	n.fresh = false
	for i, a := range n.answers {
		if a != nil {
			known, names = append(known, a), append(names, tenants[i])
		}
	}
	return known, names
}
