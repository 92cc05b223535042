// Command long asks a node for one trace that is too large to be held in memory, and tells when the
// first byte came, when the last, how many spans there were, and by how much the node grew
// meanwhile.
//
//	long -url http://127.0.0.1:3200 -id 4bf92f3577b34da6a3ce929d0e0e4736 -pid 1234 -n 5
package main

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

func main() {
	url := flag.String("url", "http://127.0.0.1:3200", "query API")
	id := flag.String("id", "", "trace id")
	pid := flag.Int("pid", 0, "process of the node; 0: its growth is not measured")
	n := flag.Int("n", 5, "how often each form is asked for")
	flag.Parse()
	for _, form := range [][3]string{
		{"/api/outline/", "application/vnd.troupe.outline"},
		{"/api/matches/", "application/octet-stream", "?q=%7B+name+%3D+%22none%22+%7D"},
		{"/api/traces/", "application/protobuf"},
		{"/api/v2/traces/", "application/protobuf"},
		{"/api/v2/traces/", "application/json"},
	} {
		var firsts, wholes []time.Duration
		var last reading
		growth := int64(0)
		for range *n {
			before := resident(*pid)
			stop, peak := watch(*pid)
			var err error
			if last, err = read(*url+form[0]+*id+form[2], form[1]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			stop()
			growth = max(growth, *peak-before)
			firsts, wholes = append(firsts, last.first), append(wholes, last.whole)
		}
		fmt.Printf("%-40s first byte %v, whole %v (medians), %d spans, %.1f MB, node grew by %d MB, complete=%s %s\n",
			form[0]+" "+form[1], median(firsts), median(wholes), last.spans, float64(last.bytes)/1e6, growth>>20,
			last.complete, last.next)
	}
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2].Round(time.Millisecond)
}

type reading struct {
	first, whole time.Duration
	spans, bytes int
	complete     string
	next         string
}

func read(url, accept string) (out reading, err error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return out, err
	}
	req.Header.Set("Accept", accept)
	began := time.Now()
	client := http.Client{Transport: &http.Transport{DisableCompression: true}}
	resp, err := client.Do(req)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	in := bufio.NewReaderSize(resp.Body, 1<<20)
	if _, err := in.Peek(1); err != nil && resp.StatusCode != http.StatusOK {
		return out, fmt.Errorf("%s: %s: %w", url, resp.Status, err)
	}
	out.first = time.Since(began)
	counted := &counter{r: in}
	if accept == "application/protobuf" {
		out.spans, err = countSpans(bufio.NewReaderSize(counted, 1<<20), strings.Contains(url, "/v2/"))
	} else {
		_, err = io.Copy(io.Discard, counted)
	}
	out.whole, out.bytes = time.Since(began), counted.n
	out.complete = resp.Trailer.Get("Troupe-Complete") + resp.Header.Get("Troupe-Complete")
	out.next = resp.Trailer.Get("Troupe-Next-Page")
	return out, err
}

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += n
	return n, err
}

// countSpans counts the spans of a Trace message, or of a TraceByIDResponse, as it arrives.
func countSpans(in *bufio.Reader, v2 bool) (n int, err error) {
	var r trace.Reader
	var v spans
	var body []byte
	for {
		tag, err := binary.ReadUvarint(in)
		if err == io.EOF {
			return int(v), nil
		}
		if err != nil {
			return 0, err
		}
		if tag&7 == 1 { // the watermark
			if _, err := in.Discard(8); err != nil {
				return 0, err
			}
			continue
		}
		size, err := binary.ReadUvarint(in)
		if err != nil {
			return 0, err
		}
		if tag&7 == 0 {
			continue
		}
		body = slices.Grow(body[:0], int(size))[:size]
		if _, err := io.ReadFull(in, body); err != nil {
			return 0, err
		}
		switch {
		case tag != 1<<3|2:
		case v2:
			err = r.Walk(body, &v)
		default:
			err = r.Walk(append(binary.AppendUvarint([]byte{1<<3 | 2}, size), body...), &v)
		}
		if err != nil {
			return 0, err
		}
	}
}

type spans int

func (*spans) Resource([]byte) error    { return nil }
func (*spans) Scope([]byte) error       { return nil }
func (n *spans) Span(*trace.Span) error { *n++; return nil }

// resident returns the resident memory of a process.
func resident(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	return n * int64(os.Getpagesize())
}

// watch looks at the memory of a process until it is stopped; then peak is the most it has seen.
func watch(pid int) (stop func(), peak *int64) {
	peak = new(int64)
	done := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			*peak = max(*peak, resident(pid))
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	return func() { close(done); wait.Wait() }, peak
}
