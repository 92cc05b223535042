// Command found measures how long after its acknowledgement a span is found: by id, by search and
// in metrics. It sends one marked trace at a time, asks until each of the three has it, and prints
// the times. Run it alone, or beside a load that saturates the node.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

func main() {
	query := flag.String("url", "http://127.0.0.1:3200", "query API")
	otlp := flag.String("otlp", "http://127.0.0.1:4318", "OTLP/HTTP endpoint")
	n := flag.Int("n", 50, "traces")
	lasting := flag.Duration("for", 0, "instead of -n: go on for so long")
	flag.Parse()
	took := map[string][]time.Duration{}
	refused := 0
	began := time.Now()
	for i := 0; *lasting > 0 && time.Since(began) < *lasting || *lasting == 0 && i < *n; i++ {
		mark := uuid.New()
		id := fmt.Sprintf("%x", mark[:])
		now := time.Now()
		acked, err := push(*otlp, id, now)
		if err != nil {
			fmt.Fprintln(os.Stderr, "found:", err)
			os.Exit(1)
		}
		if !acked {
			refused++
			time.Sleep(50 * time.Millisecond)
			continue
		}
		ack := time.Now()
		win := "&start=" + strconv.FormatInt(now.Unix()-60, 10) + "&end=" + strconv.FormatInt(now.Unix()+60, 10)
		q := `{ span.mark = "` + id + `" }`
		open := map[string]func() bool{
			"by id": func() bool { return get(*query+"/api/traces/"+id, nil) },
			"search": func() bool {
				var a struct{ Traces []any }
				return get(*query+"/api/search?limit=1&q="+url.QueryEscape(q)+win, &a) && len(a.Traces) == 1
			},
			"metrics": func() bool {
				var a struct {
					Series []struct{ Samples []struct{ Value float64 } }
				}
				if !get(*query+"/api/metrics/query_range?step=60s&q="+url.QueryEscape(q+" | count_over_time()")+win, &a) {
					return false
				}
				sum := 0.0
				for _, s := range a.Series {
					for _, v := range s.Samples {
						sum += v.Value
					}
				}
				return sum == 1
			},
		}
		for len(open) > 0 {
			for name, found := range open {
				if found() {
					took[name] = append(took[name], time.Since(ack))
					delete(open, name)
				}
			}
			if time.Since(ack) > 30*time.Second {
				fmt.Fprintf(os.Stderr, "found: trace %s is not found after 30 s by %d of 3\n", id, len(open))
				os.Exit(1)
			}
		}
	}
	for _, name := range []string{"by id", "search", "metrics"} {
		t := took[name]
		slices.Sort(t)
		if len(t) == 0 {
			continue
		}
		fmt.Printf("found %-8s p50 %5.1f ms, p99 %6.1f ms, max %6.1f ms of %d\n", name, ms(t[len(t)/2]), ms(t[len(t)*99/100]), ms(t[len(t)-1]), len(t))
	}
	if refused > 0 {
		fmt.Printf("refused while over capacity: %d\n", refused)
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// push sends a trace of one span; acked=false: the node is over its capacity.
func push(base, id string, now time.Time) (acked bool, err error) {
	ns := strconv.FormatInt(now.UnixNano(), 10)
	body := `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"found"}}]},"scopeSpans":[{"spans":[{"traceId":"` + id +
		`","spanId":"` + id[:16] + `","name":"mark","kind":1,"startTimeUnixNano":"` + ns + `","endTimeUnixNano":"` + ns +
		`","attributes":[{"key":"mark","value":{"stringValue":"` + id + `"}}]}]}]}]}`
	resp, err := http.Post(base+"/v1/traces", "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return false, err
	case resp.StatusCode == http.StatusOK:
		return true, nil
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable:
		return false, nil
	}
	return false, fmt.Errorf("push: %s: %s", resp.Status, b)
}

// get decodes an answer into v; anything but 200 is not found yet.
func get(u string, v any) bool {
	resp, err := http.Get(u)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK && (v == nil || json.Unmarshal(b, v) == nil)
}
