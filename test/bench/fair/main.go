// Command fair measures how queries of several tenants get on with each other: 64 at once from 8
// tenants, and a cheap query of one tenant alone and beside an exhaustive one of another. What the
// machine itself allows beside the exhaustive ones shows a request that reads nothing; what people
// see shows the first packet of a streamed search. The tenants t0 … t7 must hold data.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

type bench struct {
	url        string
	start, end int64
	client     http.Client
}

func main() {
	var b bench
	flag.StringVar(&b.url, "url", "http://127.0.0.1:3200", "query API")
	lasting := flag.Duration("for", 10*time.Second, "time of each part")
	flag.Int64Var(&b.start, "start", time.Now().Add(-time.Hour).Unix(), "unix seconds")
	flag.Int64Var(&b.end, "end", time.Now().Add(time.Minute).Unix(), "unix seconds")
	flag.Parse()
	b.client.Transport = &http.Transport{MaxIdleConnsPerHost: 128}
	if err := b.run(*lasting); err != nil {
		fmt.Fprintln(os.Stderr, "fair:", err)
		os.Exit(1)
	}
}

func (b *bench) run(d time.Duration) error {
	cheap := b.metrics(`{ status = error } | rate() by (resource.service.name)`)
	exhaustive := b.search(`{ span.db.query.text =~ ".*FROM billing.*" }`, 100000)

	fmt.Println("64 queries at once, 8 of each of 8 tenants:")
	var loads []load
	for i := range 8 {
		loads = append(loads, load{tenant: "t" + strconv.Itoa(i), path: cheap, conc: 8})
	}
	took, err := b.during(d, loads)
	if err != nil {
		return err
	}
	var all []time.Duration
	for _, t := range took {
		all = append(all, t...)
	}
	for i, l := range loads {
		fmt.Printf("  %-4s %s\n", l.tenant, percentiles(took[i]))
	}
	fmt.Printf("  all  %s\n", percentiles(all))

	heavy := load{tenant: "t1", path: exhaustive, conc: 4}
	var floor time.Duration // what the machine allows: p95 of echo beside the exhaustive ones
	for _, l := range []struct {
		name string
		load load
	}{
		{"echo, which reads nothing", load{tenant: "t0", path: "/api/echo", conc: 1}},
		{"a cheap query", load{tenant: "t0", path: cheap, conc: 1}},
		{"first packet of a search", load{tenant: "t0", path: exhaustive, conc: 1, first: true}},
	} {
		alone, err := b.during(d, []load{l.load})
		if err != nil {
			return err
		}
		beside, err := b.during(d, []load{l.load, heavy})
		if err != nil {
			return err
		}
		was, is := p95(alone[0]), p95(beside[0])
		if floor == 0 {
			floor = is
		}
		fmt.Printf("%s:\n", l.name)
		fmt.Printf("  alone                                  %s\n", percentiles(alone[0]))
		fmt.Printf("  beside 4 exhaustive of another tenant  %s\n", percentiles(beside[0]))
		fmt.Printf("  those                                  %s\n", percentiles(beside[1]))
		fmt.Printf("  p95 beside: %.1f times alone, %.1f times echo beside them\n", ratio(is, was), ratio(is, floor))
	}
	return nil
}

func (b *bench) window() string { return fmt.Sprintf("start=%d&end=%d", b.start, b.end) }

func (b *bench) metrics(q string) string {
	return "/api/metrics/query_range?" + b.window() + "&step=15s&q=" + url.QueryEscape(q)
}

func (b *bench) search(q string, limit int) string {
	return "/api/search?" + b.window() + "&limit=" + strconv.Itoa(limit) + "&q=" + url.QueryEscape(q)
}

// load is conc clients of one tenant that ask one thing again and again.
type load struct {
	tenant, path string
	conc         int
	first        bool // a stream, of which the first event is waited for
}

// during runs the loads together and returns the times of each.
func (b *bench) during(d time.Duration, loads []load) ([][]time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	took := make([][]time.Duration, len(loads))
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	for i, l := range loads {
		for range l.conc {
			wg.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					t0 := time.Now()
					err := b.ask(ctx, l)
					if ctx.Err() != nil {
						return
					}
					mu.Lock()
					if err != nil && failed == nil {
						failed = err
						cancel()
					}
					took[i] = append(took[i], time.Since(t0))
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	return took, failed
}

func (b *bench) ask(ctx context.Context, l load) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+l.path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-Scope-OrgID", l.tenant)
	if l.first {
		req.Header.Set("Accept", "text/event-stream")
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if l.first && resp.StatusCode == http.StatusOK {
		_, err = bufio.NewReader(resp.Body).ReadBytes('\n')
		return err
	}
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", l.tenant, resp.Status, body)
	}
	return err
}

func percentiles(t []time.Duration) string {
	if len(t) == 0 {
		return "none"
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	p95 := p95(t) // sorts
	return fmt.Sprintf("p50 %7.1f ms, p95 %7.1f ms, max %7.1f ms of %d", ms(t[len(t)/2]), ms(p95), ms(t[len(t)-1]), len(t))
}

// p95 sorts t; of none it is 0.
func p95(t []time.Duration) time.Duration {
	if len(t) == 0 {
		return 0
	}
	slices.Sort(t)
	return t[len(t)*95/100]
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }
