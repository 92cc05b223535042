package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/troupe-tracing/troupe/test/kit"
)

// mergeAsker asks a node about windows, and compares each answer with the first one.
type mergeAsker struct {
	t        *testing.T
	n        *kit.Node
	found    chan *mergeWindow
	windows  []*mergeWindow
	compared int
	wrong    []string

	incomplete int // answers that were not compared
}

func newMergeAsker(t *testing.T, n *kit.Node) *mergeAsker {
	return &mergeAsker{t: t, n: n, found: make(chan *mergeWindow, 100)}
}

// take takes a window of which all spans were acknowledged.
func (a *mergeAsker) take(w *mergeWindow) { a.found <- w }

// askAlong asks everything about each new window, and meanwhile about older ones, until ctx ends.
func (a *mergeAsker) askAlong(ctx context.Context) {
	r := rand.New(rand.NewPCG(1, 1))
	tick := time.NewTicker(loadEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case w := <-a.found:
			a.windows = append(a.windows, w)
			a.askAbout(w)
		case <-tick.C:
			if len(a.windows) > 0 {
				w := a.windows[r.IntN(len(a.windows))]
				queries := w.queries()
				a.ask(w, queries[r.IntN(len(queries))])
			}
		}
	}
}

// askAll asks everything about all windows, which nothing keeps from being answered in whole.
func (a *mergeAsker) askAll() {
	for _, w := range a.windows {
		a.askAbout(w)
	}
}

func (a *mergeAsker) askAbout(w *mergeWindow) {
	for _, q := range w.queries() {
		a.ask(w, q)
	}
}

// queries are the questions about a window, as paths of the API.
func (w *mergeWindow) queries() (out []string) {
	within := url.Values{"start": {fmt.Sprint(w.start.Unix())}, "end": {fmt.Sprint(w.start.Add(windowTime).Unix())}}
	ask := func(path, query string, params ...string) {
		v := url.Values{"q": {query}}
		for i := 0; i < len(params); i += 2 {
			v.Set(params[i], params[i+1])
		}
		out = append(out, path+"?"+within.Encode()+"&"+v.Encode())
	}
	const search, series = "/api/search", "/api/metrics/query_range"
	ask(series, countByService, "step", "10s")
	ask(search, `{ status = error }`, "limit", "20", "spss", "10")
	ask(search, `{ name = "op-0" } >> { status = error }`, "limit", "50")
	ask(search, `{ span.path =~ "/item/1.2" } | count() > 1`, "limit", "20")
	ask(search, `{ resource.service.name = "mail" && duration > 199ms }`, "limit", "1000")
	ask(series, `{ } | rate() by (name, status)`, "step", "2s")
	ask(series, `{ kind = server } | quantile_over_time(duration, .5, .99) by (resource.service.name)`, "step", "2s")
	ask(series, `{ } >> { status = error } | sum_over_time(span.size)`, "step", "5s")
	ask("/api/v2/search/tag/span.path/values", `{ status = error }`)
	for _, id := range w.samples {
		out = append(out, "/api/v2/traces/"+id.String())
	}
	return out
}

const countByService = `{ } | count_over_time() by (resource.service.name)`

// ask asks one question, and notes an answer that is not the first one, or not true.
func (a *mergeAsker) ask(w *mergeWindow, path string) {
	resp, err := http.Get("http://" + a.n.HTTP + path)
	if err != nil {
		a.note(path, err.Error())
		return
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		a.note(path, fmt.Sprintf("status %d, %v", resp.StatusCode, err))
		return
	}
	if answer["complete"] == false { // it says so, and why: a busy machine makes live-stores late
		a.incomplete++
		return
	}
	for _, key := range []string{"metrics", "watermark"} { // what it cost, and when it was asked
		delete(answer, key)
	}
	text, err := json.Marshal(answer)
	if err != nil {
		a.note(path, err.Error())
		return
	}
	first, ok := w.answers[path]
	if !ok {
		w.answers[path] = string(text)
		if why := w.whyUntrue(path, string(text)); why != "" {
			a.note(path, why)
		}
		return
	}
	a.compared++
	if first != string(text) {
		a.note(path, showDifference(first, string(text)))
	}
}

// whyUntrue compares an answer with what was sent, where that says what it must be.
func (w *mergeWindow) whyUntrue(path, text string) string {
	switch {
	case strings.HasPrefix(path, "/api/v2/traces/"):
		if n := strings.Count(text, `"spanId"`); n != traceSpans {
			return fmt.Sprintf("a trace has %d spans, want %d", n, traceSpans)
		}
	case strings.Contains(path, url.QueryEscape(countByService)):
		var m struct {
			Series []struct {
				Labels  []struct{ Value struct{ StringValue string } }
				Samples []struct {
					TimestampMs int64 `json:",string"`
					Value       float64
				}
			}
		}
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			return err.Error()
		}
		counted := map[string]int{}
		for _, s := range m.Series {
			for _, p := range s.Samples {
				if p.TimestampMs == w.start.Add(windowTime).UnixMilli() { // the other one is of the window before
					counted[s.Labels[0].Value.StringValue] += int(p.Value)
				}
			}
		}
		if !maps.Equal(counted, w.spans) {
			return fmt.Sprintf("counted %v, want %v", counted, w.spans)
		}
	}
	return ""
}

// note notes a wrong answer, and shows the first ones at once.
func (a *mergeAsker) note(path, why string) {
	a.wrong = append(a.wrong, path+": "+why)
	if len(a.wrong) <= 10 {
		a.t.Logf("wrong: %s\n%s", path, why)
	}
}

// showDifference shows two answers where they begin to differ.
func showDifference(first, now string) string {
	at := 0
	for at < min(len(first), len(now)) && first[at] == now[at] {
		at++
	}
	at = max(at-100, 0)
	return fmt.Sprintf("at byte %d\nfirst %.300s\nnow   %.300s", at, first[at:], now[at:])
}
