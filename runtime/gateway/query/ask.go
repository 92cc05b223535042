package query

import (
	"context"
	"time"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/answer"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
)

// askFor puts a question to the query-frontend, for each tenant, and renders the answer. each may
// be nil; otherwise it is called from time to time with what is known so far, rendered in the same
// way.
func askFor[T any](
	ctx context.Context,
	s *Service,
	tenants []string,
	q jobs.Query,
	render func(*jobs.Answer) (T, error),
	each func(T) error,
) (zero T, err error) {
	var onProgress func(*jobs.Answer) error
	if each != nil {
		onProgress = func(known *jobs.Answer) error {
			m, err := render(known)
			if err != nil {
				return err
			}
			return each(m)
		}
	}
	a, err := s.askTenants(ctx, tenants, q, onProgress)
	if err != nil {
		return zero, invalidQuery("", err)
	}
	m, err := render(a)
	return m, invalidQuery("", err)
}

// askTenants puts a question to the query-frontend, for each tenant, and joins the answers. each,
// unless it is nil, is called on the caller's goroutine with what is known so far. The first call
// comes once there are results and Config.FirstPacket has passed; further calls come every
// Config.Packet, if there is news. An error of each, or the end of ctx, ends the query.
// Next: actors/queryfrontend answers; then runtime/engine/answer joins and renders.
func (s *Service) askTenants(
	ctx context.Context,
	tenants []string,
	q jobs.Query,
	each func(*jobs.Answer) error,
) (a *jobs.Answer, err error) {
	ctx, endSpan := s.beginSpan(ctx, tenants, &q)
	defer func() { endSpan(a, err) }()
	frontend, err := s.Directory.Find(kinds.QueryFrontend, "")
	if err != nil {
		return nil, err
	}
	if len(tenants) == 1 && each == nil {
		q.Tenant = tenants[0]
		return ask.Ask[*jobs.Answer](ctx, s.Asker, frontend, &q)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g := &gathering{
		tenants: tenants,
		scan:    q.Scan,
		each:    each,
		cancel:  cancel,
		ends:    make(chan tenantEnd, len(tenants)),
		answers: make([]*jobs.Answer, len(tenants)),
		news:    newNewsByTenant(len(tenants)),
	}
	for i, t := range tenants {
		one := q
		one.Tenant, one.WantsProgress = t, each != nil
		go func() {
			a, err := ask.Follow(ctx, s.Asker, frontend, &one,
				func(known *jobs.Answer) { g.news.setNewest(i, known) })
			g.ends <- tenantEnd{tenant: i, answer: a, err: err}
		}()
	}
	return g.gatherAnswers(s.Config.FirstPacket, s.Config.Packet)
}

// gathering is one question to several tenants on its way, or to one whose answer is streamed. All
// but news belongs to the caller's goroutine.
type gathering struct {
	tenants []string
	scan    jobs.Scan
	each    func(*jobs.Answer) error // is told the results so far; nil: nobody
	cancel  func()                   // ends the questions under way
	ends    chan tenantEnd
	answers []*jobs.Answer // by tenant
	news    *newsByTenant
	hasTold bool
	failure error // the first
}

// tenantEnd is the end of the question to one tenant.
type tenantEnd struct {
	tenant int
	answer *jobs.Answer
	err    error
}

// gatherAnswers waits for the answers of all tenants and joins them. The first error is the answer;
// it ends the questions to the other tenants.
func (g *gathering) gatherAnswers(firstPacket, packet time.Duration) (*jobs.Answer, error) {
	pace := time.NewTimer(firstPacket)
	defer pace.Stop()
	var firstNews chan struct{} // nil, or awaited when the time for the first packet has come
	for open := len(g.tenants); open > 0; {
		select {
		case e := <-g.ends:
			open--
			g.answers[e.tenant] = e.answer
			g.news.setNewest(e.tenant, e.answer)
			g.noteFailure(e.err)
		case <-pace.C:
			if g.failure == nil {
				g.noteFailure(g.tellNews())
			}
			if g.hasTold || g.failure != nil || g.each == nil {
				pace.Reset(packet)
			} else {
				firstNews = g.news.wake // the pace begins with the first packet
			}
		case <-firstNews:
			firstNews = nil
			pace.Reset(0)
		}
	}
	if g.failure != nil {
		return nil, g.failure
	}
	return answer.JoinTenants(g.tenants, g.answers, g.scan)
}

func (g *gathering) noteFailure(err error) {
	if err != nil && g.failure == nil {
		g.failure = err
		g.cancel()
	}
}

// tellNews calls each with the results so far, if there is news.
func (g *gathering) tellNews() error {
	if g.each == nil {
		return nil
	}
	known, names := g.news.takeNews(g.tenants)
	if len(known) == 0 {
		return nil
	}
	a, err := answer.JoinTenants(names, known, g.scan)
	if err != nil {
		return err
	}
	g.hasTold = true
	return g.each(a)
}
